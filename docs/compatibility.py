"""Make the page compatibility.md from the command tree. `docs.build` calls this module.

The page compares the command tree of hawse with the recorded commands of Docker. A command or flag that both have
counts as the same, unless departures.toml lists a difference (a departure). A command that only hawse or only Docker
has must be in departures.toml. If both have a command, each flag of the command that only one of the two has must be
there too.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from cli.completion.tree import CommandNode, nodes
from cli.container.unsupported import IGNORED, NEVER_HONOURED
from cli.root import root

HERE = Path(__file__).parent
TARGET = HERE / "compatibility.md"
CREATING = ("run", "create", "container run", "container create")
IGNORED_WHY = "Accepted without effect, with a warning on stderr."
REFUSED_WHY = "Refused, because ignoring it would change the container's files, devices or isolation."
INTRODUCTION = """# Compatibility with Docker 26.1.5

`python -m docs.build` writes this page; do not edit it. Anything not listed as different is the same in output, error
text and exit code. Tests compare hawse with a real dockerd to check this.

- **same**: as Docker 26.1.5
- **differs**: works, with a deliberate difference
- **ignored**: accepted without effect
- **refused**: recognised, and an error
- **added**: Docker 26.1.5 has no such thing
- **absent**: hawse has no such thing
"""
Fact = tuple[str, str]
"""A state, such as "differs", and its reason."""


class Unclassified(Exception):
    """A command or flag of hawse or Docker that no list explains."""


class Facts:
    """The states of all commands and flags.

    ``unused`` names the commands and flags of departures.toml that no lookup has used yet.
    """

    def __init__(self, departures: Mapping[str, list[dict]], docker: Mapping[str, dict]) -> None:
        self.docker = docker
        self.commands = {path: (e["state"], e["why"]) for e in departures["command"] for path in e["commands"]}
        self.flags = {
            (path, flag): (entry["state"], entry["why"])
            for entry in departures["flag"]
            for path in entry["commands"]
            for flag in entry["flags"]
        }
        self.unused = {*self.commands, *(f"{path} {flag}" for path, flag in self.flags)}

    def command(self, paths: Sequence[str], *, ours: bool) -> Fact:
        """Return the state of a command and the reason; ``paths`` are the command's names, such as ``container run``.

        The fact about a group is also valid for the commands of the group. ``ours`` is True for a command of hawse, and
        False for a command that only Docker has. A command that only Docker has takes the fact of a group only if hawse
        lacks the whole group. Raises `Unclassified` if there is no fact about the command.
        """
        for path in paths:
            for known in above(path):
                if known in self.commands and (ours or self.commands[known][0] == "absent" or known == path):
                    self.unused.discard(known)
                    return self.commands[known]
        if ours and any(path in self.docker for path in paths):
            return "same", ""
        raise Unclassified(paths[0])

    def flag(self, paths: Sequence[str], name: str, *, ours: bool) -> Fact:
        """Return the state of a flag and the reason; ``paths`` are the names of the flag's command.

        ``ours`` is True for a flag of hawse, and False for a flag that only Docker has. Raises `Unclassified` if there
        is no fact about the flag.
        """
        for path in paths:
            if (path, name) in self.flags:
                self.unused.discard(f"{path} {name}")
                return self.flags[path, name]
        recorded = [flag for path in paths for kind in ("flags", "hidden") for flag in self.recorded(path, kind)]
        if ours and set(paths) & set(CREATING):
            key = name.removeprefix("--").replace("-", "_")
            if key in IGNORED:
                return "ignored", IGNORED_WHY
            if key in NEVER_HONOURED:
                return "refused", REFUSED_WHY
        if ours and (name in recorded or name == "--help" or not any(path in self.docker for path in paths)):
            return "same" if name in (*recorded, "--help") else "added", ""
        raise Unclassified(f"{paths[0]} {name}")

    def recorded(self, path: str, kind: str) -> Iterable[str]:
        """Return the names of a Docker command's recorded flags; ``kind`` is "flags" or "hidden"."""
        names: list[str] = self.docker.get(path, {}).get(kind, [])
        return names


def above(path: str) -> Iterator[str]:
    """Yield the path of a command, then the paths of the groups that contain the command, innermost first."""
    words = path.split()
    for count in range(len(words), 0, -1):
        yield " ".join(words[:count])


def load() -> tuple[Facts, Mapping[str, list[dict]]]:
    """Return the facts, and the tables of departures.toml.

    The facts come from these tables and from the recording of Docker.
    """
    departures = tomllib.loads((HERE / "departures.toml").read_text(encoding="utf-8"))
    return Facts(departures, json.loads((HERE / "docker-26.1.5.json").read_text(encoding="utf-8"))), departures


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    yield "| " + " | ".join(titles) + " |"
    yield "|" + " --- |" * len(titles)
    yield from ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def shown(paths: Iterable[str]) -> str:
    """Return command paths as the user types them, in Markdown and separated by commas."""
    return ", ".join(f"`{('hawse ' + path).strip()}`" for path in paths)


def command_rows(facts: Facts, tree: Iterable[CommandNode]) -> Iterator[Sequence[str]]:
    """Yield one row for each command of hawse, then one for each Docker command that hawse lacks."""
    ours: set[str] = set()
    for node in tree:
        ours.update(node.paths)
        yield shown(node.paths), *facts.command(node.paths, ours=True)
    for path in sorted(set(facts.docker) - ours):
        state, why = facts.command([path], ours=False)
        if path in facts.commands:  # no rows for the commands below an absent group
            yield f"`docker {path}`", state, why


def flag_rows(facts: Facts, node: CommandNode) -> Iterator[Sequence[str]]:
    """Yield one row for each flag that a command has in hawse or in Docker."""
    ours = {flag.long: flag.short for flag in node.flags}
    docker = {flag for path in node.paths for flag in facts.recorded(path, "flags")}
    for name in sorted({*ours, *docker}):
        short = f", `{ours[name]}`" if ours.get(name) else ""
        yield f"`{name}`{short}", *facts.flag(node.paths, name, ours=name in ours)


def document() -> tuple[str, set[str]]:
    """Return the text of the page, and the names in departures.toml that match no command or flag.

    Raises `Unclassified` for a command or flag that no list explains.
    """
    facts, departures = load()
    tree = nodes(root)
    first = [f"{number}. {entry}" for number, entry in enumerate(departures["first"], 1)]
    behaviour = ((entry["what"], entry["docker"], entry["hawse"], entry["why"]) for entry in departures["behaviour"])
    lines = [
        INTRODUCTION,
        "## The ten differences that matter first",
        "",
        *first,
        "",
        "## Behaviour",
        "",
        *table(("What", "Docker 26.1.5", "hawse", "Why"), behaviour),
        "",
    ]
    lines += ["## Commands", "", *table(("Command", "State", "Note"), command_rows(facts, tree)), "", "## Flags", ""]
    for node in tree:
        lines += [f"### {shown(node.paths)}", "", *table(("Flag", "State", "Note"), flag_rows(facts, node)), ""]
    return "\n".join(lines), facts.unused
