"""The kinds of flag values.

A kind has a name, which the help text shows. A kind defines how each use of the flag changes the flag's value. It also
defines how the help text shows a default value. This module has the generic kinds of pflag and Docker. A family of
commands may have its own kinds in its own package, created by `scalar` or `list_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from cli.pflag.csv import csv_fields
from engine.golang.strconv import parse_bool, parse_int, quote
from engine.names import as_text


class Kind(Struct, frozen=True):
    """A kind of flag value, such as string or list.

    - ``name`` is the word that the help shows after the flag, such as "string"; "" shows none.
    - ``fold`` is called for each use of the flag with the current value and the text after the flag. ``fold`` returns
      the new value, or raises ValueError with the error text that the user sees.
    - ``initial`` is the value before the first use.
    - ``bare`` is the text that is used for a flag without a value; "" means that a value is required.
    - ``show`` returns a default value as text for the help; "" hides the default.
    """

    name: str
    fold: Callable[[Any, str], Any]
    initial: Any = None
    bare: str = ""
    show: Callable[[Any], str] = lambda value: str(value) if value else ""


def scalar(name: str, read: Callable[[str], Any], initial: Any = None, **more: Any) -> Kind:
    """Return a kind for a flag with one value; if the flag is given several times, the last value is used.

    ``read`` converts the text of the flag to the value and raises ValueError if the text is invalid. ``more`` has other
    fields of `Kind`.
    """
    return Kind(name, lambda _, text: read(text), initial, **more)


def list_of(read: Callable[[str], Any], name: str = "list", **more: Any) -> Kind:
    """Return a kind of flag value that collects the values of all uses of the flag, without splitting at commas.

    ``read`` converts the text of one use to a value and raises ValueError if the text is invalid. ``more`` has other
    fields of `Kind`. This is Docker's ListOpts with a validator.
    """
    return Kind(name, lambda values, text: appended(values, read(text)), (), **more)


def appended(values: Sequence[Any], value: Any) -> list[Any]:
    """Return ``values`` with ``value`` added at the end, as a list.

    If ``values`` is a list, the function changes and returns this list. Thousands of uses of a flag therefore take
    linear time.
    """
    if not isinstance(values, list):
        return [*values, value]
    values.append(value)
    return values


def fold_slice(values: tuple[str, ...], text: str) -> tuple[str, ...]:
    """Return ``values`` followed by the CSV fields of ``text``, for one more use of a list flag (StringSlice)."""
    return (*values, *csv_fields(text)) if text else values


def fold_map(pairs: dict[str, str], text: str) -> dict[str, str]:
    """Return ``pairs`` with the ``key=value`` of ``text`` added, for one more use of a map flag (Docker's MapOpts).

    Without ``=``, the key's value is "". If a key is given several times, its last value is used.
    """
    key, _, value = text.partition("=")
    return {**pairs, key: value}


def fold_filter(filters: dict[str, tuple[str, ...]], text: str) -> dict[str, tuple[str, ...]]:
    """Return ``filters`` with one more ``--filter`` option added, as in Docker's FilterOpt.

    ``text`` is the option's argument, ``name=value``. The name becomes lower case. Spaces around the name and the value
    are removed. An empty text is ignored. A value that the name already has is ignored too. Raises ValueError if a text
    that is not empty has no ``=``.

    Docker sends filters as JSON, so U+FFFD replaces bytes that are invalid UTF-8.
    """
    if not text:
        return filters
    name, equals, value = as_text(text).partition("=")
    if not equals:
        raise ValueError("bad format of filter (expected name=value)")
    name, value = name.strip().lower(), value.strip()
    values = filters.get(name, ())
    return filters if value in values else {**filters, name: (*values, value)}


STRING = scalar("string", str, "", show=lambda value: quote(value) if value else "")
BOOL = scalar("", parse_bool, False, bare="true", show=lambda value: "true" if value else "")
INT = scalar("int", parse_int, 0)
STRINGS = Kind("strings", fold_slice, ())
LIST = list_of(str)
MAP = Kind("map", fold_map, {}, show=lambda value: "map[" + " ".join(f"{k}:{v}" for k, v in value.items()) + "]")
FILTER = Kind("filter", fold_filter, {}, show=lambda _: "")
