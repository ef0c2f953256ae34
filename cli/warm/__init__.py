"""The warm server: everything imported once, every command a fork of it.

A command that `cli.launcher.launch` (or cli/launch.pl, its quicker half) hands over runs the same tree in a child that first
becomes, in all that a command can notice, what the launcher is: streams, directory, environment, namespaces, limits.
Nothing here is needed for a correct result: without a server, a command merely takes longer.
"""
