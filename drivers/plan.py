"""Named steps with undo: how a driver changes the kernel all or nothing, and takes everything down whatever happens.

Knows only order and failure; what a step does is the driver's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

Action = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the kernel: ``do`` makes it, ``undo`` takes it back (None where a later undo covers it)."""

    name: str
    do: Action
    undo: Action | None = None


def apply(steps: Iterable[Step]) -> None:
    """Do the steps in order; when one fails, undo the finished ones, last first, and raise its error.

    An undo that fails too doesn't hide the first error: it is added to it as a note.
    """
    with ExitStack() as done:
        for step in steps:
            try:
                step.do()
            except BaseException as error:
                error.add_note(f"in step: {step.name}")
                raise
            if step.undo is not None:
                done.push(_Undo(step.name, step.undo))
        done.pop_all()


def teardown(steps: Iterable[Step]) -> None:
    """Do every step, also after failures, and raise the first error at the end."""
    first: Exception | None = None
    for step in steps:
        try:
            step.do()
        except Exception as error:  # whatever fails here, the steps after it still have to run
            first = first or error
            first.add_note(f"in step: {step.name}" if first is error else f"also failed: {step.name}: {error}")
    if first is not None:
        raise first


@dataclass(frozen=True, slots=True)
class _Undo:
    name: str
    action: Action

    def __enter__(self) -> None:
        """Nothing: the step is done already."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        try:
            self.action()
        except Exception as failure:
            if error is None:
                raise
            error.add_note(f"undo of {self.name} failed: {failure}")
