"""Parsers of Docker's flag values: each converts the user's text to a typed value or to Docker's own error.

Every parser raises ``ValueError`` with the error text that Docker prints. The caller adds any text before and after it.
No parser uses click, the engine's functions or the terminal.
"""
