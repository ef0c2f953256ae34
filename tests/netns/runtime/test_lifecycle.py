"""The tests check the life of a container: its namespaces, start, signals, exit code and deletion."""

from __future__ import annotations

import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.runtime import protocol
from engine.runtime.api import RuntimeFailure
from engine.runtime.local import LocalRuntime
from tests.conftest import loaded

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("either")]

RUNC = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: "
    "runc create failed: unable to start container process: "
)


def test_each_container_has_namespaces_of_its_own(lab):
    created = lab.launch("one", "sleep", "60", hostname="box")
    for kind in ("mnt", "net", "uts", "ipc", "pid"):
        assert os.readlink(f"/proc/{created.pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"), kind
    assert os.readlink(created.netns) == os.readlink(f"/proc/{created.pid}/ns/net")
    assert lab.exec("one", "hostname") == (0, "box\n")


def test_network_namespace_exists_before_the_command_runs(lab):
    created = lab.runtime.create(lab.spec("one", "ip", "-br", "link"))
    os.system(f"nsenter --net={created.netns} ip link add plumbed type bridge")
    assert not lab.runtime.state("one").running
    lab.runtime.start("one")
    assert lab.runtime.wait("one", timeout=10) == 0
    assert "plumbed" in lab.output("one")


def test_host_network_is_the_callers(lab, netns):
    lab.launch("one", "sleep", "60", netns="host")
    lab.launch("two", "sleep", "60", netns=netns.path)
    inodes = {os.stat(f"/proc/{lab.pid(name)}/ns/net").st_ino for name in ("one", "two")}
    assert inodes == {os.stat(netns.path).st_ino}


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$; exit 1", 1)])
def test_exit_code_is_the_commands(lab, script, code):
    assert lab.run("one", "sh", "-c", script)[0] == code
    state = lab.runtime.state("one")
    assert (state.running, state.exit_code, state.pid) == (False, code, 0)
    assert 0 < state.started_at <= state.finished_at <= time.time()


def test_kill_gives_128_plus_the_signal(lab):
    lab.launch("one", "sleep", "60")
    lab.runtime.signal("one", signal.SIGKILL)
    assert lab.runtime.wait("one", timeout=5) == 137


def test_first_process_gets_signals_it_handles_and_ignores_the_others(lab):
    lab.launch("one", "sh", "-c", "trap 'exit 4' TERM; echo ready; while :; do sleep 0.1; done")
    lab.await_output("one", "ready")
    lab.runtime.signal("one", signal.SIGUSR1)
    assert lab.runtime.wait("one", timeout=0.3) is None
    lab.runtime.signal("one", signal.SIGTERM)
    assert lab.runtime.wait("one", timeout=5) == 4


def test_signal_after_the_end_does_nothing(lab):
    lab.run("one", "true")
    lab.runtime.signal("one", signal.SIGTERM)
    lab.runtime.signal("never-made", signal.SIGTERM)


@pytest.mark.parametrize(
    ("command", "kind", "text"),
    [
        ("nosuch", "not-found", RUNC + 'exec: "nosuch": executable file not found in $PATH: unknown'),
        ("", "not-found", RUNC + 'exec: "": executable file not found in $PATH: unknown'),
        ("/no/x", "not-found", RUNC + 'exec: "/no/x": stat /no/x: no such file or directory: unknown'),
        ("/etc", "permission", RUNC + 'exec: "/etc": is a directory: unknown: permission denied'),
        ("/etc/passwd", "permission", RUNC + 'exec: "/etc/passwd": permission denied: unknown'),
    ],
)
def test_command_that_cannot_be_executed_fails_at_start_in_dockers_words(lab, command, kind, text):
    lab.runtime.create(lab.spec("one", command))
    with pytest.raises(RuntimeFailure) as failure:
        lab.runtime.start("one")
    assert (failure.value.kind, str(failure.value)) == (kind, text)
    assert not lab.runtime.state("one").running
    lab.runtime.delete("one")
    assert lab.run("one", "true")[0] == 0


