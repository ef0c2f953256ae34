"""Run steps that can be undone, for kernel changes that must happen completely or not at all.

Teardown runs all its steps, even after errors. This module knows only order and errors, not the content of the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack

from msgspec import Struct

Action = Callable[[], object]


class Step(Struct, frozen=True):
    """One step of a kernel change: ``do`` makes the change, and ``undo`` reverts the change.

    ``undo`` is None if nothing must be reverted, or if another step's ``undo`` also reverts this step. ``name`` appears
    in a note of the error if the step fails.
    """

    name: str
    do: Action
    undo: Action | None = None


def apply(steps: Iterable[Step]) -> None:
    """Run the steps in order; after an error, undo the finished steps, last first, and raise the error.

    If an undo fails too, the text of its error is added to the first error (`BaseException.add_note`).
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
    """Run every step, even after errors, and raise the first error at the end."""
    first: Exception | None = None
    for step in steps:
        try:
            step.do()
        except Exception as error:  # the following steps must run after any error
            first = first or error
            first.add_note(f"in step: {step.name}" if first is error else f"also failed: {step.name}: {error}")
    if first is not None:
        raise first


class _Undo(Struct, frozen=True):
    name: str
    action: Action

    def __enter__(self) -> None:
        """Do nothing, because the caller has already run the step that `__exit__` undoes."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        try:
            self.action()
        except Exception as failure:
            if error is None:
                raise
            error.add_note(f"undo of {self.name} failed: {failure}")
