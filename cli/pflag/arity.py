"""The number of arguments that a command takes, and Docker's error text for a wrong number of arguments."""

from __future__ import annotations

from msgspec import Struct


class Arity(Struct, frozen=True):
    """The numbers of arguments that a command allows: ``low`` to ``high``, both included; None means no upper limit.

    ``rule`` is the part of Docker's error text for any other number, such as "requires exactly 1 argument."
    """

    low: int
    high: int | None
    rule: str

    def allows(self, count: int) -> bool:
        """Return whether ``count`` is in the range of allowed argument counts."""
        return self.low <= count and (self.high is None or count <= self.high)


def plural(count: int) -> str:
    """Return "argument" or "arguments", as Docker does for ``count``."""
    return "argument" if count == 1 else "arguments"


def exactly(count: int) -> Arity:
    """Return the rule for exactly ``count`` arguments (Docker's ExactArgs)."""
    return Arity(count, count, f"requires exactly {count} {plural(count)}.")


def at_least(count: int) -> Arity:
    """Return the rule for at least ``count`` arguments (Docker's RequiresMinArgs)."""
    return Arity(count, None, f"requires at least {count} {plural(count)}.")


def at_most(count: int) -> Arity:
    """Return the rule for at most ``count`` arguments (Docker's RequiresMaxArgs)."""
    return Arity(0, count, f"requires at most {count} {plural(count)}.")


def between(low: int, high: int) -> Arity:
    """Return the rule for ``low`` to ``high`` arguments (Docker's RequiresRangeArgs)."""
    return Arity(low, high, f"requires at least {low} and at most {high} {plural(high)}.")


no_args = Arity(0, 0, "accepts no arguments.")
"""The rule for no arguments (Docker's NoArgs)."""
