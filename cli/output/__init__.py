"""Print the results of commands: inspect documents and listings.

The package also lays out tables and escapes control characters for terminals.
"""
