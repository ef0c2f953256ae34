"""Containers: a sandbox and, optionally, the process that hawse runs in it; one file per phase of the life cycle."""
