"""Descriptions of the Go types of Docker's inspect documents, one file per document."""
