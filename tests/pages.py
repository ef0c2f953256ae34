"""Run the console sessions of a page of the documentation in one shell on a host, and compare the output."""

from __future__ import annotations

import re
import subprocess
import uuid
from pathlib import Path

from tests.conftest import Host
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
    found: list[tuple[str, str]] = []
    for block in BLOCK.findall(page):
        for line in block.splitlines(keepends=True):
            if line.startswith("# "):
                found.append((line[2:].rstrip("\n"), ""))
            else:
                found[-1] = (found[-1][0], found[-1][1] + line)
    return found


def session(host: Host, commands: list[str], bin: Path) -> list[str]:
    """Run the commands in one shell on the host, and return the output of each, with errors.

    The shell has mounts of its own. ``bin`` is a directory for the program ``hawse``.
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
    """Return the text with the same words for all ids and times."""
    for pattern, word in VARYING:
        text = pattern.sub(word, text)
    return text
