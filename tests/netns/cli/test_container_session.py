"""A user works with real containers. The tests check streams, exit codes and signals, and what is left behind."""

from __future__ import annotations

import signal
import subprocess

import pexpect
import pytest

from tests.conftest import until

LOOP = "while :; do sleep 0.05; done"


def test_foreground_streams_and_exit_code(host):
    result = host.hawse(
        "run", "--rm", "-i", "hostfs", "sh", "-c", "cat; echo err >&2; exit 7", input="in\n", check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (7, "in\n", "err\n")
    assert host.hawse("ps", "-aq").stdout == ""


def test_background_logs_exec_and_attached_start(host):
    host.hawse("run", "-d", "--name", "job", "hostfs", "sh", "-c", f"echo out; echo err >&2; {LOOP}")
    assert host.hawse("exec", "-e", "A=1", "job", "sh", "-c", "echo $A; exit 4", check=False).returncode == 4
    assert host.hawse("exec", "job", "nosuch", check=False).returncode == 126
    log = host.hawse("logs", "job")
    assert (log.stdout, log.stderr) == ("out\n", "err\n")
    assert host.hawse("stop", "-t", "0", "job").stdout == "job\n"
    host.hawse("create", "--name", "echo", "-i", "hostfs", "cat")
    assert host.hawse("start", "-ai", "echo", input="data\n").stdout == "data\n"


def test_signals_reach_the_container(host):
    script = f"trap 'echo ended; exit 9' TERM; echo ready; {LOOP}"
    command = host.command("run", "--rm", "hostfs", "sh", "-c", script)
    process = subprocess.Popen(command, env=host.env(), stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30) == ("ended\n", None)
    assert process.returncode == 9


def test_commands_that_cannot_be_executed(host):
    assert host.hawse("run", "hostfs", "nosuch", check=False).returncode == 127
    failed = host.hawse("run", "-d", "hostfs", "/etc", check=False)
    assert failed.returncode == 126
    assert len(failed.stdout) == 65
    assert "See 'hawse run --help'" not in failed.stderr


def test_a_container_can_have_a_terminal_even_if_the_command_has_none(host):
    assert host.hawse("run", "-t", "hostfs", "sh", "-c", "test -t 1 && echo yes").stdout == "yes\n"


@pytest.mark.parametrize("line", [("logs", "-f", "job"), ("stop", "-t", "60", "job")], ids=lambda line: line[0])
def test_ctrl_c_leaves_the_prompt_on_a_line_of_its_own(host, line):
    host.hawse("run", "-d", "--name", "job", "hostfs", "sh", "-c", f"trap 'echo asked' TERM; echo ready; {LOOP}")
    env = host.env(NO_COLOR="1")
    shown = pexpect.spawn(host.command()[0], host.command(*line)[1:], env=env, encoding="utf-8", timeout=30)
    if line[0] == "logs":
        shown.expect("ready\r\n")
    else:
        until(lambda: "asked" in host.hawse("logs", "job").stdout)
    shown.sendintr()
    shown.expect(pexpect.EOF)
    assert shown.before == "^C\r\n"
    shown.close()
    assert shown.exitstatus == 130


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_a_terminal_shows_that_a_stop_waits_for_a_container(host, verb):
    host.hawse("run", "-d", "--name", "job", "hostfs", "sh", "-c", f"trap '' TERM; echo ready; {LOOP}")
    until(lambda: "ready" in host.hawse("logs", "job").stdout)
    command, env = host.command(verb, "-t", "2", "job"), host.env(TERM="xterm")
    shown = pexpect.spawn(command[0], command[1:], env=env, encoding="utf-8", timeout=30)
    shown.expect("Waiting for job to end")
    shown.expect("job\r\n")
    shown.expect(pexpect.EOF)
    shown.close()
    assert shown.exitstatus == 0
