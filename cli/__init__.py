"""The command line: the click command tree, its help texts and its tables."""
