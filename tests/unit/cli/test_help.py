"""Help and errors of the command line: the bytes are those recorded from a real docker (see golden/record.py)."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"
HELP = sorted(path for path in GOLDEN.glob("*.txt") if path.name != "errors.txt")
TRANSCRIPTS = (GOLDEN / "errors.txt").read_text().rstrip("\n").split("\n\n")


def words(path: Path) -> list[str]:
    return path.stem.split("-")


@pytest.mark.parametrize("golden", HELP, ids=lambda path: path.stem)
def test_help_equals_dockers(cli, golden):
    result = cli(*words(golden), "--help")
    assert (result.code, result.out, result.err) == (0, golden.read_text(), "")


@pytest.mark.parametrize("golden", HELP, ids=lambda path: path.stem)
def test_help_command_prints_the_same(cli, golden):
    assert cli("help", *words(golden)).out == golden.read_text()


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda text: text.split("\n")[0])
def test_error_equals_dockers(cli, transcript):
    command, code, *output = transcript.split("\n")
    result = cli(*shlex.split(command.removeprefix("$ ")))
    lines = [
        f"{mark}| {line}" for mark, text in (("o", result.out), ("e", result.err)) for line in text.split("\n")[:-1]
    ]
    assert (f"exit: {result.code}", lines) == (code, output)
    assert cli.engine.calls == []


def test_help_is_wrapped_to_the_terminal(cli, monkeypatch):
    monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((60, 24)))
    lines = cli("network", "create", "--help").out.split("\n")
    assert "      --attachable           Enable manual container" in lines
    assert max(map(len, lines)) <= 60


def test_the_list_of_all_commands_names_hawse_only(cli):
    result = cli("--help")
    assert result.code == 0
    assert result.out.startswith("\nUsage:  hawse [OPTIONS] COMMAND\n\nDocker's networks for any Linux process\n")
    assert "  network     Manage networks\n" in result.out
    assert "__exited" not in result.out


def test_no_command_prints_help_on_stderr(cli):
    result = cli()
    assert (result.code, result.out, result.err) == (0, "", cli("--help").out)


def test_unknown_global_flag(cli):
    result = cli("--bogus")
    assert result.code == 125
    assert result.err.startswith("unknown flag: --bogus\nSee 'hawse --help'.\n\nUsage:  hawse [OPTIONS] COMMAND\n")
