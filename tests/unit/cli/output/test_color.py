"""The output has colour only on a terminal, and never for users who have disabled colour."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[4]
PROGRAM = """
import sys
from types import SimpleNamespace
from cli.app import App
from cli.root import run
networks = SimpleNamespace(summaries=lambda filters: [])
sys.exit(run(sys.argv[1:], App(open_engine=lambda: SimpleNamespace(networks=networks))))
"""
HEADER = b"NETWORK ID   NAME      DRIVER    SCOPE"


def on_terminal(*argv: str, **environ: str) -> bytes:
    """Run a command on a real terminal and return the bytes that the terminal receives."""
    ours, theirs = pty.openpty()
    clean = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), "TERM": "xterm-256color", **environ}
    subprocess.run([sys.executable, "-c", PROGRAM, *argv], stdin=theirs, stdout=theirs, stderr=theirs, env=clean,
                   timeout=60, check=True)  # fmt: skip
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 4096):
            seen += piece
    except OSError:  # on Linux, this error means that the other side has closed the terminal
        pass
    os.close(ours)
    return seen


def test_a_terminal_gets_a_bold_header():
    assert on_terminal("network", "ls") == b"\x1b[1m" + HEADER + b"\x1b[0m\r\n"


@pytest.mark.parametrize(
    ("argv", "environ"),
    [
        (["--no-color", "network", "ls"], {}),
        (["network", "ls"], {"NO_COLOR": "1"}),
        (["network", "ls"], {"TERM": "dumb"}),
        (["network", "ls", "--format", "{{.Name}}"], {}),
    ],
    ids=["--no-color", "NO_COLOR", "TERM=dumb", "--format"],
)
def test_a_terminal_with_colour_disabled_gets_no_escape_sequence(argv, environ):
    assert b"\x1b" not in on_terminal(*argv, **environ)


def test_a_pipe_gets_no_escape_sequence():
    ran = subprocess.run([sys.executable, "-c", PROGRAM, "network", "ls"], capture_output=True, timeout=60,
                         env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), "TERM": "xterm"})  # fmt: skip
    assert ran.stdout == HEADER + b"\n"
