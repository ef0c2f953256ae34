"""Descriptions of the Go types of Docker's inspect documents, one file per group of documents.

The files hold the names, order, JSON tags and methods of the fields, but no values.
`cli.gotemplate` needs them, because a user's template may name any field and method of these types.
"""
