"""Bounds on what one execution may use.

A template is a program: it can loop, recurse and double strings. This module counts steps and produced bytes, so that
execution ends with an error instead of exhausting the machine. It knows no template.
"""

from __future__ import annotations

from cli.formatting.errors import Fault

MAX_STEPS = 3_000_000
MAX_BYTES = 128 * 1024 * 1024
MAX_STRING = 16 * 1024 * 1024


class Budget:
    """What is left of one execution's allowance."""

    __slots__ = ("_steps", "_bytes")

    def __init__(self) -> None:
        self._steps = MAX_STEPS
        self._bytes = MAX_BYTES

    def step(self, count: int = 1) -> None:
        """Account for ``count`` units of work."""
        self._steps -= count
        if self._steps < 0:
            raise Fault("execution takes too many steps")

    def produce(self, size: int) -> None:
        """Account for ``size`` bytes of output or of a new string, before they are made where possible."""
        self._bytes -= size
        if size > MAX_STRING or self._bytes < 0:
            raise Fault("execution produces too much text")
