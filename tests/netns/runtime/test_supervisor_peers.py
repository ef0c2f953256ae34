"""The supervisor accepts requests only from a process on its own host that has all the rights of the supervisor."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.model import Mount
from engine.runtime import supervisor_client, syscalls
from engine.runtime.api import RuntimeFailure
from tests.conftest import let_others_pass

pytestmark = pytest.mark.netns

ASK = """
import contextlib, ctypes, os, socket, sys
ctypes.CDLL(None).prctl(15, b"\\nCapPrm:\\t1ff")  # PR_SET_NAME: a line for /proc/PID/status
directory, request = os.open(sys.argv[1], os.O_PATH), sys.argv[2].encode()
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(f"/proc/self/fd/{directory}/supervisor.sock")
    with contextlib.suppress(OSError):
        connection.sendall(b"\\0" + len(request).to_bytes(4, "big") + request)
    with contextlib.suppress(ConnectionResetError):
        print(connection.recv(65536)[5:].decode())
"""
"""A program that runs under a forged name and without hawse's code. The program sends a request to the supervisor's
socket in a HAWSE_RUN directory, and prints the answer.
"""

FILTERED = """
import ctypes, os, struct, sys
allow = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7FFF0000))  # BPF_RET, SECCOMP_RET_ALLOW
program = struct.pack("HxxxxxxQ", 1, ctypes.addressof(allow))
assert ctypes.CDLL(None).prctl(22, 2, program) == 0  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
os.execvp(sys.argv[1], sys.argv[1:])
"""

NO_CAPABILITIES = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
REFUSED = {
    "no capabilities": (NO_CAPABILITIES, "lacks some of its capabilities"),
    "one less": (["setpriv", "--bounding-set=-sys_module", "--inh-caps=-all"], "lacks some of its capabilities"),
    "all of them in a user namespace": (
        ["setpriv", "--bounding-set=-all,+setfcap", "--inh-caps=-all", "unshare", "-Ur"],
        "is in another user namespace",
    ),
    "user namespace of root": (["unshare", "-Ur"], "is in another user namespace"),
    "other network": (["unshare", "-n"], "is in another network namespace"),
    "system calls filtered": ([sys.executable, "-c", FILTERED], "is under a seccomp filter"),
}
SERVED = {
    "as the tests": [],
    "own mounts": ["unshare", "-m"],
    "own pids": ["unshare", "-pf"],
    "other root": ["unshare", "-m", "sh", "-c", 'mount --rbind / /mnt && exec chroot /mnt "$@"', "sh"],
    "another login": ["su", "-c", 'exec "$0" "$@"', "--", "root"],
    "own terminal": ["setsid"],
    "no new rights": ["setpriv", "--no-new-privs"],
    "groups": ["setpriv", "--groups", "12,34"],
}


@pytest.fixture
def running(lab):
    lab.launch("one", "sleep", "60")
    return lab


def ask(lab, *before: str, op: str = "start") -> str:
    command = [*before, sys.executable, "-c", ASK, str(lab.run_dir), json.dumps({"op": op, "id": "one"})]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()


@pytest.mark.parametrize("before, why", REFUSED.values(), ids=REFUSED)
def test_process_without_the_supervisors_rights_is_refused(running, before, why):
    assert json.loads(ask(running, *before)) == {
        "kind": "other",
        "message": f"the supervisor of containers refuses a process that {why}",
    }


@pytest.mark.parametrize("before", SERVED.values(), ids=SERVED)
def test_root_is_served_whatever_its_namespaces_session_and_groups(running, before):
    assert json.loads(ask(running, *before)) == {"ok": True}


def test_another_user_gets_no_answer_though_he_reaches_the_socket(running):
    for path, mode in ((running.run_dir, 0o755), (socket_of(running), 0o666)):
        path.chmod(mode)
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    let_others_pass(running.run_dir)
    assert ask(running, *command) == ""


def socket_of(lab) -> Path:
    return lab.run_dir / "supervisor.sock"


def test_command_that_is_refused_says_why(running):
    code = (
        "import sys; from pathlib import Path; from engine.runtime.local import LocalRuntime; "
        "run = Path(sys.argv[1]); LocalRuntime(run, run).start('one')"
    )
    command = [*NO_CAPABILITIES, sys.executable, "-c", code, str(running.run_dir)]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=20)
    assert done.stderr.endswith(
        "RuntimeFailure: the supervisor of containers refuses a process that lacks some of its capabilities\n"
    )


def test_answers_of_a_program_in_the_supervisors_place_are_not_believed(lab, tmp_path):
    """Another program listens on the supervisor's socket path and answers a command. The command must not believe the
    answer.

    A false answer could make the command move a container's interfaces to any process.
    """
    lab.run_dir.mkdir(mode=0o700)
    code = (
        "import os, socket, sys; os.chdir(sys.argv[1]); listener = socket.socket(socket.AF_UNIX)\n"
        "listener.bind('supervisor.sock'); listener.listen(); print(flush=True)\n"
        'answer = b\'{"ok": true, "pid": 1, "start": 0, "exit": 0}\'\n'
        "while True: listener.accept()[0].sendall(bytes(4) + bytes([len(answer)]) + answer)"
    )
    command = [*NO_CAPABILITIES, sys.executable, "-c", code, str(lab.run_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as impostor:
        try:
            assert impostor.stdout.readline() == b"\n"
            assert lab.launch("one", "sleep", "60").pid != 1
            assert supervisor_client.is_there(lab.run_dir)
        finally:
            impostor.kill()


def test_supervisor_without_containers_ends_when_its_namespace_is_replaced(lab):
    """A host's network namespace was deleted and created again, while the supervisor of the old namespace had no
    containers.

    The old supervisor must end, so that the new namespace gets its own supervisor.
    """
    lab.run("one", "true")
    first = lab.supervisor_pid()
    syscalls.unshare(syscalls.CLONE_NEWNET)
    assert lab.run("two", "true")[0] == 0
    assert lab.supervisor_pid() != first
    lab.await_death(first)


def test_supervisor_with_a_container_is_not_replaced_from_another_namespace(running):
    first = running.supervisor_pid()
    syscalls.unshare(syscalls.CLONE_NEWNET)
    with pytest.raises(RuntimeFailure, match="is in another network namespace"):
        running.run("two", "true")
    with pytest.raises(RuntimeFailure, match="is in another network namespace"):
        running.runtime.wait("one", 5)
    assert (running.supervisor_pid(), running.runtime.state("one").running) == (first, True)


GUARD = """
import contextlib, json, os, socket, sys, time
request = json.dumps({"op": "create", "id": "evil"}).encode()
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    connection.settimeout(1)
    with contextlib.suppress(OSError):
        connection.sendall(b"\\0" + len(request).to_bytes(4, "big") + request)
    with contextlib.suppress(OSError):
        print(connection.recv(65536)[5:])
    time.sleep(3.2)  # longer than a process must have lived to be executed again
