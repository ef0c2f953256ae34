"""The first process of every hawse command: the ``hawse`` script, its boot file and the launcher.

The warm server is a resident process that runs commands. The launcher sends the command to the warm server, or runs the
command itself.
"""
