"""Limits on the work and the output of one execution of a Go template (``--format``).

A template is a program: it can loop, recurse and build long strings. This module counts the steps and the produced
bytes. At a limit, the execution ends with an error. The template therefore cannot exhaust the machine's time or memory.
"""

from __future__ import annotations

from cli.gotemplate.errors import Fault

MAX_STEPS = 1_200_000
MAX_BYTES = 64 * 1024 * 1024


class Budget:
    """The number of steps and output bytes that the execution of a template may still use.

    Several executions may share one budget, which then limits them together.
    """

    __slots__ = ("_bytes", "_steps", "exhausted")

    def __init__(self) -> None:
        self._steps = MAX_STEPS
        self._bytes = MAX_BYTES
        self.exhausted = False

    def step(self, count: int = 1) -> None:
        """Subtract ``count`` from the steps that remain; raises Fault if they do not suffice."""
        self._steps -= count
        if self._steps < 0:
            self.exhausted = True
            raise Fault("execution takes too many steps")

    def read(self, data: object) -> None:
        """Count one step for each 8 bytes of ``data``, an argument of a template function.

        An argument that is not a Python bytes object counts as no step. Raises Fault if too few steps remain.
        """
        if isinstance(data, bytes):
            self.step(len(data) >> 3)

    def produce(self, size: int) -> None:
        """Count ``size`` bytes of template output or of a new string; raises Fault at the limit of bytes.

        Where possible, callers call this function before they create the bytes, so that no memory is used beyond the
        limit.
        """
        self._bytes -= size
        if self._bytes < 0:
            self.exhausted = True
            raise Fault("execution produces too much text")
