"""Split one CSV record as Go's encoding/csv does, with the same error texts."""

from __future__ import annotations


def csv_fields(text: str) -> list[str]:
    """Split one CSV record as Go's encoding/csv does; raises ValueError.

    Empty lines before the record, and all text after the record, are ignored.
    """
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
    """Parse a quoted field that starts at ``at`` and may continue on the following lines; raises ValueError.

    Returns the field, the index after the field, the line in which the field ends, and the text after this line.
    """
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
    """Return the error that Go's encoding/csv reports for a record.

    ``offset`` is the position of the error in the line, counted from 0.
    """
    return ValueError(f"parse error on line 1, column {offset + 1}: {problem}")
