"""Descriptions of the Go types of Docker's inspect documents, one file per group of documents.

A description holds the names, order and JSON tags of a type's fields, and the type's methods, but no values.
`cli.gotemplate` needs the descriptions, because a user's template may name any field and method of these types.
"""
