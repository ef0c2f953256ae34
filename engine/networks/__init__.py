"""Networks as a whole: create, remove, list and inspect them, and allocate their subnets."""
