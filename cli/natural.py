"""Natural order, in which Docker's client sorts names and ports: the engine keeps networks in it, so it is there."""

from engine.natural import natural_key

__all__ = ["natural_key"]
