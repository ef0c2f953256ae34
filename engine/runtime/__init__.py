"""Run container processes in namespaces, with their file systems, streams and logs. Networks are set up elsewhere."""
