"""The embedded DNS resolver of user-defined networks (127.0.0.11)."""
