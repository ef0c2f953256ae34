"""How Go reads scalars: booleans, integers, one CSV record. Error texts are Go's own."""

from __future__ import annotations

import re

from engine.golang.quote import quote
from engine.names import whole_number

TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
INTEGER = re.compile(r"[+-]?(0[xX](_?[0-9a-fA-F])+|0[bB](_?[01])+|0[oO]?(_?[0-7])*|[1-9](_?[0-9])*)")


def parse_bool(text: str) -> bool:
    """Read a boolean like strconv.ParseBool; ValueError carries Go's text."""
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise ValueError(f"strconv.ParseBool: parsing {quote(text)}: invalid syntax")


def parse_int(text: str, bits: int = 64, *, base: int = 0) -> int:
    """Read a signed integer like strconv.ParseInt; base 0 knows 0x, 0b, 0o and a plain leading 0."""
    return integer("ParseInt", text, base, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def parse_uint(text: str, bits: int = 64, *, base: int = 0) -> int:
    """Read an unsigned integer like strconv.ParseUint."""
    if text[:1] in ("+", "-"):
        raise ValueError(f"strconv.ParseUint: parsing {quote(text)}: invalid syntax")
    return integer("ParseUint", text, base, 0, (1 << bits) - 1)


def integer(function: str, text: str, base: int, low: int, high: int) -> int:
    """Read an integer within bounds, with Go's errors in the name of ``function``."""
    valid = INTEGER.fullmatch(text) if base == 0 else re.fullmatch(r"[+-]?[0-9]+", text)
    if not valid:
        raise ValueError(f"strconv.{function}: parsing {quote(text)}: invalid syntax")
    octal = base == 0 and re.fullmatch(r"[+-]?0[0-7_]+", text)
    value = int(text.replace("_", ""), 8) if octal else _number(text)
    if not low <= value <= high:
        raise ValueError(f"strconv.{function}: parsing {quote(text)}: value out of range")
    return value


def _number(text: str) -> int:
    plain = text.replace("_", "")
    return whole_number(plain) if plain.lstrip("+-").isdecimal() else int(plain, 0)


def csv_fields(text: str) -> list[str]:
    """Cut one CSV record like Go's encoding/csv, which reads only the first line that is not empty."""
    line, _, rest = text.lstrip("\n").partition("\n")
    if not line:
        raise ValueError("EOF")
    fields: list[str] = []
    at = 0
    while True:
        if line.startswith('"', at):
            field, at, line, rest = quoted_field(line, at + 1, rest)
        else:
            end = line.find(",", at)
            field, start, at = line[at : None if end < 0 else end], at, len(line) if end < 0 else end
            bare = field.find('"')
            if bare >= 0:
                raise csv_error(start + bare, 'bare " in non-quoted-field')
        fields.append(field)
        if at >= len(line):
            return fields
        at += 1


def quoted_field(line: str, at: int, rest: str) -> tuple[str, int, str, str]:
    """Read a quoted field that begins at ``at``; it may go on in the following lines."""
    field = ""
    while True:
        end = line.find('"', at)
        if end < 0:
            if not rest:
                raise csv_error(len(line.encode()), 'extraneous or missing " in quoted-field')
            field += line[at:] + "\n"
            line, _, rest = rest.partition("\n")
            at = 0
            continue
        field += line[at:end]
        following = line[end + 1 : end + 2]
        if following == '"':
            field, at = field + '"', end + 2
        elif following in ("", ","):
            return field, end + 1, line, rest
        else:
            raise csv_error(end, 'extraneous or missing " in quoted-field')


def csv_error(offset: int, problem: str) -> ValueError:
    """Build the parse error of Go's encoding/csv; ``offset`` counts from 0."""
    return ValueError(f"parse error on line 1, column {offset + 1}: {problem}")
