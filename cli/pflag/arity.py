"""How many arguments a command takes, and what Docker says about any other number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arity:
    """A range of argument counts with Docker's wording of it."""

    low: int
    high: int | None
    rule: str

    def allows(self, count: int) -> bool:
        """Say whether this many arguments are right."""
        return self.low <= count and (self.high is None or count <= self.high)


def plural(count: int) -> str:
    """Docker's plural."""
    return "argument" if count == 1 else "arguments"


def exactly(count: int) -> Arity:
    """Docker's ExactArgs."""
    return Arity(count, count, f"requires exactly {count} {plural(count)}.")


def at_least(count: int) -> Arity:
    """Docker's RequiresMinArgs."""
    return Arity(count, None, f"requires at least {count} {plural(count)}.")


def at_most(count: int) -> Arity:
    """Docker's RequiresMaxArgs."""
    return Arity(0, count, f"requires at most {count} {plural(count)}.")


def between(low: int, high: int) -> Arity:
    """Docker's RequiresRangeArgs."""
    return Arity(low, high, f"requires at least {low} and at most {high} {plural(high)}.")


no_args = Arity(0, 0, "accepts no arguments.")
"""Docker's NoArgs."""
