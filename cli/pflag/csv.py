"""Split one CSV record as Go's encoding/csv does, with the same error texts."""

from __future__ import annotations

_BARE_QUOTE = 'bare " in non-quoted-field'
_QUOTE = 'extraneous or missing " in quoted-field'


def csv_fields(text: str) -> list[str]:
    """Split one CSV record as Go's encoding/csv does; raises ValueError.

    Empty lines before the record, and all text after the record, are ignored.
    """
    lines = _lines(text.encode("utf-8", "surrogateescape"))
    start = next((number for number, line in enumerate(lines) if line != b"\n"), None)
    if start is None:
        raise ValueError("EOF")
    fields: list[str] = []
    number, at = start, 0
    while True:
        line = lines[number]
        if line.startswith(b'"', at):
            field, number, at = _quoted_field(lines, start, number, at + 1)
        else:
            field = line[at:].removesuffix(b"\n").partition(b",")[0]
            if b'"' in field:
                raise _error(start, number, at + field.index(b'"'), _BARE_QUOTE)
            at += len(field)
        fields.append(field.decode("utf-8", "surrogateescape"))
        if not lines[number].startswith(b",", at):
            return fields
        at += 1


def _lines(data: bytes) -> list[bytes]:
    """Split ``data`` into lines that keep their line feeds.

    As in Go, a carriage return at the end of a line is removed.
    """
    *lines, last = (line.removesuffix(b"\r") for line in data.split(b"\n"))
    return [*(line + b"\n" for line in lines), *([last] if last else [])]


def _quoted_field(lines: list[bytes], start: int, number: int, at: int) -> tuple[bytes, int, int]:
    """Parse a quoted field of a CSV record; raises ValueError if the closing quote is missing or misplaced.

    The first byte after the opening quote is at index ``at`` of ``lines[number]``. The record begins in
    ``lines[start]``. The field may end in a later line. Returns the field, the index of the line in which the field
    ends, and the index after the closing quote.
    """
    field = b""
    while True:
        line = lines[number]
        end = line.find(b'"', at)
        if end >= 0:
            field, at = field + line[at:end], end + 1
            following = line[at : at + 1]
            if following in (b"", b",", b"\n"):
                return field, number, at
            if following != b'"':
                raise _error(start, number, end, _QUOTE)
            field, at = field + b'"', at + 1
        elif number + 1 < len(lines):
            field, number, at = field + line[at:], number + 1, 0
        else:
            raise _error(start, number, len(line), _QUOTE)


def _error(start: int, number: int, at: int, problem: str) -> ValueError:
    """Return the error that Go's encoding/csv reports for a byte of a CSV record; ``problem`` is the end of Go's text.

    The byte is at index ``at`` of line ``number``. The record begins in the line ``start``. All three numbers count
    from 0.
    """
    record = f"record on line {start + 1}; " if number != start else ""
    return ValueError(f"{record}parse error on line {number + 1}, column {at + 1}: {problem}")
