"""The root command of the command line: how errors become messages and exit codes, and the global flags."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import InvalidArgument, StartFailure

GOLDEN = Path(__file__).parent / "golden"
CHECKOUT = GOLDEN.parents[3]


def test_engine_error_is_prefixed_and_exits_1(cli):
    cli.engine.answers["networks"]["disconnect"] = InvalidArgument("no such thing ")
    result = cli("network", "disconnect", "n1", "c1")
    assert (result.code, result.out, result.err) == (1, "", "Error response from daemon: no such thing\n")


def test_engine_error_keeps_its_exit_code(cli):
    cli.engine.answers["networks"]["disconnect"] = StartFailure("cannot", 126)
    assert cli("network", "disconnect", "n1", "c1").code == 126


def test_unexpected_exception_is_one_line(cli):
    cli.engine.answers["networks"]["disconnect"] = RuntimeError("boom")
    result = cli("network", "disconnect", "n1", "c1")
    assert (result.code, result.err) == (1, "hawse: internal error: RuntimeError: boom (--debug shows where)\n")


def test_file_that_cannot_be_used_is_named_with_the_reason(cli):
    cli.engine.answers["networks"]["disconnect"] = OSError(errno.EROFS, "Read-only file system", "/run/hawse")
    result = cli("network", "disconnect", "n1", "c1")
    assert (result.code, result.err) == (1, "hawse: /run/hawse: read-only file system\n")


@pytest.mark.parametrize("how", ["flag", "environment"])
def test_debug_shows_the_traceback(cli, how):
    cli.engine.answers["networks"]["disconnect"] = RuntimeError("boom")
    cli.environ = {"HAWSE_DEBUG": "1"} if how == "environment" else {}
    flags = ["-D"] if how == "flag" else []
    result = cli(*flags, "network", "disconnect", "n1", "c1")
    assert result.code == 1
    assert result.err.startswith("Traceback (most recent call last):\n")


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 141)])
def test_quiet_endings(cli, error, code):
    def end(*_args, **_keywords):
        raise error

    cli.engine.answers["networks"]["disconnect"] = end
    result = cli("network", "disconnect", "n1", "c1")
    assert (result.code, result.out, result.err) == (code, "", "")


@pytest.mark.parametrize(
    ("shell", "code", "error"),
    [
        ("{} --version > /dev/full", 1, "write /dev/stdout: no space left on device\n"),
        ("{} nosuch 2> /dev/full", 1, ""),
        ("(sleep 0.3; {} --version; echo $? >&2) | true", 0, "141\n"),
        ("((sleep 0.3; {} nosuch; echo $? >&3) 2>&1 | true) 3>&2", 0, "141\n"),
    ],
)
def test_output_that_nobody_takes(shell, code, error):
    """The reader of the output closes the pipe before hawse writes to the pipe.

    The expected results are those of Docker for ``docker --version`` and ``docker nosuch``.
    """
    script = shell.format(f"{sys.executable} -m cli")
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    result = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=environment)
    assert (result.returncode, result.stdout, result.stderr) == (code, "", error)


def test_version_flag(cli):
    result = cli("--version")
    assert result.code == 0
    assert result.out.startswith("hawse version ")


def test_version_flag_with_a_command_runs_the_command(cli):
    assert cli("-v", "network", "rm", "n1").out == "n1\n"


def test_version_flag_wins_over_an_unknown_word(cli):
    assert cli("-v", "bogus").out.startswith("hawse version ")


def test_exited_is_passed_to_the_engine(cli):
    assert cli("__exited", "c" * 64).code == 0
    assert cli.engine.call == ("exited", ("c" * 64,), {})


def test_bytes_of_the_command_line_come_out_as_they_went_in(cli):
    assert cli("network", "rm", "n\udcff").out == "n\udcff\n"


def test_a_command_imports_neither_its_siblings_nor_a_renderer(cli, monkeypatch):
    for name in [m for m in sys.modules if m.startswith("cli.network.")]:
        monkeypatch.delitem(sys.modules, name)  # puts the module back, because other tests have imported it
    cli("network", "disconnect", "n1", "c1")
    assert {m for m in sys.modules if m.startswith("cli.network.")} == {"cli.network.disconnect"}


@pytest.mark.parametrize(("closed", "shown"), [("<&- 2>&-", True), (">&-", False)])
def test_closed_standard_streams_are_no_reason_to_fail(closed, shown):
    script = f'exec "$0" -m cli network create --help {closed}'
    ran = subprocess.run(["sh", "-c", script, sys.executable], capture_output=True, text=True, timeout=30, cwd=CHECKOUT)
    golden = (GOLDEN / "network-create.txt").read_text()
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, golden if shown else "", "")


def test_a_reader_that_went_away_ends_the_command_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "cli", "network", "create", "--help"]
    ran = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=30, cwd=CHECKOUT)
    os.close(writer)
    assert (ran.returncode, ran.stderr) == (141, "")
