"""The warm server, a resident process that runs commands faster.

The warm server has imported all modules that commands need, and forks a child process for each command. The child runs
the command that `cli.launcher.launch` sends. First, the child takes over the launcher's streams, directory,
environment, namespaces and limits. Without the warm server, every command has the same result, but takes longer.
"""
