"""The common rules of Docker's filters: keys, truth values, patterns, labels.

An object must match the filters of all keys. For the key ``label``, the object must match all values that the user
gave. For any other key, the object must match at least one value. A key without values is ignored, except where Docker
does otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.errors import InvalidArgument
from engine.golang import regexp
from engine.model import Filters


def check_keys(filters: Filters, known: frozenset[str]) -> None:
    """Check that all filter keys are in ``known``; raises InvalidArgument."""
    for key in filters:
        if key not in known:
            raise InvalidArgument(f"invalid filter '{key}'" if key else "invalid filter")


def boolean(filters: Filters, key: str) -> bool | None:
    """Return the value of the boolean filter ``key`` as a bool, or None if the filter is not given.

    Accepts true, 1, false and 0. Raises InvalidArgument for any other value, or for several values.
    """
    values = filters.get(key, ())
    if not values:
        return None
    if len(values) > 1:
        raise InvalidArgument(f'got more than one value for filter key "{key}"')
    if values[0] not in ("1", "true", "0", "false"):
        raise InvalidArgument(f"""invalid value for filter '{key}', must be "true" (or "1"), or "false" (or "0")""")
    return values[0] in ("1", "true")


def truth(filters: Filters, key: str) -> bool | None:
    """Return the value of a boolean filter of containers or images, or None if the filter is not given.

    The result is True for the values "true" and "1", and False for "false" and "0". As in Docker, other values are
    ignored if the filter also has one of these four. Raises InvalidArgument if the filter has none of the four values,
    or values for both results.
    """
    if key not in filters:
        return None
    values = filters[key]
    is_true, is_false = ("1" in values or "true" in values), ("0" in values or "false" in values)
    if is_true == is_false:
        raise InvalidArgument(f"invalid filter '{key}=[{' '.join(values)}]'" if values else f"invalid filter '{key}'")
    return is_true


def matches_pattern(filters: Filters, key: str, *values: str) -> bool:
    """Return whether a pattern of the filter ``key`` is found in one of ``values``; True if no such filter is given.

    A pattern that is not a valid regular expression matches only a value that is equal to the pattern.
    """
    patterns = filters.get(key, ())
    return not patterns or any(_matches_pattern(pattern, value) for pattern in patterns for value in values)


def matches_exactly(filters: Filters, key: str, value: str) -> bool:
    """Return whether ``value`` is one of the values of the filter ``key``; True if the user gave no such filter."""
    return not filters.get(key) or value in filters[key]


def matches_labels(required: Sequence[str], labels: Mapping[str, str]) -> bool:
    """Return whether ``labels`` contain all labels in ``required``.

    An item of ``required`` is ``key``, which matches any value, or ``key=value``.
    """
    return all(_has_label(labels, *label.partition("=")) for label in required)


def _has_label(labels: Mapping[str, str], key: str, equals: str, value: str) -> bool:
    return key in labels and (not equals or labels[key] == value)


def _matches_pattern(pattern: str, value: str) -> bool:
    if pattern == value:
        return True
    try:
        return regexp.is_found(pattern, value)
    except regexp.Invalid:
        return False
