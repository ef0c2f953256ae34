"""The warm server, a resident process that runs commands faster: it has imported everything and forks a child per
command.

The child runs the command that `cli.launcher.launch` sends. First, the child takes over the launcher's streams,
directory, environment, namespaces and limits. Every command has the same result without the server, but takes longer.
"""
