"""On a terminal, hawse escapes control characters in names, labels and messages.

A pipe gets the bytes unchanged, as with Docker.
"""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess

import pytest

pytestmark = pytest.mark.netns

HOSTILE = "a\x1b[2Jb\u202ec\x07\u009bd\x7fe\nf\tg"
SPELLED = r"a\u001b[2Jb\u202ec\u0007\u009bd\u007fe\nf\tg"
BOLD, RED, PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[0m"
UNSAFE = re.compile("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def hostile(host):
    """A host with a network and a container whose labels and command contain control characters."""
    host.hawse("network", "create", "--label", f"key={HOSTILE}", HOSTILE)
    host.hawse("create", "--name", "one", "--label", f"key={HOSTILE}", "-e", f"X={HOSTILE}", "hostfs", "echo", HOSTILE)
    return host


def on_terminal(host, *argv: str) -> str:
    """Run a command on a terminal, and return its standard output and errors in the order of their arrival."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        host.command(*argv), env=host.env(TERM="xterm"), stdin=theirs, stdout=theirs, stderr=theirs
    ) as command:
        os.close(theirs)
        output = b""
        while data := _read(ours):
            output += data
        command.wait(30)
    os.close(ours)
    return output.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # a terminal reports the end of its output by this error
        return b""


LISTS = {
    ("network", "ls"): f"{SPELLED}   bridge    local",
    ("network", "ls", "--format", "{{.Name}}|{{.Labels}}"): f"{SPELLED}|key={SPELLED}",
    ("network", "ls", "--format", "table {{.Name}}\t{{.Label \"key\"}}!"): f"{SPELLED}   {SPELLED}!",
    ("network", "ls", "--format", "{{json .Labels}}"): f'"key={SPELLED}"',
    ("network", "ls", "--format", "{{upper .Name}}"): r"A\u001b[2JB\u202eC\u0007\u009bD\u007fE\nF\tG",
    ("ps", "-a", "--format", "{{.Names}} {{.Labels}}"): f"one key={SPELLED}",
    ("ps", "-a", "--format", "{{json .}}"): f'"Labels":"key={SPELLED}"',
    ("inspect", "-f", "{{range .Config.Env}}{{println .}}{{end}}", "one"): f"X={SPELLED}\n",
    ("inspect", "-f", '{{join .Config.Env "\\n"}}', "one"): f"X={SPELLED}\n",
    ("inspect", "-f", "{{.Config.Labels}}", "one"): f"map[key:{SPELLED}]",
    ("inspect", "-f", "{{json .Config.Labels}}", "one"): f'{{"key":"{SPELLED}"}}',
    ("inspect", "one"): f'"key": "{SPELLED}"',
    ("network", "inspect", HOSTILE): f'"Name": "{SPELLED}"',
}  # fmt: skip


def test_what_is_listed_is_escaped_on_a_terminal_and_unchanged_in_a_pipe(hostile):
    for argv, expected in LISTS.items():
        shown = on_terminal(hostile, *argv)
        assert expected in shown, (argv, shown)
        assert UNSAFE.findall(shown.replace(BOLD, "").replace(PLAIN, "")) == [], argv
    piped = hostile.hawse("network", "ls", "--format", "{{.Name}}|{{.Labels}}").stdout
    assert piped.startswith(f"{HOSTILE}|key={HOSTILE}\n")
    assert hostile.hawse("inspect", "-f", "{{index .Config.Env 0}}", "one").stdout == f"X={HOSTILE}\n"


def test_json_on_a_terminal_has_the_same_values(hostile):
    shown = json.loads(on_terminal(hostile, "inspect", "one"))
    assert shown == json.loads(hostile.hawse("inspect", "one").stdout)
    assert shown[0]["Config"]["Labels"]["key"] == HOSTILE


def test_columns_line_up_on_a_terminal(hostile):
    lines = on_terminal(hostile, "network", "ls").replace(BOLD, "").replace(PLAIN, "").splitlines()
    assert len({line.index(word) for line, word in zip(lines, ("DRIVER", "bridge ", "bridge ", "host "), strict=False)
                if line.startswith("NETWORK") or SPELLED in line}) == 1  # fmt: skip


def test_control_characters_of_the_user_s_template_are_printed(hostile):
    template = BOLD + '{{.Name}}{{print "\\x1b[0m"}}'
    assert on_terminal(hostile, "network", "ls", "-f", "name=c", "--format", template) == f"{BOLD}{SPELLED}{PLAIN}\n"


ERRORS = {
    ("network", "rm", f"no{HOSTILE}"): f"Error response from daemon: network no{SPELLED} not found\n",
    ("inspect", f"no{HOSTILE}"): f"[]\nError: No such object: no{SPELLED}\n",
    ("rm", f"no{HOSTILE}"): f"Error response from daemon: No such container: no{SPELLED}\n",
    ("network", "create", HOSTILE): f"Error response from daemon: network with name {SPELLED} already exists\n",
    ("network", "rm", HOSTILE): f"{SPELLED}\n",
}  # fmt: skip


def test_messages_are_escaped_on_a_terminal(hostile):
    for argv, expected in ERRORS.items():
        shown = on_terminal(hostile, *argv)
        assert re.sub(r"\x1b\[31m\x1b\[1m(Error:?)\x1b\[0m", r"\1", shown) == expected


def test_command_that_cannot_be_executed_is_named_without_control_characters(hostile):
    shown = on_terminal(hostile, "run", "hostfs", "no\x1b[2J\nsuch")
    assert UNSAFE.findall(shown.replace(RED, "").replace(BOLD, "").replace(PLAIN, "")) == []
    assert shown.count("\n") == 1
    assert r'exec: "no\u001b[2J\nsuch": executable file not found' in shown


def test_output_of_a_container_is_not_escaped(hostile):
    script, red = r"printf 'a\033[31mb\033[0m\n'", "a\x1b[31mb\x1b[0m\n"
    for argv in (
        ("run", "-t", "--name", "two", "hostfs", "sh", "-c", script),
        ("logs", "two"),
        ("start", "-a", "two"),
        ("run", "hostfs", "sh", "-c", script),
    ):
        assert on_terminal(hostile, *argv).replace("\r", "").startswith(red), argv
    hostile.hawse("run", "-d", "--name", "three", "hostfs", "sleep", "60")
    assert on_terminal(hostile, "exec", "-t", "three", "sh", "-c", script).replace("\r", "") == red
