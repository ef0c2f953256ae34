"""Create, remove, list and inspect networks, and allocate their subnets."""
