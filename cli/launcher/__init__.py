"""The first process of every command: the script, its boot file and the launcher."""
