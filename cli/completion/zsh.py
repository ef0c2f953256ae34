"""Generate the part of the zsh script that depends on hawse's commands.

Each command becomes specifications for ``_arguments``, and each completion source becomes a function.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cli.completion.sources import SOURCES, Source, described_keys
from cli.completion.tree import CommandNode, FlagEntry

SHELL = {"files": "_files", "directories": "_hawse_directories", "command": "_hawse_program"}


def render(nodes: list[CommandNode]) -> str:
    """Return the part of the zsh script that depends on hawse's commands."""
    return "\n".join([*_commands(nodes), "", *_sources()]) + "\n"


def quoted(word: str) -> str:
    """Return the word in quotes for a zsh script."""
    return "'" + word.replace("'", "'\\''") + "'"


def escaped(text: str, special: str) -> str:
    """Put a backslash before each backslash and before each of the ``special`` characters."""
    return "".join(f"\\{char}" if char in special + "\\" else char for char in text)


def _commands(nodes: Iterable[CommandNode]) -> Iterator[str]:
    yield "_hawse_command() {"
    yield "  local -a verbs others"
    yield "  case $1 in"
    for node in nodes:
        yield f"    {' | '.join(quoted(path) for path in node.paths)})"
        yield from _group(node) if node.commands else _leaf(node)
        yield "      ;;"
    yield from ("  esac", "}")
    yield from ("", "_hawse() { _hawse_command '' }")


def _group(node: CommandNode) -> Iterator[str]:
    yield "      verbs=("
    yield from (f"        {_item(name, description)}" for name, description in node.commands.items())
    yield "      )"
    if node.aliases:
        yield f"      others=({' '.join(_item(alias, f'same as {name}') for alias, name in node.aliases.items())})"
    yield from _call(f"_hawse_group {quoted(node.paths[0])}", _flags(node))


def _leaf(node: CommandNode) -> Iterator[str]:
    start = "_hawse_leaf" if node.interspersed else "_hawse_leaf -A '-*'"
    yield from _call(start, [*_flags(node), *_arguments(node)])


def _call(start: str, specifications: Iterable[str]) -> Iterator[str]:
    yield " \\\n        ".join([f"      {start}", *map(quoted, specifications)])


def _item(name: str, description: str) -> str:
    """Return a name and its description as one array element for zsh's ``_describe``."""
    return quoted(escaped(name, ":") + (f":{description}" if description else ""))


def _flags(node: CommandNode) -> Iterator[str]:
    for flag in node.flags:
        names = [name for name in (flag.short, flag.long) if name]
        for name in names:
            yield _flag(flag, name, f"({' '.join(names)})" if len(names) > 1 else "")


def _flag(flag: FlagEntry, name: str, others: str) -> str:
    """Return the ``_arguments`` specification of one spelling of a flag; ``name`` is this spelling, such as ``-f``.

    ``others`` lists all spellings, such as ``(-f --force)``, so that zsh offers none of them again. For a flag with one
    spelling, ``others`` is "".
    """
    before = "!" if not flag.offered else "*" if flag.repeatable else others
    value = ("=" if name.startswith("--") else "+") if flag.source else ""
    text = f"[{escaped(flag.description, '[]')}]" if flag.offered else ""
    return f"{before}{name}{value}{text}" + (
        f":{flag.long.strip('-')}:_hawse_source_{flag.source}" if flag.source else ""
    )


def _arguments(node: CommandNode) -> Iterator[str]:
    for position, argument in enumerate(node.arguments, 1):
        place = ("*" if node.interspersed else "*::") if argument.repeated else position
        yield f"{place}:{argument.name.replace('_', ' ')}:_hawse_source_{argument.source}"


def _sources() -> Iterator[str]:
    for name, source in SOURCES.items():
        yield from (f"_hawse_source_{name}() {{", *_offers(source), "}", "")


def _offers(source: Source) -> Iterator[str]:
    if source.commas:
        yield "  compset -P '*,'"
    if source.by_flag:
        long, short, choices = source.by_flag
        yield f"  case ${{opt_args[{long}]:-$opt_args[{short}]}} in"
        yield from (f"    {quoted(value)}) _hawse_source_{chosen} ;;" for value, chosen in choices.items())
        yield "  esac"
    calls = [
        *([" ".join(["_hawse_words", *(_item(*pair) for pair in source.words.items())])] if source.words else ()),
        *(["_hawse_keys " + " ".join(map(quoted, described_keys(source)))] if source.keys else ()),
        *(f"_hawse_names {name}" for name in source.names),
        *([SHELL[source.shell]] if source.shell else ()),
    ]  # fmt: skip
    if calls:
        yield "  local found=1"
        yield from (f"  {call} && found=0" for call in calls)
        yield "  return found"
    elif not source.by_flag:
        yield "  return 1"
