"""Containers. A container is a sandbox and, optionally, the process that hawse runs in it. The package has one module
for each phase of a container's life.
"""
