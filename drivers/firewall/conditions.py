"""Combine the conditions of a rule. A condition is true, false, or None if it is unknown for the packet."""

from __future__ import annotations

from collections.abc import Iterable


def all_of(conditions: Iterable[bool | None]) -> bool | None:
    """Return whether all conditions are true, or None if that is unknown."""
    known = list(conditions)
    if False in known:
        return False
    return None if None in known else True


def any_of(conditions: Iterable[bool | None]) -> bool | None:
    """Return whether at least one condition is true, or None if that is unknown."""
    known = list(conditions)
    if True in known:
        return True
    return None if None in known else False


def turned(known: bool | None, inverted: int) -> bool | None:
    """Return the value of a condition that the rule inverts if ``inverted`` is not 0."""
    return None if known is None else known != bool(inverted)
