"""Run the console sessions of a documentation page in one shell on a host.

A test compares the output with the page. ``python -m tests.pages README.md docs/tutorial.md`` (as root) writes the
output into the pages.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from tests.conftest import Host, Peer
from tests.installation import script

BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
VARYING = tuple(
    (re.compile(pattern), word)
    for pattern, word in (
        (r"\b[0-9a-f]{64}\b", "LONG-ID"),
        (r"\b[0-9a-f]{12}\b", "ID"),
        (r"(Less than a second|\d+ seconds?|About a minute)( ago)?", "TIME"),
        (r"(\w+)@if\d+", r"\1@IF"),
        (r" {2,}", "  "),
    )
)


def steps(page: str) -> list[tuple[str, str]]:
    """Return each command of a page's sessions with its output. A command follows "# " at the beginning of a line."""
    commands: list[tuple[str, str]] = []
    for block in BLOCK.findall(page):
        for line in block.splitlines(keepends=True):
            if line.startswith("# "):
                commands.append((line[2:].rstrip("\n"), ""))
            else:
                commands[-1] = (commands[-1][0], commands[-1][1] + line)
    return commands


def session(host: Host, commands: list[str], bin: Path) -> list[str]:
    """Run the commands in one shell on the host, and return the output of each, with errors.

    The shell has its own mounts. ``bin`` is a directory for the program ``hawse``.
    """
    bin.mkdir()
    (bin / "hawse").write_text(f'#!/bin/sh\nexec {script()} "$@"\n')
    (bin / "hawse").chmod(0o755)
    mark = uuid.uuid4().hex
    text = "".join(f"{command}\nprintf '%s\\n' {mark}\n" for command in commands)
    env = host.env(PATH=f"{bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    del env["PYTHONPATH"]
    ran = subprocess.run(["ip", "netns", "exec", host.name, "bash", "-c", text], env=env, text=True, timeout=150,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    return ran.stdout.split(f"{mark}\n")[:-1]


def constant(text: str) -> str:
    """Replace each id and each time in a text by a word for its kind."""
    for pattern, word in VARYING:
        text = pattern.sub(word, text)
    return text


def recorded(page: str, outputs: list[str]) -> str:
    """Return the page's text with new outputs of its sessions, one for each command."""
    left = iter(outputs)

    def block(match: re.Match[str]) -> str:
        commands = (line for line in match[0].splitlines(keepends=True) if line.startswith("# "))
        return "".join(line + next(left) for line in commands)

    return BLOCK.sub(block, page)


def main() -> None:
    """Run the sessions of the pages that the arguments name, and write the output of the commands into the pages."""
    for name in sys.argv[1:]:
        page = Path(name)
        text = page.read_text()
        with tempfile.TemporaryDirectory() as directory:
            peer = Peer(f"hwt{os.getpid()}p", ipv6=True)
            host = Host(f"hwt{os.getpid()}h", peer, Path(directory))
            try:
                outputs = session(host, [command for command, _ in steps(text)], Path(directory) / "bin")
            finally:
                host.delete()
                peer.delete()
        page.write_text(recorded(text, outputs))


if __name__ == "__main__":
    main()
