"""The command line: the tree of click commands, their flags, help texts and output."""
