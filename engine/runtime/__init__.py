"""Processes in namespaces: what a container is beside its network."""
