"""The warm server: it imports everything once and forks a child for each command.

The child runs the command that `cli.launcher.launch` sends. Before that, it takes over the launcher's streams,
directory, environment, namespaces and limits. Every command has the same result without the server, but takes longer.
"""
