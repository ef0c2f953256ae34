"""The tests check how the root command converts errors to messages and exit codes, and how it handles global flags."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import tomllib
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


@pytest.mark.parametrize(
    ("error", "text"),
    [(OSError(errno.ENOSPC, "No space left on device"), "no space left on device"),
     (OSError(errno.EMFILE, "Too many open files"), "too many open files"),
     (MemoryError(), "cannot allocate memory")],
)  # fmt: skip
def test_failure_of_the_system_is_no_internal_error(cli, error, text):
    cli.engine.answers["networks"]["disconnect"] = error
    result = cli("network", "disconnect", "n1", "c1")
    assert (result.code, result.err) == (1, f"hawse: {text}\n")


@pytest.mark.parametrize("how", ["flag", "environment"])
def test_debug_shows_the_traceback(cli, how):
    cli.engine.answers["networks"]["disconnect"] = RuntimeError("boom")
    cli.environ = {"HAWSE_DEBUG": "1"} if how == "environment" else {}
    flags = ["-D"] if how == "flag" else []
    result = cli(*flags, "network", "disconnect", "n1", "c1")
    assert result.code == 1
    assert result.err.startswith("Traceback (most recent call last):\n")


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 141)])
def test_an_interrupt_and_a_closed_pipe_end_the_command_silently(cli, error, code):
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
def test_output_to_a_closed_pipe(shell, code, error):
    """The reader of the output closes the pipe before hawse writes to the pipe.

    The expected results are those of Docker for ``docker --version`` and ``docker nosuch``.
    """
    script = shell.format(f"{sys.executable} -m cli")
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    result = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=environment)
    assert (result.returncode, result.stdout, result.stderr) == (code, "", error)


def test_the_flag_version_prints_one_line(cli):
    result = cli("--version")
    assert result.code == 0
    assert re.fullmatch(r"Docker version 26\.1\.5, build hawse-\d\S+\n", result.out)


def test_version_flag_with_a_command_runs_the_command(cli):
    assert cli("-v", "network", "rm", "n1").out == "n1\n"


def test_version_flag_wins_over_an_unknown_word(cli):
    assert cli("-v", "bogus").out.startswith("Docker version ")


@pytest.mark.parametrize("more", [[], ["2026-01-01T00:00:00Z"]])
def test_exited_is_passed_to_the_engine(cli, more):
    assert cli("__exited", "c" * 64, *more).code == 0
    assert cli.engine.call == ("exited", ("c" * 64, *(more or [""])), {})


def test_bytes_that_are_not_utf8_are_printed_unchanged(cli):
    assert cli("network", "rm", "n\udcff").out == "n\udcff\n"


def test_a_command_imports_neither_its_siblings_nor_a_renderer(cli, monkeypatch):
    for name in [m for m in sys.modules if m.startswith("cli.network.")]:
        monkeypatch.delitem(sys.modules, name)  # restored after the test, because other tests have imported the module
    cli("network", "disconnect", "n1", "c1")
    assert {m for m in sys.modules if m.startswith("cli.network.")} == {"cli.network.disconnect"}


@pytest.mark.parametrize(("closed", "shown"), [("<&- 2>&-", True), (">&-", False)])
def test_a_command_succeeds_with_closed_standard_streams(closed, shown):
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


SUGGESTED = [
    (["netwrok", "ls"], "hawse: 'netwrok' is not a hawse command.\nSee 'hawse --help'\n", "'hawse network'"),
    (["network", "create", "--subnt", "x"], "unknown flag: --subnt\nSee 'hawse network create --help'.\n", "--subnet"),
    (["network", "connect", "--default-rout", "x"],
     "unknown flag: --default-rout\nSee 'hawse network connect --help'.\n", "--default-route"),
    (["run", "-name", "x"], "unknown shorthand flag: 'n' in -name\nSee 'hawse run --help'.\n", "--name"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "error", "name"), SUGGESTED, ids=" ".join)
def test_the_nearest_name_is_suggested_on_a_terminal(cli, line, error, name):
    """A pipe gets only Docker's text."""
    assert cli(*line).err == error
    cli.error_terminal = True
    assert cli("--no-color", *line).err == f"{error}\nDid you mean {name}?\n"


def test_an_unknown_command_of_a_group_gets_its_suggestion_last(cli):
    cli.error_terminal = True
    assert cli("network", "craete").err.endswith("\n\nDid you mean 'hawse network create'?\n")
    assert "Did you mean" not in cli("network", "zzzz").err
    assert "Did you mean" not in cli("zzzz").err


DEPARTURES = tomllib.loads((CHECKOUT / "docs" / "departures.toml").read_text())
LACKING = {path for entry in DEPARTURES["command"] if entry["state"] == "absent" for path in entry["commands"]}
LACKING -= {"completion powershell"}  # in hawse, powershell is an argument of a command


