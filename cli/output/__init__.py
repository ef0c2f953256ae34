"""Print the results of commands: inspect documents, listings, tables, and escapes for terminals."""
