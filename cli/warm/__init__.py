"""The warm server: everything imported once, every command a fork of it.

A child of the server runs each command that `cli.launcher.launch` hands over. It first
becomes, in all that a command can notice, what the launcher is: streams, directory, environment, namespaces, limits.
Nothing here is needed for a correct result: without a server, a command merely takes longer.
"""
