"""Descriptions of the Go types of Docker's inspect documents, one file per group of documents.

`cli.gotemplate` needs them, because a user's template may name any field and method of these types.
"""
