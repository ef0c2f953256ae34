"""Run container processes in namespaces, with their file systems, streams and logs, but not their networks."""