"""


@pytest.mark.parametrize("fields", [{}, {"netns": "host", "pid_host": True}])
def test_container_that_is_given_the_socket_cannot_have_the_supervisor_execute_anything(lab, tmp_path, fields):
    marker = tmp_path / "executed"
    lab.run_dir.mkdir(mode=0o700)
    (tmp_path / "given").mkdir()
    mounts = [Mount(str(lab.run_dir), str(tmp_path / "given"))]
    attack = [sys.executable, "-c", GUARD, str(tmp_path / "given" / "supervisor.sock"), str(marker)]
    code, output = lab.run("one", *attack, mounts=mounts, **fields)
    assert (code, "lacks some of its capabilities" in output) == (0, True), output
    time.sleep(0.3)
    assert not marker.exists()


REACH = """
import ctypes, os, socket, sys
libc = ctypes.CDLL(None)
libc.setfsgid(65534), libc.setfsuid(65534)
root = os.open(f"/proc/{sys.argv[1]}/root", os.O_PATH)
libc.setfsuid(0), libc.setfsgid(0)
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(f"/proc/self/fd/{root}{sys.argv[2]}")
    print(connection.recv(65536)[5:])
"""


def test_container_with_the_hosts_pids_reaches_the_socket_but_is_refused(lab):
    """A container that shares the host's PID namespace connects to the supervisor's socket, but the supervisor refuses
    the container.

    The container reaches the socket through the root directory of another user's process. With CAP_SETUID, the
    container can become that user and access this root directory.
    """
    lab.run_dir.mkdir(mode=0o700)
    other = subprocess.Popen(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sleep", "60"])
    try:
        while "Uid:\t65534" not in Path(f"/proc/{other.pid}/status").read_text():
            time.sleep(0.01)
        script = [sys.executable, "-c", REACH, str(other.pid), str(socket_of(lab))]
        code, output = lab.run("one", *script, pid_host=True)
    finally:
        other.kill()
        other.wait()
    assert (code, "refuses a process that lacks some of its capabilities" in output) == (0, True), output
