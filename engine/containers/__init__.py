"""Containers: a sandbox plus, optionally, the process that hawse runs in it; one file a phase of its life."""
