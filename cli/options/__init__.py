"""Parsers of Docker's flag values: each converts the user's text to a typed value or raises Docker's error.

Every parser raises ``ValueError`` with the error text that Docker prints. The caller adds any text before and after
this error text. No parser uses click, the engine's functions or the terminal.
"""
