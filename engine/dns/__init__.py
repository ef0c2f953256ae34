"""The embedded DNS resolver (127.0.0.11) of containers on user-defined networks."""
