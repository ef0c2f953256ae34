"""Write the man pages from the command tree: ``man hawse-network-create``.

`docs.build` calls this module. The wheel installs the pages in share/man.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from cli import examples
from cli.completion.tree import CommandNode, nodes
from cli.pflag import Flag
from cli.root import SECTIONS, root
from docs import compatibility, reference
from engine import config
from engine.render.version import DOCKER_VERSION
from engine.system import network_drivers

DIRECTORY = Path(__file__).parent / "man"
FILES = {
    "/etc/hawse/daemon.json": "Settings; see hawse-daemon.json(5).",
    "/var/lib/hawse": "Records, images and logs.",
    "/run/hawse": "Sockets, locks and runtime state; agent.log, or the journal of hawse-agent, lists the repairs.",
}
DESCRIPTION = """hawse gives a process, a network namespace or an imported image what Docker gives its containers:
networks, addresses, names, published ports and isolation. It has Docker's commands, output, messages and exit codes."""


def escaped(text: str) -> str:
    """Escape the characters of a text that troff would interpret, and return the text."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "").replace("…", "...")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in text.split("\n"))


def page_name(path: str) -> str:
    """Return the name of the page of a command: ``hawse-network-create``."""
    return "-".join(["hawse", *path.split()])


def head(name: str, section: int, summary: str) -> list[str]:
    """Return the lines of a page's title and of its section NAME."""
    return [
        f'.TH {escaped(name.upper())} {section} "" "hawse" "hawse manual"', ".nh", ".SH NAME",
        f"{escaped(name)} \\- {escaped(summary)}",
    ]  # fmt: skip


def item(left: str, text: str) -> list[str]:
    """Return one entry of a definition list; the text ``left`` is already escaped for troff."""
    return [".TP", left, escaped(text) or "\\&"]


def flag_item(flag: Flag, source: str) -> list[str]:
    """Return a flag as one entry of a definition list; ``source`` names the flag's completion source, or is ""."""
    names = [flag.short] if flag.short and not flag.short_deprecated else []
    left = ", ".join(f"\\fB{escaped(name)}\\fR" for name in [*names, flag.long])
    text = reference.meaning(flag, source)
    if flag.effect:
        text += f". {flag.effect.capitalize()} by hawse"
    return item(left + ("" if flag.kind.bare else f" \\fI{escaped(flag.kind.name)}\\fR"), f"{text.rstrip('.')}.")


def example_lines(node: CommandNode) -> list[str]:
    """Return the notes and examples of a command as lines that troff does not wrap."""
    lines = textwrap.dedent(reference.notes(node)).partition("Examples:\n")
    made = [".SH NOTES", ".nf", escaped(lines[0].rstrip()), ".fi"] if lines[0].strip() else []
    if lines[2]:
        made += [".SH EXAMPLES", ".nf", escaped(textwrap.dedent(lines[2])), ".fi"]
    return made


def driver_options() -> Iterator[str]:
    """Yield the lines of the section about the keys of ``--opt``."""
    yield ".SH DRIVER OPTIONS"
    for driver, known in sorted(network_drivers().items()):
        if known.options:
            yield f".SS {escaped(driver)}: {escaped(known.summary)}"
            for key, option in known.options.items():
                text = f"{option.summary}. Values: {reference.values(option.kind, option.values)}."
                yield from item(f"\\fB{escaped(key)}\\fR", text)


@cache
def facts() -> compatibility.Facts:
    """Return the known differences from Docker."""
    return compatibility.load()[0]


