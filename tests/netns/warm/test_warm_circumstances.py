"""A command on the warm server (a resident process that runs commands) has the same process state as without the
server.

The tests compare each part of the process state, for example the environment, the limits and the signal handlers.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from cli.launcher.launch import EXITED, SOCKET, message
from cli.warm import worker
from engine.runtime import peer
from tests.installation import CHECKOUT, script

pytestmark = pytest.mark.netns

FACTS = f"""
import json, os, resource, signal, socket, sys
sys.path.insert(0, {str(CHECKOUT)!r})

def facts(arguments):
    mask = os.umask(0); os.umask(mask)
    return json.dumps({{
        "arguments": arguments, "cwd": os.getcwd(), "umask": mask, "environment": sorted(os.environ.items()),
        "ignored": [n for n in range(1, 32) if n not in (9, 19) and signal.getsignal(n) == signal.SIG_IGN],
        "limits": [resource.getrlimit(k) for k in range(16)], "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "groups": [os.getresgid(), os.getgroups()], "processors": sorted(os.sched_getaffinity(0)),
        "policy": os.sched_getscheduler(0), "badness": open("/proc/self/oom_score_adj").read(),
        "open": [os.path.exists(f"/proc/self/fd/{{n}}") for n in range(3)], "root": os.stat("/").st_ino,
        "interfaces": socket.if_nameindex(), "mounts": [os.path.ismount(path) for path in ("/mnt", "/etc/resolv.conf")],
        "files": [getattr(sys, n) is None for n in ("stdin", "stdout", "stderr")],
    }}).encode(errors="surrogateescape")
"""
PYTHON = [sys.executable, "-IS", "-X", "utf8", "-c"]
COLD = [*PYTHON, FACTS + "os.write(int(os.environ['ANSWER']), facts(sys.argv[1:]))"]
WARM = [str(script())]


class Everyone:
    """An identity that equals every launcher's identity. The test's false server uses this identity to accept every
    launcher.
    """

    def __eq__(self, _: object) -> bool:
        return True

    __hash__ = None


@pytest.fixture
def stand_in(host):
    """A false warm server on a host. The false server runs no commands, but records the state of its own process."""
    host.run_dir.mkdir(mode=0o700, parents=True)
    facts: dict = {}
    exec(FACTS, facts)
    listener = socket.socket(socket.AF_UNIX)
    pid = os.fork()
    if pid == 0:
        os.chdir(host.run_dir)
        answer = host.run_dir.parent / "facts"
        listener.bind(SOCKET)
        listener.listen()
        identity = peer.identity(os.getpid())
        worker.identity = Everyone
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                try:
                    connection.settimeout(10)
                    output = os.open(answer, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                    arguments = worker.negotiate(connection, identity)
                    os.write(output, facts["facts"](arguments))
                    connection.sendall(message(EXITED, 7))
                finally:
                    os._exit(0)
            connection.close()
    while not (host.run_dir / os.fsdecode(SOCKET)).exists():
        pass
    yield host
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def observed(host, program, shell):
    """Return the process state that ``program`` reports. The script ``shell`` sets up the state and then runs the
    program.
    """
    answer = host.run_dir.parent / "facts"
    command = [*program, "one", "tw\udcffo", "", "--three"]
    with answer.open("wb") as output:
        environment = {**host.env(HAWSE_WARM="only"), "ANSWER": str(output.fileno()), "EMPTY": "", "TZ": "Asia/Tokyo"}
        result = subprocess.run(
            ["ip", "netns", "exec", host.name, "sh", "-c", shell, "sh", *command],
            env=environment,
            pass_fds=[output.fileno()],
            timeout=30,
            stdin=subprocess.DEVNULL,
        )
    assert result.returncode == (0 if program is COLD else 7)
    return json.loads(answer.read_bytes())


SHELLS = {
    "plain": 'exec "$@"',
    "directory": 'cd /usr/share; umask 027; exec "$@"',
    "limits": 'ulimit -n 900; ulimit -Sc 0; exec "$@"',
    "deaf": 'trap "" INT HUP TERM; exec "$@"',
    "no input": 'exec "$@" <&-',
    "no output": 'exec "$@" >&-',
    "no streams": 'exec "$@" <&- >&- 2>&-',
    "patient": 'exec nice -n 5 "$@"',
    "groups": 'exec setpriv --regid 12 --groups 12,34 "$@"',
    "no groups": 'exec setpriv --clear-groups "$@"',
    "one processor": 'exec taskset -c 0 "$@"',
    "batch": 'exec chrt -b 0 "$@"',
    "expendable": 'echo 500 > /proc/self/oom_score_adj; exec "$@"',
    "own mounts": 'exec unshare -m sh -c \'mount -t tmpfs tmpfs /mnt && exec "$@"\' sh "$@"',
    "own network": 'exec unshare -n "$@"',
    "other root": 'exec unshare -m sh -c \'mount --rbind / /mnt && exec chroot /mnt "$@"\' sh "$@"',
}


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_the_process_state_of_a_command_is_that_of_its_caller(stand_in, shell):
    cold, warm = observed(stand_in, COLD, shell), observed(stand_in, WARM, shell)
    for observation in (cold, warm):
        observation["environment"] = [pair for pair in observation["environment"] if pair[0] not in ("ANSWER", "PWD")]
    assert warm == cold  # both process states lack PWD, which the launcher's shell sets
