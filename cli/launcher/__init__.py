"""The first process of every hawse command: the ``hawse`` script, its boot file and the launcher.

The launcher sends the command to the warm server (a resident process that runs commands) or runs the command itself.
"""
