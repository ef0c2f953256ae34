"""The warm server: everything imported once, every command a fork of it.

A child of the server runs each command that `cli.launcher.launch` hands over. It first takes over the launcher's
streams, directory, environment, namespaces and limits. No result depends on the server: without it, a command takes
longer.
"""