def command_page(node: CommandNode) -> str:
    """Return the page of a command or of a group."""
    path, command = node.paths[0], reference.command_at(node.paths[0])
    lines = [*head(page_name(path), 1, command.short_help or ""), ".SH SYNOPSIS"]
    for each in node.paths:
        lines += [f"\\fB{escaped(reference.usage(each))}\\fR", ".br"]
    lines += [".SH DESCRIPTION", escaped(f"{command.short_help}.")]
    state, why = facts().command(node.paths, ours=True)
    if state == "added":
        lines += [".PP", escaped(f"Docker {DOCKER_VERSION} has no such command. {why}")]
    elif why:
        lines += [".PP", escaped(f"Compared with Docker {DOCKER_VERSION}, {state}: {why}")]
    if node.commands:
        lines.append(".SH COMMANDS")
        for name, text in node.commands.items():
            lines += item(f"\\fB{escaped(page_name(f'{path} {name}'))}\\fR(1)", f"{text}.")
    if flags := list(reference.shown_flags(node)):
        lines += [".SH OPTIONS", *(line for flag in flags for line in flag_item(*flag))]
    if path == "network create":
        lines += driver_options()
    lines += [*example_lines(node), ".SH SEE ALSO", "\\fBhawse\\fR(1)" + parent(path)]
    return "\n".join(lines) + "\n"


def parent(path: str) -> str:
    """Return a reference to the man page of the command's group, or "" for a command without a group."""
    group = path.rpartition(" ")[0]
    return f", \\fB{escaped(page_name(group))}\\fR(1)" if group else ""


def root_page(node: CommandNode) -> str:
    """Return the page of hawse itself."""
    lines = [*head("hawse", 1, root.help or ""), ".SH SYNOPSIS", "\\fBhawse\\fR [OPTIONS] COMMAND",
             ".SH DESCRIPTION", escaped(DESCRIPTION)]  # fmt: skip
    for title, names in SECTIONS.items():
        lines.append(f".SS {title}")
        for name in names:
            if name in node.commands:
                lines += item(f"\\fB{escaped(page_name(name))}\\fR(1)", f"{node.commands[name]}.")
    lines += [".SH OPTIONS", *(line for flag in reference.shown_flags(node) for line in flag_item(*flag))]
    lines += [".SH NOTES", ".nf", escaped(examples.GUIDE), ".fi"]
    tables = reference.texts()
    lines += [".SH ENVIRONMENT"]
    for name, text in {**tables["environment"], **tables["environment_of_others"]}.items():
        lines += item(f"\\fB{escaped(name)}\\fR", text)
    lines += [".SH EXIT STATUS"]
    for code, text in tables["exit"].items():
        lines += item(f"\\fB{code}\\fR", text)
    lines += [".SH FILES", *(line for path, text in FILES.items() for line in item(f"\\fI{escaped(path)}\\fR", text))]
    return "\n".join([*lines, ".SH SEE ALSO", "\\fBhawse\\-daemon.json\\fR(5)"]) + "\n"


def settings_page() -> str:
    """Return the page of daemon.json."""
    lines = [*head("hawse-daemon.json", 5, "settings of hawse"), ".SH SYNOPSIS", f"\\fI{config.DEFAULT_PATH}\\fR",
             ".SH DESCRIPTION", "The file is JSON with the keys of Docker's file of this name.",
             "An unknown key is an error.", ".SH KEYS"]  # fmt: skip
    for key, text in reference.texts()["daemon"].items():
        lines += item(f"\\fB{escaped(key)}\\fR", text)
    lines += [".PP", escaped("Accepted and ignored: " + ", ".join(sorted(config._IGNORED)) + "."),
              ".SH SEE ALSO", "\\fBhawse\\fR(1)"]  # fmt: skip
    return "\n".join(lines) + "\n"


def pages() -> Iterator[tuple[Path, str]]:
    """Yield the path and the text of each page."""
    yield DIRECTORY / "man5" / "hawse-daemon.json.5", settings_page()
    for node in nodes(root):
        first, *others = (page_name(path) for path in node.paths)
        yield DIRECTORY / "man1" / f"{first}.1", command_page(node) if node.paths[0] else root_page(node)
        for other in others:
            yield DIRECTORY / "man1" / f"{other}.1", f".so man1/{first}.1\n"
