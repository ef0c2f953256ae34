"""A server or a command checks which process is at the other end of a socket.

The check refuses a process with fewer rights than the checking process. If the process that connected has ended, the
check also refuses another process with the same pid.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from engine.runtime import peer
from tests.installation import CHECKOUT

pytestmark = pytest.mark.netns

INHERITED_PID = """
import os, socket, sys, time
sys.path.insert(0, sys.argv[1])
from engine.runtime import peer, syscalls

def child(action):
    pid = os.fork()
    if pid == 0:
        action()
        os._exit(0)
    return pid

def connect():
    syscalls.set_capabilities(0)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect("\\0hawse-test-peer")
    child(lambda: time.sleep(20))  # keeps the connection

listener = socket.socket(socket.AF_UNIX)
listener.bind("\\0hawse-test-peer")
listener.listen()
attacker = child(connect)
os.waitpid(attacker, 0)
with open("/proc/sys/kernel/ns_last_pid", "w") as file:
    file.write(str(attacker - 1))
assert child(lambda: time.sleep(20)) == attacker  # with all capabilities
connection, _ = listener.accept()
assert peer.credentials(connection)[0] == attacker
print(peer.objection(connection, peer.own_rights()), peer.is_genuine(connection))
"""


def has_peer_pidfd() -> bool:
    left, right = socket.socketpair()
    with left, right:
        try:
            socket.close(left.getsockopt(socket.SOL_SOCKET, peer.SO_PEERPIDFD))
        except OSError:
            return False
        return True


def test_a_later_process_with_the_pid_of_the_connected_one_is_refused(netns):
    if not has_peer_pidfd():
        pytest.skip("needs SO_PEERPIDFD (Linux 6.5)")
    command = ["unshare", "-pf", "--mount-proc", sys.executable, "-c", INHERITED_PID, str(CHECKOUT)]
    assert netns.run(*command).stdout == "cannot be identified False\n"


CHANGED = """
import socket, sys, os
directory = os.open(sys.argv[1], os.O_PATH)
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(f"/proc/self/fd/{directory}/agent.sock")
    try:
        connection.sendall(sys.argv[2].encode() + b"\\n")
    except OSError:
        pass
    print(connection.recv(4096).decode(), end="")
"""


@pytest.fixture
def agent(host):
    """A host on which the agent runs."""
    host.hawse("network", "create", "app")
    host.hawse("run", "-d", "--name", "web", "--network", "app", "hostfs", "sleep", "1000")
    return host


@pytest.mark.parametrize(
    "before, answer",
    [
        ([], "ok\n"),
        (["unshare", "-m"], "ok\n"),
        (["setpriv", "--bounding-set=-all", "--inh-caps=-all"], "refused\n"),
        (["unshare", "-Ur"], "refused\n"),
    ],
)
def test_agent_serves_root_only_with_all_of_the_agents_rights(agent, before, answer):
    command = [*before, sys.executable, "-c", CHANGED, str(agent.run_dir)]
    assert agent.run(*command, "changed").stdout == answer
    assert bool(json.loads(agent.run(sys.executable, "-c", CHANGED, str(agent.run_dir), "status").stdout)["pid"])


def test_command_that_the_agent_refuses_does_not_wait_for_it(agent):
    code = "from engine.agent.client import notify; from pathlib import Path; import sys; "
    code += "run = Path(sys.argv[1]); print(notify(run, run))"
    command = ["setpriv", "--bounding-set=-sys_module", sys.executable, "-c", code, str(agent.run_dir)]
    assert agent.run(*command, cwd=CHECKOUT, timeout=5).stdout == "False\n"


FAKE = """
import os, socket, sys
os.chdir(sys.argv[1])
os.unlink("agent.sock")
listener = socket.socket(socket.AF_UNIX)
listener.bind("agent.sock")
listener.listen()
print(flush=True)
while True:
    connection, _ = listener.accept()
    connection.sendall(b"ok\\n")
"""


def test_program_without_rights_in_the_agents_place_is_not_asked(agent):
    """A program without root's rights listens on the agent's socket path. A command must not send a query to this
    program, because the command would believe any answer.
    """
    pid = json.loads(agent.run(sys.executable, "-c", CHANGED, str(agent.run_dir), "status").stdout)["pid"]
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", FAKE, str(agent.run_dir)]
    os.kill(pid, signal.SIGSTOP)  # the agent would make its socket again
    with subprocess.Popen(command, stdout=subprocess.PIPE) as impostor:
        try:
            assert impostor.stdout.readline() == b"\n"
            code = "from engine.agent.client import ask; from pathlib import Path; import sys; "
            code += "print(ask(Path(sys.argv[1]), 'changed', 5))"
            answer = agent.run(sys.executable, "-c", code, str(agent.run_dir), cwd=CHECKOUT).stdout
        finally:
            impostor.kill()
            os.kill(pid, signal.SIGCONT)
    assert answer == "None\n"
