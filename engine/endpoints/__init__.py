"""Endpoints: addresses, sandboxes, links, and the release of what they hold."""
