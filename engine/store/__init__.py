"""Where hawse keeps what it knows: a protocol and its backends."""