@pytest.mark.parametrize(
    ("fields", "kind", "text"),
    [
        ({"user": "nosuch"}, "bad-user", "unable to find user nosuch: no matching entries in passwd file"),
        ({"user": "5:nosuch"}, "bad-user", "unable to find group nosuch: no matching entries in group file"),
        ({"cwd": "/etc/passwd"}, "bad-cwd", "Cannot mkdir: /etc/passwd is not a directory"),
        (
            {"sysctls": {"net.nosuch": "1"}},
            "not-found",
            RUNC + "error during container init: open /proc/sys/net/nosuch: no such file or directory: unknown",
        ),
        (
            {"sysctls": {"net.ipv4.ip_forward": "xx"}},
            "other",
            RUNC + "error during container init: write /proc/sys/net/ipv4/ip_forward: invalid argument: unknown",
        ),
    ],
)
def test_wrong_settings_fail_at_start_in_dockers_words(lab, fields, kind, text):
    lab.runtime.create(lab.spec("one", "true", **fields))
    with pytest.raises(RuntimeFailure) as failure:
        lab.runtime.start("one")
    assert (failure.value.kind, str(failure.value)) == (kind, text)


def test_program_that_the_kernel_cannot_execute_is_reported_in_the_containers_output(lab, tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    assert lab.run("one", str(script)) == (1, f"exec {script}: no such file or directory\n")


def test_environment_user_and_directory(lab):
    output = lab.sh("id -u; id -g; pwd; echo $A $HOME", user="1:2", cwd="/usr/lib", env=["A=b c"])
    assert output == "1\n2\n/usr/lib\nb c /usr/sbin\n"


def test_default_capabilities_are_dockers(lab):
    words = "grep -h ^Cap /proc/self/status | sort"
    assert lab.sh(words).split()[1::2] == [
        "0" * 16,
        "00000000a80425fb",
        "00000000a80425fb",
        "0" * 16,
        "00000000a80425fb",
    ]
    assert "CapBnd:\t00000000a80435fb" in lab.sh(words, cap_add=["NET_ADMIN"])
    assert "CapBnd:\t0000000000001000" in lab.sh(words, cap_drop=["ALL"], cap_add=["CAP_NET_ADMIN"])
    assert "CapEff:\t0000000000000000" in lab.sh(words, user="5")
    ours = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff"))
    assert ours in lab.sh(words, privileged=True)


def test_sysctls_are_set_in_the_containers_namespace(lab):
    assert lab.sh("cat /proc/sys/net/ipv4/ip_forward", sysctls={"net.ipv4.ip_forward": "1"}) == "1\n"


def test_users_without_rights_have_low_ports_and_ping(lab):
    """Users other than root can bind low ports and send pings in a container, as in Docker."""
    names = [f"/proc/sys/net/ipv4/{name}" for name in ("ip_unprivileged_port_start", "ping_group_range")]
    assert lab.sh(f"cat {' '.join(names)}") == "0\n0\t2147483647\n"
    try_both = "import socket; socket.socket(2, 2, socket.IPPROTO_ICMP); socket.create_server(('', 80))"
    assert lab.sh(f'/usr/bin/python3 -c "{try_both}" && echo both', user="5") == "both\n"
    other = {"net.ipv4.ip_unprivileged_port_start": "80"}
    assert lab.sh(f"cat {names[0]}", sysctls=other) == "80\n"
    value = Path(names[0]).read_text()
    assert lab.sh(f"cat {names[0]}", netns="host") == value != "0\n"


def test_no_descriptor_of_the_caller_is_inherited(lab):
    assert lab.sh("ls /proc/self/fd").split() == ["0", "1", "2", "3"]


def test_a_container_in_the_hosts_pid_namespace_ends_on_sigterm(lab):
    created = lab.launch("one", "sleep", "60", pid_host=True)
    assert os.readlink(f"/proc/{created.pid}/ns/pid") == os.readlink("/proc/self/ns/pid")
    assert lab.exec("one", "readlink", "/proc/self/ns/pid")[1].strip() == os.readlink("/proc/self/ns/pid")
    lab.runtime.signal("one", signal.SIGTERM)
    assert lab.runtime.wait("one", timeout=5) == 143


def test_wait_gives_up_after_the_timeout(lab):
    lab.launch("one", "sleep", "60")
    began = time.monotonic()
    assert lab.runtime.wait("one", timeout=0.2) is None
    assert 0.15 < time.monotonic() - began < loaded(2)


def test_exit_code_is_known_to_waiters_after_deletion(lab):
    lab.launch("one", "sh", "-c", "sleep 0.1; exit 6")
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(lab.runtime.wait, "one", 10)
        time.sleep(0.5)
        lab.runtime.delete("one")
        assert waiting.result() == 6
    assert lab.runtime.wait("one") == 6


def test_delete_kills_removes_and_may_be_repeated(lab):
    created = lab.launch("one", "sleep", "60")
    for _ in range(2):
        lab.runtime.delete("one")
        assert not Path(f"/proc/{created.pid}").exists()
        assert list((lab.run_dir / "containers").iterdir()) == []
        assert not lab.runtime.state("one").running
    lab.runtime.delete("never-made")


def test_id_may_be_used_again(lab):
    lab.launch("one", "sleep", "60")
    with pytest.raises(RuntimeFailure, match="is running"):
        lab.runtime.create(lab.spec("one", "true"))
    lab.runtime.signal("one", signal.SIGKILL)
    lab.runtime.wait("one")
    assert lab.run("one", "sh", "-c", "exit 5")[0] == 5


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "/etc", "a\0b"])
def test_id_cannot_be_a_path(lab, name):
    with pytest.raises(ValueError, match="not a container id"):
        lab.runtime.delete(name)


