"""The Go types of Docker's inspect documents, one file per document."""
