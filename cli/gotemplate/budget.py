"""Bounds on what one execution may use.

A template is a program: it can loop, recurse and double strings. This module counts steps and produced bytes, so that
execution ends with an error instead of exhausting the machine. It knows no template.
"""

from __future__ import annotations

from cli.gotemplate.errors import Fault

MAX_STEPS = 1_200_000
MAX_BYTES = 64 * 1024 * 1024


class Budget:
    """What is left of the allowance; several executions may share one."""

    __slots__ = ("_bytes", "_steps", "exhausted")

    def __init__(self) -> None:
        self._steps = MAX_STEPS
        self._bytes = MAX_BYTES
        self.exhausted = False

    def step(self, count: int = 1) -> None:
        """Account for ``count`` units of work."""
        self._steps -= count
        if self._steps < 0:
            self.exhausted = True
            raise Fault("execution takes too many steps")

    def read(self, data: object) -> None:
        """Account for a function's work on a string."""
        if isinstance(data, bytes):
            self.step(len(data) >> 3)

    def produce(self, size: int) -> None:
        """Account for ``size`` bytes of output or of a new string, before they are made where possible."""
        self._bytes -= size
        if self._bytes < 0:
            self.exhausted = True
            raise Fault("execution produces too much text")
