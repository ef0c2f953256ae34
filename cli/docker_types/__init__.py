"""Descriptions of the Go types of Docker's inspect documents, one file per document.

`cli.gotemplate` needs them, because a user's template may name any field and method of these types.
"""
