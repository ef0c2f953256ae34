"""The rules of Docker's filters: keys, truth values, patterns, labels.

Filters of different keys must all match. Within a key, labels must all match; of other values one is enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.errors import InvalidArgument
from engine.golang import regexp
from engine.model import Filters


def check_keys(wanted: Filters, known: frozenset[str]) -> None:
    """Refuse filter keys nobody knows."""
    for key in wanted:
        if key not in known:
            raise InvalidArgument(f"invalid filter '{key}'" if key else "invalid filter")


def parse_bool(wanted: Filters, key: str) -> bool | None:
    """Return the value of a filter that is true (1) or false (0), None where it wasn't given."""
    values = wanted.get(key, ())
    if not values:
        return None
    if len(values) > 1:
        raise InvalidArgument(f'got more than one value for filter key "{key}"')
    if values[0] not in ("1", "true", "0", "false"):
        raise InvalidArgument(f"""invalid value for filter '{key}', must be "true" (or "1"), or "false" (or "0")""")
    return values[0] in ("1", "true")


def matches_pattern(wanted: Filters, key: str, *values: str) -> bool:
    """Tell whether one of the patterns is found in one of the values; an invalid pattern is found nowhere."""
    patterns = wanted.get(key, ())
    return not patterns or any(_found(pattern, value) for pattern in patterns for value in values)


def matches_exactly(wanted: Filters, key: str, value: str) -> bool:
    """Tell whether the value is among those asked for."""
    return not wanted.get(key) or value in wanted[key]


def matches_labels(wanted: Sequence[str], labels: Mapping[str, str]) -> bool:
    """Tell whether all of ``key`` or ``key=value`` are among the labels."""
    return all(_has_label(labels, *label.partition("=")) for label in wanted)


def _has_label(labels: Mapping[str, str], key: str, equals: str, value: str) -> bool:
    return key in labels and (not equals or labels[key] == value)


def _found(pattern: str, value: str) -> bool:
    if pattern == value:
        return True
    try:
        return regexp.found(pattern, value)
    except regexp.Invalid:
        return False