@pytest.mark.parametrize("path", [*sorted(LACKING), "compose", "buildx"])
def test_a_command_that_hawse_lacks_says_why(cli, path):
    *group, name = path.split()
    result = cli(*group, name, "-x", "--bogus")
    line = " ".join(["hawse", *group])
    assert result.code == 1
    assert result.err.startswith(f"{line}: '{name}' is not a hawse command.\n")
    assert result.err.endswith(f"\nSee '{line} --help'\n")
    assert len(result.err.splitlines()) >= 3


def test_compose_and_update_are_told_the_socket_of_this_host(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("HAWSE_RUN", str(tmp_path))
    assert f"DOCKER_HOST=unix://{tmp_path}/docker.sock docker compose up -d" in cli("compose").err
    assert f"DOCKER_HOST=unix://{tmp_path}/docker.sock docker update --restart" in cli("update").err


def test_flags_that_mean_this_host_are_accepted(cli):
    for flags in (
        ["-H", "unix:///var/run/docker.sock"],
        ["--context", "default"],
        ["-c", "default"],
        ["--config", "/x"],
    ):
        assert cli(*flags, "network", "rm", "n1").out == "n1\n"


def test_flags_that_mean_another_host_are_refused(cli):
    """If Docker refuses the flags too, the first line of the error is Docker's."""
    failed = "Failed to initialize: unable to resolve docker endpoint:"
    for flags, error in (
        (["-H", "ssh://other"], "hawse: --host ssh://other is not this host"),
        (["-H", "unix:///a", "-H", "unix:///b"], f"{failed} Please specify only one -H"),
        (["-c", "remote"], f'{failed} context "remote": context not found'),
        (["-c", "default", "-H", "tcp://x"], "conflicting options: either specify --host or --context, not both"),
    ):
        result = cli(*flags, "network", "rm", "n1")
        assert (result.code, result.err.splitlines()[0]) == (1, error)
    assert cli.engine.calls == []


def test_an_environment_variable_that_means_another_host_is_refused(cli):
    """The first line of the error for DOCKER_CONTEXT is that of Docker 26.1.5, without the path of the missing file."""
    for environ, error in (
        ({"DOCKER_HOST": "tcp://10.0.0.1:2375"}, "hawse: DOCKER_HOST=tcp://10.0.0.1:2375 is not this host"),
        ({"DOCKER_HOST": "ssh://user@other", "DOCKER_CONTEXT": "x"}, "hawse: DOCKER_HOST=ssh://user@other is not"),
        ({"DOCKER_CONTEXT": "x"}, 'Failed to initialize: unable to resolve docker endpoint: context "x": context not'),
    ):
        cli.environ = environ
        for line in (["network", "rm", "n1"], ["ps"], ["version"], ["run", "hostfs"], ["-c", "default", "doctor"]):
            if line[0] != "-c" or "DOCKER_HOST" in environ:
                result = cli(*line)
                assert (result.code, result.out) == (1, "")
                assert result.err.startswith(error)
                assert result.err.endswith(f"To use this host: unset {next(iter(environ))}\n")
    assert cli.engine.calls == []


@pytest.mark.parametrize(
    ("environ", "flags"),
    [
        ({"DOCKER_HOST": "", "DOCKER_CONTEXT": ""}, []),
        ({"DOCKER_HOST": "unix:///var/run/docker.sock", "DOCKER_CONTEXT": "other"}, []),
        ({"DOCKER_HOST": "fd://"}, []),
        ({"DOCKER_CONTEXT": "default"}, []),
        ({"DOCKER_CONTEXT": "other"}, ["-c", "default"]),
        ({"DOCKER_HOST": "tcp://10.0.0.1:2375", "DOCKER_CONTEXT": "other"}, ["-H", "unix:///x"]),
    ],
)
def test_variables_that_mean_this_host_are_accepted(cli, environ, flags):
    cli.environ = environ
    assert cli(*flags, "network", "rm", "n1").out == "n1\n"


def test_what_acts_on_no_host_ignores_a_variable_that_means_another_host(cli):
    cli.environ = {"DOCKER_HOST": "tcp://10.0.0.1:2375"}
    for line in (["--version"], ["--help"], ["network", "--help"], ["help"], ["completion", "bash"], ["run", "--help"]):
        assert (cli(*line).code, cli(*line).err) == (0, "")
    assert cli("network", "create", "--bogus").err.startswith("unknown flag: --bogus")
    assert (cli("__complete", "networks", "0").code, cli("__complete", "networks", "0").err) == (0, "")
    assert cli("__exited", "c" * 64).code == 0


@pytest.mark.parametrize("flag", ["--explain", "--dry-run"])
def test_a_flag_of_hawse_itself_may_follow_the_command_but_not_an_image(cli, flag):
    assert "takes no arguments" not in cli("network", "ls", "--format", "x", flag).err
    assert cli("network", "ls", flag, "--nosuch").code == 125
    cli("create", "image", "command", flag)
    assert cli.engine.calls[-1][1][0].config.cmd == ("command", flag)
