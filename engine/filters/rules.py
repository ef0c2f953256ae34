"""The common rules of Docker's filters: keys, truth values, patterns, labels.

Filters with different keys must all match. Labels must all match too. For any other key, one matching value is enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.errors import InvalidArgument
from engine.golang import regexp
from engine.model import Filters


def check_keys(filters: Filters, known: frozenset[str]) -> None:
    """Raise InvalidArgument for an unknown filter key."""
    for key in filters:
        if key not in known:
            raise InvalidArgument(f"invalid filter '{key}'" if key else "invalid filter")


def parse_bool(filters: Filters, key: str) -> bool | None:
    """Return the value of a filter that is true (1) or false (0), or None if it is not given.

    Raises InvalidArgument for several values or any other value.
    """
    values = filters.get(key, ())
    if not values:
        return None
    if len(values) > 1:
        raise InvalidArgument(f'got more than one value for filter key "{key}"')
    if values[0] not in ("1", "true", "0", "false"):
        raise InvalidArgument(f"""invalid value for filter '{key}', must be "true" (or "1"), or "false" (or "0")""")
    return values[0] in ("1", "true")


def matches_pattern(filters: Filters, key: str, *values: str) -> bool:
    """Return whether a pattern of this filter is found in one of the values; true if there is no such filter.

    An invalid pattern is never found, unless it equals the value.
    """
    patterns = filters.get(key, ())
    return not patterns or any(_found(pattern, value) for pattern in patterns for value in values)


def matches_exactly(filters: Filters, key: str, value: str) -> bool:
    """Return whether the value is one of those in the filter; true if there is no such filter."""
    return not filters.get(key) or value in filters[key]


def matches_labels(required: Sequence[str], labels: Mapping[str, str]) -> bool:
    """Return whether the labels contain every ``key`` or ``key=value`` of the filter."""
    return all(_has_label(labels, *label.partition("=")) for label in required)


def _has_label(labels: Mapping[str, str], key: str, equals: str, value: str) -> bool:
    return key in labels and (not equals or labels[key] == value)


def _found(pattern: str, value: str) -> bool:
    if pattern == value:
        return True
    try:
        return regexp.found(pattern, value)
    except regexp.Invalid:
        return False
