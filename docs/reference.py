"""Write the reference of commands, options, settings, environment variables and exit codes from the source.

`docs.build` calls this module. The texts come from the command tree, from the drivers' ``facts`` and from
reference.toml. A name that is only in the source or only in reference.toml raises `Unexplained`.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import click
from msgspec import NODEFAULT, structs

from cli import examples, trace
from cli.app import FLAG_ERROR
from cli.completion.sources import SOURCES, Source
from cli.completion.tree import CommandNode, nodes
from cli.gotemplate.errors import TemplateSyntaxError
from cli.pflag import Command, Flag, Group
from cli.pflag.reading import flags_of
from cli.root import BROKEN_PIPE, INTERRUPTED, root
from docs import compatibility
from drivers.linux.namespaces import NO_RETURN
from engine import config
from engine.errors import EngineError
from engine.system import network_drivers

HERE = Path(__file__).parent
SOURCE = HERE.parent
GENERATED = "`python -m docs.build` writes this page; do not edit it.\n"
LISTED = 16  # a flag with more values is described without its values
KEYS = ("com.docker.", "com.hawse.", "hawse.heal")
CODES = (
    0,
    EngineError.exit_code,
    trace.UNKNOWN,
    TemplateSyntaxError.exit_code,
    NO_RETURN,
    FLAG_ERROR,
    126,
    127,
    INTERRUPTED,
    BROKEN_PIPE,
)
OPEN = ("mtu", "host-binding")
"""The kinds of option values for which completion offers only a part of the valid values."""
VALUES = {
    "boolean": "`true` or `false`",
    "interface": "an interface of the host",
    "flag": "no value",
    "text": "any text",
}


class Unexplained(Exception):
    """A name in the source has no text in reference.toml, or a name in reference.toml is not in the source."""


def texts() -> Mapping[str, Mapping[str, str]]:
    """Return the tables of reference.toml; raises `Unexplained` if their names differ from those in the source."""
    tables = tomllib.loads((HERE / "reference.toml").read_text(encoding="utf-8"))
    names = source_names()
    options = {key for facts in network_drivers().values() for key in facts.options}
    in_source = {
        "daemon": set(config._KEYS),
        "environment": {name for name in names if name.startswith("HAWSE_") and name[-1] != "_" and name.isupper()},
        "exit": set(map(str, CODES)),
        "option": {name for name in names if name.startswith(KEYS) and not name.endswith((".", "_ipv"))} - options,
    }  # fmt: skip
    for table, expected in in_source.items():
        if difference := expected ^ set(tables[table]):
            raise Unexplained(f"reference.toml, table {table}: {', '.join(sorted(difference))}")
    return tables


@cache
def source_names() -> frozenset[str]:
    """Return the set of all constants that `string_constants` yields."""
    return frozenset(string_constants())


def string_constants() -> Iterator[str]:
    """Yield every string and bytes constant of the source that contains no space."""
    for package in ("cli", "engine", "drivers"):
        for path in sorted((SOURCE / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)):
                    text = node.value if isinstance(node.value, str) else node.value.decode(errors="replace")
                    if text and " " not in text:
                        yield text


def command_at(path: str) -> click.Command:
    """Return the command with this path, such as ``network create``."""
    command: click.Command = root
    for word in path.split():
        assert isinstance(command, Group)
        subcommand = command.get_command(click.Context(command), word)
        assert subcommand is not None
        command = subcommand
    return command


def usage(path: str) -> str:
    """Return the usage line of a command, such as ``hawse network rm NETWORK [NETWORK...]``."""
    command = command_at(path)
    words = ["hawse", *path.split()]
    if isinstance(command, Command):
        return " ".join([*words[:-1], command.use])
    return " ".join([*words, "COMMAND"])


def shown_flags(node: CommandNode) -> Iterator[tuple[Flag, str]]:
    """Yield each flag that completion offers for a command, and the name of the flag's completion source.

    The flag ``--help`` is left out. Completion takes the values of the flag from the source. The name is "" for a flag
    that takes no value.
    """
    offered = {entry.long: entry.source for entry in node.flags if entry.offered}
    for flag in sorted(flags_of(command_at(node.paths[0])), key=lambda flag: flag.long):
        if flag.long in offered and flag.long != "--help":
            yield flag, offered[flag.long]


def meaning(flag: Flag, source: str) -> str:
    """Return the help text of a flag in one paragraph, with its values and its default.

    If Docker's help has a line for each value, a semicolon separates the values. ``source`` is the name of the flag's
    completion source, or "" for a flag that takes no value.
    """
    text = " ".join(re.sub(r"(?<![.:;])\s*\n(?=')", ";\n", flag.usage.replace("`", "")).split())
    if source and (values := listed_values(SOURCES[source])):
        text += f". Values: {values}"
    return text + (f". Default: `{flag.default_text}`" if flag.default_text else "")


def listed_values(source: Source) -> str:
    """Return the fixed values and ``key=`` prefixes that completion offers for a flag, as text.

    Returns "" if the source offers only names of objects, such as networks. Also returns "" if the source offers more
    than `LISTED` values, or Go templates.
    """
    words = [*source.words, *source.keys]
    if not words or len(words) > LISTED or any("{{" in word for word in words):
        return ""
    return ", ".join(f"`{word}`" for word in words)


def flag_rows(facts: compatibility.Facts, node: CommandNode) -> Iterator[tuple[str, str, str]]:
    """Yield the name, the meaning and the relation to Docker of each flag of a command."""
    for flag, source in shown_flags(node):
        names = f"`{flag.long}`" + (f", `{flag.short}`" if flag.short and not flag.short_deprecated else "")
        kind = "" if flag.kind.bare else f" *{flag.kind.name}*"
        state, why = facts.flag(node.paths, flag.long, ours=True)
        yield names + kind, meaning(flag, source), "" if state == "same" else f"{state}: {why}" if why else state


def commands_page() -> str:
    """Return the page of all commands."""
    facts, _ = compatibility.load()
    lines = ["# Commands", "", GENERATED]
    tree = [node for node in nodes(root) if node.paths[0]]
    lines += ["| command | what it does |", "| --- | --- |"]
    for node in tree:
        lines.append(f"| {compatibility.shown(node.paths)} | {command_at(node.paths[0]).short_help} |")
    for node in tree:
        lines += ["", f"## {compatibility.shown(node.paths)}", "", command_at(node.paths[0]).short_help or "", ""]
        lines += ["```", *map(usage, node.paths), "```", ""]
        state, why = facts.command(node.paths, ours=True)
        if why:
            lines += [f"*{state}*: {why}", ""]
        rows = list(flag_rows(facts, node))
        if rows:
            lines += [*compatibility.table(("Flag", "Meaning", "Compared with Docker 26.1.5"), rows), ""]
        lines += notes_block(node)
    return "\n".join(lines).rstrip() + "\n"


def notes(node: CommandNode) -> str:
    """Return the notes and examples of a command, or "" if there are none."""
    return next((text for path in node.paths if (text := examples.notes(f"hawse {path}"))), "")


def notes_block(node: CommandNode) -> list[str]:
    """Return the notes and examples of a command as the lines of a code block, or [] if there are none."""
    text = notes(node)
    return ["```sh", *(line.removeprefix("  ") for line in text.splitlines()), "```"] if text else []


def options_page() -> str:
    """Return the page of the keys of ``--opt`` and ``--driver-opt``."""
    lines = ["# Option keys", "", GENERATED, "`hawse network create -d DRIVER -o KEY=VALUE NETWORK` sets them.", ""]
    for driver, facts in sorted(network_drivers().items()):
        if facts.options:
            lines += [f"## {driver}", "", f"{facts.summary}.", ""]
            rows = [
                (f"`{key}`", f"{option.summary}.", values(option.kind, option.values))
                for key, option in facts.options.items()
            ]
            lines += [*compatibility.table(("Key", "Meaning", "Values"), rows), ""]
    rows = [(f"`{key}`", text) for key, text in texts()["option"].items()]
    return "\n".join([*lines, "## Other places", "", *compatibility.table(("Key", "Where, and its meaning"), rows), ""])


def values(kind: str, known: Mapping[str, str]) -> str:
    """Return the values of an option of this kind as text; ``known`` maps known values to their descriptions.

    Without known values, the text describes the kind, such as "any text".
    """
    if known:
        shown = "; ".join(f"`{value}`" + (f": {text}" if text else "") for value, text in known.items())
        return f"for example {shown}" if kind in OPEN else shown
    return VALUES.get(kind, kind)


def settings_page() -> str:
    """Return the page of the keys of daemon.json."""
    defaults = {field.name: field for field in structs.fields(config.Config)}
    rows = []
    for key, text in texts()["daemon"].items():
        field = defaults.get(key.replace("-", "_"))
        rows.append((f"`{key}`", text, shown_default(field) if field else "`true`"))
    ignored = ", ".join(f"`{key}`" for key in sorted(config._IGNORED))
    return "\n".join([
        "# Settings: daemon.json", "", GENERATED,
        f"The file is `{config.DEFAULT_PATH}`, or the one that `HAWSE_CONFIG` names. It is JSON, as Docker's file is.",
        "The next command that changes something reads it. An unknown key is an error. The file must be root's own.",
        "",
        *compatibility.table(("Key", "Meaning", "Default"), rows), "",
        "## Keys of Docker without effect", "", f"These keys are accepted and ignored: {ignored}.", "",
    ])  # fmt: skip


def shown_default(field: structs.FieldInfo) -> str:
    """Return the default value of a setting as JSON."""
    value = {} if field.default is NODEFAULT else field.default
    if field.name == "default_address_pools":
        value = [{"base": str(pool.base), "size": pool.size} for pool in config.LOCAL_POOLS]
    return f"`{json.dumps(value)}`"


def environment_page() -> str:
    """Return the page of environment variables and exit codes."""
    tables = texts()
    variables = {**tables["environment"], **tables["environment_of_others"]}
    return "\n".join([
        "# Environment variables and exit codes", "", GENERATED, "## Environment variables", "",
        *compatibility.table(("Variable", "Meaning"), ((f"`{name}`", text) for name, text in variables.items())), "",
        "An invalid number is ignored.", "", "## Exit codes", "",
        *compatibility.table(("Code", "Meaning"), ((code, text) for code, text in tables["exit"].items())),
        "| other | The exit code of the container's command, for `run`, `exec` and `start -a`. `wait` prints it. |", "",
    ])  # fmt: skip


def pages() -> Iterable[tuple[Path, str]]:
    """Yield the path and the text of each page of the reference."""
    yield HERE / "reference" / "commands.md", commands_page()
    yield HERE / "reference" / "options.md", options_page()
    yield HERE / "reference" / "settings.md", settings_page()
    yield HERE / "reference" / "environment.md", environment_page()
