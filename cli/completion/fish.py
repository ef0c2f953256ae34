"""Generate the part of the fish script that depends on hawse's commands.

This part has tables of the commands and their flags, and fish's ``complete`` commands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cli.completion.sources import SOURCES, Source, described_keys
from cli.completion.tree import CommandNode

SHELL = {"files": "__hawse_files", "directories": "__hawse_directories", "command": "__hawse_program"}


def render(nodes: list[CommandNode]) -> str:
    """Return the part of the fish script that depends on hawse's commands."""
    return "\n".join([*_tables(nodes), "", *_sources(), "", *_completions(nodes)]) + "\n"


def quoted(word: str) -> str:
    """Return the word in quotes for a fish script."""
    return "'" + word.replace("\\", "\\\\").replace("'", "\\'") + "'"


def listed(words: Iterable[str]) -> str:
    """Return several words as one text: each word is quoted for fish, and spaces separate the words."""
    return " ".join(map(quoted, words))


def _tables(nodes: list[CommandNode]) -> Iterator[str]:
    yield f"set -g __hawse_paths {listed(path for node in nodes for path in node.paths if path)}"
    strict = [path for node in nodes if not (node.interspersed or node.commands) for path in node.paths]
    yield f"set -g __hawse_strict {listed(strict)}"
    yield from ("", "function __hawse_valued", '    switch "$argv[1]"')
    for node in nodes:
        valued = [f"{name}={flag.source}" for flag in node.flags if flag.source
                  for name in (flag.long, flag.short) if name]  # fmt: skip
        if valued:
            yield f"        case {listed(node.paths)}"
            yield f"            printf '%s\\n' {' '.join(valued)}"
    yield from ("    end", "end", "", "function __hawse_alias", '    switch "$argv[1] $argv[2]"')
    for node in nodes:
        for alias, name in node.aliases.items():
            yield f"        case {quoted(f'{node.paths[0]} {alias}')}"
            yield f"            echo {name}"
    yield from ("        case '*'", "            echo -- $argv[2]", "    end", "end")


def _sources() -> Iterator[str]:
    yield from ("function __hawse_source", "    switch $argv[1]")
    for name, source in SOURCES.items():
        lines = list(_offers(source))
        if lines:
            yield f"        case {name}"
            yield from (f"            {line}" for line in lines)
    yield from ("    end", "end")


def _offers(source: Source) -> Iterator[str]:
    if source.commas:
        yield "__hawse_behind_comma"
    if source.by_flag:
        long, short, choices = source.by_flag
        yield f"switch (__hawse_value {long} {short})"
        yield from (f"    case {quoted(value)}\n                    __hawse_source {chosen}"
                    for value, chosen in choices.items())  # fmt: skip
        yield "end"
    if source.words:
        yield "__hawse_words " + " ".join(_item(*pair) for pair in source.words.items())
    if source.keys:
        yield "__hawse_keys " + listed(described_keys(source))
    if source.names:
        yield f"__hawse_names {','.join(source.names)}"
    if source.shell:
        yield SHELL[source.shell]


def _item(word: str, description: str) -> str:
    return f"{quoted(word)}\\t{quoted(description)}" if description else quoted(word)


def _completions(nodes: list[CommandNode]) -> Iterator[str]:
    yield "complete -c hawse -f"
    yield "complete -c hawse -n __hawse_awaits -a '(__hawse_offer_awaited)'"
    for node in nodes:
        yield from ("", *_commands(node), *_flags(node), *_arguments(node))


def _commands(node: CommandNode) -> Iterator[str]:
    here = f"__hawse_argument_of 0 {listed(node.paths)}"
    for name, description in node.commands.items():
        yield f"complete -c hawse -n {quoted(here)} -a {name} -d {quoted(description)}"
    unknown = f"{here}; and __hawse_none_of {' '.join(node.commands)}"
    for alias, name in node.aliases.items():
        yield f"complete -c hawse -n {quoted(unknown)} -a {alias} -d {quoted(f'same as {name}')}"


def _flags(node: CommandNode) -> Iterator[str]:
    here = quoted(f"__hawse_flags_of {listed(node.paths)}")
    for flag in node.flags:
        if flag.offered:
            short = f" -s {flag.short[1:]}" if flag.short else ""
            value = f" -x -a '(__hawse_offer {flag.source})'" if flag.source else ""
            yield f"complete -c hawse -n {here}{short} -l {flag.long[2:]}{value} -d {quoted(flag.description)}"


def _arguments(node: CommandNode) -> Iterator[str]:
    for position, argument in enumerate(node.arguments):
        if SOURCES[argument.source] != Source():
            here = f"__hawse_argument_of {position}{'+' * argument.repeated} {listed(node.paths)}"
            yield f"complete -c hawse -n {quoted(here)} -a '(__hawse_offer {argument.source})'"
