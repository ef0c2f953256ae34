"""Generate the two functions of the bash script that depend on hawse's commands.

One function has a case for each hawse command. The other function has a case for each completion source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cli.completion.sources import SOURCES, Source
from cli.completion.tree import CommandNode, FlagEntry

INDENT, WIDTH = " " * 12, 120


def render(nodes: list[CommandNode]) -> str:
    """Return the bash code of the two functions: one for hawse's commands, one for the completion sources."""
    return "\n".join([*_commands(nodes), "", "# Offer the values of a source.", *_sources()]) + "\n"


def quoted(word: str) -> str:
    """Return the word for use in a shell script, in quotes if the shell would split or expand the word."""
    plain = word and all(c.isalnum() or c in "_-.:=/+,@%" for c in word)
    return word if plain else "'" + word.replace("'", "'\\''") + "'"


def filled(words: Iterable[str], width: int) -> list[str]:
    """Split the list of words into lines of at most ``width`` characters; no word is split."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines


def _commands(nodes: Iterable[CommandNode]) -> Iterator[str]:
    yield "__hawse_command() {"
    yield "    commands='' aliases='' flags='' arguments='' strict=''"
    yield "    case $1 in"
    for node in nodes:
        yield f"        {' | '.join(quoted(path) for path in node.paths)})"
        yield from _assignment("commands", node.commands)
        yield from _assignment("aliases", (f"{alias}={name}" for alias, name in node.aliases.items()))
        yield from _assignment("flags", map(_flag, node.flags))
        yield from _assignment("arguments", (f"{a.source}{'...' * a.repeated}" for a in node.arguments))
        if not node.interspersed:
            yield "            strict=1"
        yield "            ;;"
    yield from ("    esac", "}")


def _assignment(name: str, values: Iterable[str]) -> Iterator[str]:
    lines = filled(values, WIDTH - len(INDENT) - len(name) - 3)
    if lines:
        yield f"{INDENT}{name}='" + f"\n{INDENT}{' ' * (len(name) + 2)}".join(lines) + "'"


def _flag(flag: FlagEntry) -> str:
    mark = "" if flag.offered else "!"
    mark = "*" if flag.repeatable and not mark else mark
    return mark + flag.long + (f",{flag.short}" if flag.short else "") + (f"={flag.source}" if flag.source else "")


def _sources() -> Iterator[str]:
    yield "__hawse_source() {"
    yield "    case $1 in"
    for name, source in SOURCES.items():
        lines = list(_offers(source))
        if lines:
            yield f"        {name})"
            yield from lines
            yield "            ;;"
    yield from ("    esac", "}")


def _offers(source: Source) -> Iterator[str]:
    if source.commas:
        yield "            __hawse_behind_comma"
    if source.by_flag:
        flag, _, choices = source.by_flag
        yield f"            case $(__hawse_value {flag}) in"
        for value, chosen in choices.items():
            yield f"                {quoted(value)}) __hawse_source {chosen} ;;"
        yield "            esac"
    if source.words:
        yield _call("__hawse_words", source.words)
    if source.keys:
        yield _call("__hawse_keys", (part for pair in source.keys.items() for part in pair))
    if source.names:
        yield f"            __hawse_names {','.join(source.names)}"
    if source.shell:
        yield f"            {SHELL[source.shell]}"


SHELL = {"files": "__hawse_paths -f", "directories": "__hawse_paths -d", "command": "__hawse_program"}


def _call(function: str, words: Iterable[str]) -> str:
    """Return bash code that calls the bash function ``function`` with these words as arguments.

    A long call is wrapped over several lines.
    """
    lines = filled([function, *map(quoted, words)], WIDTH - len(INDENT) - 6)
    return INDENT + f" \\\n{INDENT}    ".join(lines)
