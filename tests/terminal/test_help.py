"""Help on a terminal of several widths, and help in a pipe, of the real command."""

from __future__ import annotations

import subprocess
import sys

import pexpect
import pytest

from tests.terminal.conftest import CHECKOUT

GOLDEN = CHECKOUT / "tests" / "unit" / "cli" / "golden"


def on_terminal(columns: int, *argv: str) -> str:
    """Return what ``hawse`` prints on a terminal with this number of columns."""
    child = pexpect.spawn(
        sys.executable, ["-m", "cli", *argv], cwd=str(CHECKOUT), encoding="utf-8", timeout=60, dimensions=(50, columns)
    )
    child.expect(pexpect.EOF)
    child.close()
    return str(child.before).replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_options_fit_the_terminal_and_examples_follow(columns):
    shown = on_terminal(columns, "network", "connect", "--help")
    options, _, rest = shown.partition("\nContainer:\n")
    assert max(map(len, options.splitlines())) <= columns
    assert "--default-route" in options
    assert "  pid:N " in rest and "\nExamples:\n  # " in rest


def test_a_pipe_gets_dockers_bytes():
    command = [sys.executable, "-m", "cli", "network", "connect", "--help"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, stdin=subprocess.DEVNULL)
    assert ran.stdout == (GOLDEN / "network-connect.txt").read_text()


def test_a_mistake_gets_a_suggestion_on_a_terminal():
    assert on_terminal(80, "netwrok", "ls").endswith("See 'hawse --help'\n\nDid you mean 'hawse network'?\n")
