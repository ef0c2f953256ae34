"""What Docker means: networks, endpoints, sandboxes and containers, and the rules that hold between them."""
