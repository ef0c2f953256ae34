"""Lay out and colour texts for a user at a terminal: help, reports and errors. A pipe gets the plain texts."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator

import click

NARROWEST = 24  # minimum width of a text after its indentation; with less room, the indentation is DEEP
DEEP = 8  # columns of indentation in a narrow terminal
HEADING = re.compile(r"([A-Z][\w ]*:)( *)(?=$|  )")
COLUMN = re.compile(r" +\S+(?: \S+)*?(  +)(?=\S)")  # a name, followed by at least two spaces and its text
NAMES = re.compile(r"( {2,6})((?:-\w, )?--[\w.-]+|[a-z][\w:/\[\].-]*(?=  ))", re.ASCII)
PROSE = re.compile(r"  [A-Za-z](?!.*\S  )(?!.*, hawse )")
"""A line of a paragraph. It has no second column, and is no list of aliases ("hawse node rm, hawse node remove")."""
FIRST_WORD = re.compile(r"\"[^\"\n]*\"|[^\s\"]\S*")
KEY = re.compile(r"( +)([^:\n]+:)(?= |$)")


def help_page(text: str, width: int, *, color: bool) -> str:
    """Return a help text, wrapped at ``width`` columns; 0 means that it is not wrapped. No word is split.

    With ``color``, headings are bold and the names of commands and flags are coloured.
    """
    lines = text.split("\n")
    if width > 0 and max(map(len, lines)) > width:
        lines = [short for line in _paragraphs(lines) for short in _wrapped(line, width)]
    return "\n".join(map(_help_colours, lines) if color else lines)


def report_line(line: str) -> str:
    """Return a line of a report such as ``hawse info`` with its title in bold or its key in colour."""
    if line and not line.startswith(" "):
        return click.style(line, bold=True)
    return KEY.sub(lambda match: match[1] + click.style(match[2], fg="cyan"), line, count=1)


def first_word(text: str, colour: str) -> str:
    """Return the text with its first word in this colour; return a text that begins with white space unchanged."""
    word = FIRST_WORD.match(text)
    return click.style(word[0], fg=colour, bold=True) + text[word.end() :] if word else text


def _paragraphs(lines: list[str]) -> Iterator[str]:
    """Yield the lines of a help text, with the lines of each indented paragraph joined to one line."""
    joined = ""
    for line in lines:
        prose = bool(PROSE.match(line)) and not line.startswith("  hawse ")
        if joined and prose:
            joined += line[1:]
            continue
        if joined:
            yield joined
        joined = line if prose else ""
        if not prose:
            yield line
    if joined:
        yield joined


def _wrapped(line: str, width: int) -> Iterator[str]:
    """Split a line of a help text, and yield lines of at most ``width`` columns; a longer word is not split."""
    if len(line) <= width:
        yield line
    elif line.startswith("  hawse ") and ", hawse " not in line:
        yield from _wrapped_command(line, width)
    else:
        beside = COLUMN.match(line)
        indent = beside.end() if beside else len(line) - len(line.lstrip())
        indent = DEEP if width - indent < NARROWEST or line.startswith("Usage:") else indent
        yield from textwrap.wrap(
            line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False,
            drop_whitespace=True, replace_whitespace=False,
        )  # fmt: skip


def _wrapped_command(line: str, width: int) -> Iterator[str]:
    """Split a shell command between words, and yield lines of at most ``width`` columns; a longer word is not split.

    All lines except the last end with a backslash.
    """
    try:
        words = [word.replace("\0", " ") for word in _quoted_blanks(line).split()]
    except ValueError:
        words = line.split()
    current = "  " + words[0]
    for word in words[1:]:
        if len(current) + 1 + len(word) + 2 > width:
            yield current + " \\"
            current = "     "
        current += " " + word
    yield current


def _quoted_blanks(line: str) -> str:
    """Replace each space that is in quotes or in ``$(...)`` by NUL, so that `str.split` does not split there.

    Raises ValueError if the quotes do not match.
    """
    shlex.split(line)
    return re.sub(r"'[^']*'|\"[^\"]*\"|\$\([^)]*\)", lambda match: match[0].replace(" ", "\0"), line)


def _help_colours(line: str) -> str:
    """Return a line of a help text with a bold heading, a grey comment, or the command's or flag's name in cyan."""
    if heading := HEADING.match(line):
        return click.style(heading[1], bold=True) + line[heading.end(1) :]
    if line.startswith("  # "):
        return click.style(line, fg="bright_black")
    names = NAMES.match(line)
    return names[1] + click.style(names[2], fg="cyan") + line[names.end() :] if names else line
