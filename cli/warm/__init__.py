"""The warm server, a resident process that runs commands faster.

The warm server has imported the modules that most commands need, and forks a child process for each command. The
launcher (`cli.launcher.launch`) is the process that the user started. The launcher sends the command to the child. The
child takes over the launcher's context (streams, directories, environment, namespaces and limits), and then runs the
command. The child refuses a launcher whose rights (`engine.runtime.peer.identity`) differ from those of the server.
Without the warm server, every command has the same result, but takes longer.
"""
