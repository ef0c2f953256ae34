"""hawse executes commands in a running container, as ``docker exec`` does."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pexpect
import pytest

from engine.runtime.api import RuntimeFailure
from tests.conftest import loaded, until

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("either")]

RUNC = "OCI runtime exec failed: exec failed: unable to start container process: "


@pytest.fixture
def box(lab, either):
    lab.launch("one", "sleep", "60", hostname="box", cwd="/usr", env=["FROM=container"], user="")
    return lab


def test_shares_all_namespaces_with_the_container(box):
    pid = box.pid("one")
    for kind in ("mnt", "net", "uts", "ipc", "pid"):
        assert box.exec("one", "readlink", f"/proc/self/ns/{kind}")[1].strip() == os.readlink(f"/proc/{pid}/ns/{kind}")
    assert box.exec("one", "cat", "/proc/1/comm") == (0, "sleep\n")


def test_exit_code_output_input(box):
    assert box.exec("one", "sh", "-c", "echo out; echo err >&2; exit 5") == (5, "out\nerr\n")
    assert box.exec("one", "sh", "-c", "kill -9 $$")[0] == 137
    assert box.exec("one", "cat", stdin=b"data") == (0, "data")
    assert box.exec("one", "readlink", "/proc/self/fd/0") == (0, "/dev/null\n")


def test_environment_directory_user_and_rights(box):
    assert box.exec("one", "sh", "-c", "echo $FROM $EXTRA $HOME; pwd", env=["EXTRA=x"]) == (
        0,
        "container x /root\n/usr\n",
    )
    assert box.exec("one", "sh", "-c", "echo [$FROM]", env=["FROM"]) == (0, "[]\n")  # a name without "=" is unset
    assert box.exec("one", "sh", "-c", "id -u; id -g", user="+5:6:7") == (0, "5\n6\n")
    assert box.exec("one", "sh", "-c", "id -u; pwd", user="5", working_dir="/etc")[1] == "5\n/etc\n"
    assert "00000000a80425fb" in box.exec("one", "grep", "CapEff", "/proc/self/status")[1]
    ours = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff"))
    assert box.exec("one", "grep", "CapEff", "/proc/self/status", privileged=True)[1].strip() == ours
    assert box.exec("one", "ls", "/proc/self/fd")[1].split() == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("command", "fields", "kind", "text"),
    [
        ("nosuch", {}, "not-found", RUNC + 'exec: "nosuch": executable file not found in $PATH: unknown'),
        ("/etc", {}, "permission", RUNC + 'exec: "/etc": is a directory: unknown: permission denied'),
        ("/etc/hosts", {}, "permission", RUNC + 'exec: "/etc/hosts": permission denied: unknown'),
        ("true", {"user": "x"}, "bad-user", "unable to find user x: no matching entries in passwd file"),
        ("true", {"user": "99999999999"}, "bad-user", "uids and gids must be in range 0-2147483647"),
        ("true", {"user": "0:-1"}, "bad-user", "uids and gids must be in range 0-2147483647"),
        (
            "true",
            {"working_dir": "/nosuch"},
            "not-found",
            RUNC + 'chdir to cwd ("/nosuch") set in config.json failed: no such file or directory: unknown',
        ),
        (
            "true",
            {"working_dir": "/bin/sh"},
            "bad-cwd",
            RUNC + 'chdir to cwd ("/bin/sh") set in config.json failed: not a directory: unknown: Are you trying to '
            "mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the "
            "expected type",
        ),
        (
            "true",
            {"working_dir": "rel"},
            "bad-cwd",
            "OCI runtime exec failed: exec failed: Cwd must be an absolute path: unknown",
        ),
    ],
)
def test_failures_are_in_dockers_words(box, command, fields, kind, text):
    with pytest.raises(RuntimeFailure) as failure:
        box.exec("one", command, **fields)
    assert (failure.value.kind, str(failure.value)) == (kind, text)


def test_detached_command_continues(box):
    began = time.monotonic()
    assert box.exec("one", "sh", "-c", "sleep 1.5; echo done > /dev/shm/proof", detach=True) == (0, "")
    assert time.monotonic() - began < loaded(1.5)
    for _ in range(100):
        code, output = box.exec("one", "cat", "/dev/shm/proof")
        if code == 0:
            break
        time.sleep(0.05)
    assert output == "done\n"
    with pytest.raises(RuntimeFailure, match="nosuch"):
        box.exec("one", "nosuch", detach=True)


def test_exec_in_an_ended_container_is_refused(lab):
    lab.run("one", "true")
    with pytest.raises(RuntimeFailure, match="not running"):
        lab.exec("one", "true")


def test_exec_terminal_passes_size_input_and_exit_code(box):
    inner = (
        "import sys; from pathlib import Path; from engine.runtime.local import LocalRuntime\n"
        "from engine.runtime.api import Stdio; from engine.model import ExecCreate\n"
        "runtime = LocalRuntime(Path(sys.argv[1]), Path(sys.argv[1]) / 'run')\n"
        "sys.exit(runtime.exec('one', ExecCreate(cmd=sys.argv[2:], tty=True, attach_stdin=True), Stdio()))"
    )
    script = (
        "tty; stty size; echo $TERM; read line; echo got $line; "
        "trap 'stty size; exit 6' WINCH; while :; do sleep 0.1; done"
    )
    child = pexpect.spawn(
        sys.executable,
        ["-c", inner, str(box.state), "sh", "-c", script],
        cwd=str(Path(__file__).parents[3]),
        dimensions=(33, 77),
        timeout=10,
    )
    child.expect("/dev/pts/0\r\n33 77\r\nxterm\r\n")
    child.sendline("hello")
    child.expect("got hello\r\n")
    time.sleep(0.2)
    child.setwinsize(44, 88)
    child.expect("44 88\r\n")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 6


def test_interrupted_caller_leaves_the_command_running(box):
    inner = (
        "import sys; from pathlib import Path; from engine.runtime.local import LocalRuntime\n"
        "from engine.runtime.api import Stdio; from engine.model import ExecCreate\n"
        "runtime = LocalRuntime(Path(sys.argv[1]), Path(sys.argv[1]) / 'run')\n"
        "sys.exit(runtime.exec('one', ExecCreate(cmd=['sleep', '55']), Stdio()))"
    )
    child = pexpect.spawn(sys.executable, ["-c", inner, str(box.state)], cwd=str(Path(__file__).parents[3]))

    def count() -> str:
        return box.exec("one", "pgrep", "-cxf", "sleep 55")[1]

    until(lambda: count() == "1\n", 30)
    began = time.monotonic()
    child.sendintr()
    child.expect(pexpect.EOF)
    # Only the caller had the terminal open. Otherwise pexpect finds after its timeout that the caller has ended.
    assert time.monotonic() - began < child.timeout
    child.close()
    assert b"KeyboardInterrupt" in child.before
    assert count() == "1\n"


def test_users_terminal_does_not_enter_the_container(box):
    inner = (
        "import sys; from pathlib import Path; from engine.runtime.local import LocalRuntime\n"
        "from engine.runtime.api import Stdio; from engine.model import ExecCreate\n"
        "runtime = LocalRuntime(Path(sys.argv[1]), Path(sys.argv[1]) / 'run')\n"
        "sys.exit(runtime.exec('one', ExecCreate(cmd=sys.argv[2:], attach_stdin=True), Stdio()))"
    )
    script = "for fd in 0 1 2; do test -t $fd && echo terminal $fd; done; read line; echo got $line >&2; cat; exit 7"
    child = pexpect.spawn(
        sys.executable,
        ["-c", inner, str(box.state), "sh", "-c", script],
        cwd=str(Path(__file__).parents[3]),
        timeout=10,
    )
    child.sendline("hello")
    child.expect("got hello\r\n")
    assert b"terminal" not in child.before
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 7
