"""Record the commands and flags of the installed docker client: ``python docs/record_docker.py``.

The program reads docker's help texts. It runs docker without a daemon, because docker then shows all of its commands.
The help omits hidden commands and flags. Therefore, the program also tries each command and flag of hawse that the help
omits, and records those that docker accepts.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

from cli.completion.tree import nodes
from cli.root import root

TARGET = Path(__file__).parent / "docker-26.1.5.json"
COMMAND = re.compile(r"^  ([a-z][a-z-]*)\*? {2,}\S", re.MULTILINE)
FLAG = re.compile(r"^ +(?:-\w, )?(--[a-z0-9-]+)", re.MULTILINE)
Recorded = dict[str, dict[str, list[str]]]


def docker(*argv: str) -> str:
    """Run docker without a daemon and return both output streams as text."""
    ran = subprocess.run(["docker", *argv], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
                         env={**os.environ, "DOCKER_HOST": "unix:///nonexistent"})  # fmt: skip
    return ran.stdout + ran.stderr


def walk(path: tuple[str, ...], recorded: Recorded) -> None:
    """Add a command and all of its subcommands to ``recorded``; ``path`` has the words of the command's name."""
    text = docker(*path, "--help")
    options = text.partition("Options:\n")[2]
    commands = COMMAND.findall(text) if "COMMAND --help' for more" in text else []
    recorded[" ".join(path)] = {"commands": sorted(commands), "flags": sorted(FLAG.findall(options)), "hidden": []}
    for name in commands:
        walk((*path, name), recorded)


def add_hidden(recorded: Recorded) -> None:
    """Try the commands and flags of hawse that no help of docker lists, and record those that docker accepts."""
    for node in nodes(root):
        for path in node.paths:
            if path not in recorded and f"Usage:  docker {path} " in docker(*path.split(), "--help"):
                walk(tuple(path.split()), recorded)
            for flag in node.flags if path in recorded else ():
                listed = flag.long in (*recorded[path]["flags"], "--help")
                if not listed and "unknown flag" not in docker(*path.split(), f"{flag.long}=true", "--help"):
                    recorded[path]["hidden"].append(flag.long)


def main() -> None:
    """Write the recording to `TARGET`."""
    recorded: Recorded = {}
    walk((), recorded)
    add_hidden(recorded)
    lines = ",\n".join(f"{json.dumps(path)}: {json.dumps(entry)}" for path, entry in sorted(recorded.items()))
    TARGET.write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()
