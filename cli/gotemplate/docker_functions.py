"""The functions that Docker adds to templates, and the variants of these functions for the header line of a table.

The functions are json, split, join, title, lower, upper, pad and truncate. They work on Go strings (bytes).
"""

from __future__ import annotations

from collections.abc import Mapping

from cli.gotemplate.budget import Budget
from cli.gotemplate.errors import Fault
from cli.gotemplate.gotypes import ANY, INT, STRING, STRINGS, Function, Raw, Slice, Value, string
from cli.gotemplate.jsontext import UnsupportedValue, marshal
from cli.gotemplate.text import decode, encode, valid


def _json(value: Value | None) -> Value:
    try:
        return string(encode(marshal(value)).strip())
    except UnsupportedValue as error:
        raise Fault(str(error)) from None


def _split(text: bytes, separator: bytes) -> Value:
    parts = text.split(separator) if separator else [encode(rune) for rune in decode(text)]
    return Value(STRINGS, Slice(parts))


def _join(budget: Budget, parts: Raw, separator: bytes) -> Value:
    items: list[bytes] = [] if parts is None else parts.items
    budget.produce(sum(map(len, items)) + len(separator) * max(0, len(items) - 1))
    return string(separator.join(items))


def _change_case(text: bytes, upper: bool) -> Value:
    if text.isascii():
        return string(text.upper() if upper else text.lower())
    runes = valid(decode(text))
    return string("".join(_rune_case(rune, upper) for rune in runes).encode())


def _rune_case(rune: str, upper: bool) -> str:
    changed = rune.upper() if upper else rune.lower()
    # Go's conversion to upper or lower case maps one rune to exactly one rune. If Python's conversion gives several
    # characters, keep the rune unchanged, because Go usually does not convert such a rune. The exception is U+0130,
    # which Go maps to "i".
    return changed if len(changed) == 1 else "i" if rune == "\u0130" else rune


def _is_separator(rune: str) -> bool:
    if rune < "\x80":
        return not (rune.isalnum() or rune == "_")
    return not (rune.isalpha() or rune.isdecimal()) and rune.isspace()


def _title(text: bytes) -> Value:
    before = " "
    runes = []
    for rune in valid(decode(text)):
        changed = rune.title() if _is_separator(before) else rune
        runes.append(changed if len(changed) == 1 else rune)
        before = rune
    return string("".join(runes).encode())


def _pad(budget: Budget, text: bytes, before: int, after: int) -> Value:
    if not text:
        return string(text)
    if before < 0 or after < 0:
        raise Fault("strings: negative Repeat count")
    budget.produce(len(text) + before + after)
    return string(b" " * before + text + b" " * after)


def _truncate(text: bytes, size: int) -> Value:
    if size < 0:
        raise Fault(f"runtime error: slice bounds out of range [:{size}]")
    return string(text[:size])


def docker_functions(budget: Budget) -> Mapping[str, Function]:
    """Return Docker's template functions by name; ``budget`` limits the bytes that join and pad produce."""
    return {
        "json": Function((ANY,), _json),
        "split": Function((STRING, STRING), _split),
        "join": Function((STRINGS, STRING), lambda parts, separator: _join(budget, parts, separator)),
        "title": Function((STRING,), _title),
        "lower": Function((STRING,), lambda text: _change_case(text, upper=False)),
        "upper": Function((STRING,), lambda text: _change_case(text, upper=True)),
        "pad": Function((STRING, INT, INT), lambda text, before, after: _pad(budget, text, before, after)),
        "truncate": Function((STRING, INT), _truncate),
    }


def _unchanged(text: bytes, *_: Raw) -> Value:
    return string(text)


HEADER_FUNCTIONS: Mapping[str, Function] = {
    "json": Function((STRING,), _unchanged),
    "split": Function((STRING, STRING), _unchanged),
    "join": Function((STRING, STRING), _unchanged),
    "title": Function((STRING,), _unchanged),
    "lower": Function((STRING,), _unchanged),
    "upper": Function((STRING,), _unchanged),
    "truncate": Function((STRING, INT), _unchanged),
}
"""Template functions for the header line of a table.

These functions replace Docker's functions and return the column title unchanged. ``pad`` is not replaced. ``pad`` adds
spaces to the title too, so that the title is aligned with the cells.
"""

DOCKER_NAMES = frozenset(docker_functions(Budget()))