def test_on_exit_runs_after_the_end(lab, tmp_path):
    proof = tmp_path / "proof"
    script = 'echo "$WHO $(readlink /proc/self/ns/net)" > "$0.new"; mv "$0.new" "$0"'
    lab.run("one", "true", on_exit=["sh", "-c", script, str(proof)], on_exit_env={"WHO": "me"})
    await_file(proof)
    assert proof.read_text().split() == ["me", os.readlink("/proc/thread-self/ns/net")]


def await_file(path: Path) -> None:
    for _ in range(200):
        if path.exists():
            return
        time.sleep(0.02)
    raise AssertionError(f"{path} does not appear")


def test_on_exit_does_not_run_if_a_caller_handles_the_end(lab, tmp_path):
    proofs = [tmp_path / name for name in ("one", "two")]
    for proof in proofs:
        lab.launch(proof.name, "sleep", "60", on_exit=["touch", str(proof)])
    with lab.runtime.ending("one"):
        lab.runtime.signal("one", signal.SIGKILL)
        assert lab.runtime.wait("one", timeout=5) == 137
        lab.runtime.delete("one")
    lab.runtime.signal("two", signal.SIGKILL)  # the same supervisor also handles the end of container "two"
    await_file(proofs[1])
    assert not proofs[0].exists()


def test_on_exit_runs_if_the_caller_does_not_handle_the_end(lab, tmp_path):
    proof = tmp_path / "proof"
    lab.launch("one", "sleep", "60", on_exit=["touch", str(proof)])
    with lab.runtime.ending("one"):
        lab.runtime.signal("one", signal.SIGKILL)
        assert lab.runtime.wait("one", timeout=5) == 137
        assert not proof.exists()
    await_file(proof)


def test_on_exit_runs_if_the_caller_that_handles_the_end_is_killed(lab, tmp_path):
    proof = tmp_path / "proof"
    lab.launch("one", "sleep", "60", on_exit=["touch", str(proof)])
    settler = os.fork()
    if settler == 0:
        with lab.runtime.ending("one"):
            lab.runtime.signal("one", signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(settler, 0)
    await_file(proof)


def test_on_exit_runs_if_the_caller_ends_before_it_gets_the_reply(lab, tmp_path):
    proof = tmp_path / "proof"
    lab.launch("one", "sleep", "60", on_exit=["touch", str(proof)])
    supervisor = lab.supervisor_pid()
    os.kill(supervisor, signal.SIGSTOP)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(lab.run_dir / "supervisor.sock"))
        protocol.send(client, {"op": "hold", "id": "one"})
    os.kill(supervisor, signal.SIGCONT)
    lab.run("two", "true")  # the supervisor has handled the earlier request when it handles this one
    lab.runtime.signal("one", signal.SIGKILL)
    await_file(proof)


def test_twenty_containers_at_once(lab):
    def live(number: int) -> int:
        runtime = LocalRuntime(lab.state / "root", lab.run_dir)
        name = f"c{number}"
        layer = {"overlay_dir": str(lab.state / name)} if "overlay_dir" in lab.defaults else {}
        runtime.create(lab.spec(name, "sh", "-c", f"echo {name}; exit {number}", **layer))
        runtime.start(name)
        return runtime.wait(name, timeout=30)

    with ThreadPoolExecutor(20, initializer=lab.enter_namespace) as pool:
        assert list(pool.map(live, range(20))) == list(range(20))
    assert [lab.output(f"c{n}") for n in range(20)] == [f"c{n}\n" for n in range(20)]
