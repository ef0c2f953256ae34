"""The agent's life: each host has one agent. The agent starts on demand, and ends when the host does not need it.

No record is lost if the agent is killed.
"""

from __future__ import annotations

import os
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dns.message
import pytest

from drivers.linux.process import start_time
from engine.agent import client
from tests.conftest import let_others_pass, loaded, until
from tests.netns.dns.conftest import alive

pytestmark = pytest.mark.netns


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_killed_agent_is_replaced_by_the_next_command(app):
    app.start()
    first = app.status()["pid"]
    app.kill_agent()
    assert client.notify(app.host.run_dir, app.host.root, start=False) is False
    app.start()
    assert app.status()["pid"] != first
    assert app.sandboxes[0].resolve("db") == ["172.30.0.3"]


def nft(app, command: str) -> str:
    """Run nft in the first sandbox and return its output."""
    inside = ["nsenter", f"--net={app.sandboxes[0].path}", "nft", *command.split()]
    return subprocess.run(inside, check=True, capture_output=True, text=True).stdout


def redirected(app) -> str:
    """Return the rules that redirect the resolver's port in the first sandbox, with their handles."""
    return nft(app, "-a list table ip hawse_resolver")


def test_the_next_agent_takes_the_ports_of_the_killed_one(app):
    app.start()
    before = redirected(app)
    app.kill_agent()
    app.start()
    assert redirected(app) == before
    assert app.sandboxes[0].resolve("db") == ["172.30.0.3"]


def test_the_next_agent_redirects_anew_if_a_program_has_taken_the_port(app):
    app.start()
    before = redirected(app)
    port = int(before.partition("dport set ")[2].split()[0])
    app.kill_agent()
    with app.sandboxes[0].socket() as taken:
        taken.bind(("0.0.0.0", port))
        app.start()
        assert app.sandboxes[0].resolve("db") == ["172.30.0.3"]
    assert redirected(app) != before


def test_a_broken_redirection_is_replaced(app):
    app.start()
    app.kill_agent()
    nft(app, "flush chain ip hawse_resolver answers")
    app.start()
    assert app.sandboxes[0].resolve("db") == ["172.30.0.3"]


def test_commands_at_once_start_one_agent(app):
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda _: app.start(), range(5)))
    marked = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(app.host.run_dir).encode() in (entry / "environ").read_bytes():
                marked.append(entry.name)
        except OSError:
            continue
    assert marked == [str(app.status()["pid"])]


def test_agent_that_nothing_needs_ends(host, world):
    world.environment["HAWSE_AGENT_IDLE"] = "0.4"
    with world.store.write():
        pass
    world.start()
    pid = world.status()["pid"]
    until(lambda: not alive(pid))
    world.start()
    assert world.status()["pid"] != pid


def test_only_root_can_use_the_files(app):
    app.start()
    for name in ("agent.sock", "agent.lock", "agent.log"):
        assert stat.S_IMODE((app.host.run_dir / name).stat().st_mode) == 0o600


def test_other_users_are_not_served(app):
    app.start()
    path = app.host.run_dir / "agent.sock"
    path.chmod(0o666)
    let_others_pass(path)
    script = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
        "s.settimeout(5); s.send(b'status\\n'); print(s.recv(100))"
    )
    done = subprocess.run(
        ["/usr/bin/python3", "-c", script, str(path)], user=65534, group=65534, capture_output=True, text=True
    )
    assert "pid" not in done.stdout


def test_agent_closes_its_descriptors_of_a_deleted_namespace(app):
    app.start()
    pid = app.status()["pid"]
    web = app.sandboxes.pop(0)
    before = descriptors(pid)
    os.close(web.fd)
    subprocess.run(["ip", "netns", "del", Path(web.path).name], check=True)
    deadline = time.monotonic() + loaded(5)
    while descriptors(pid) > before - 3:
        assert time.monotonic() < deadline, app.log()
        time.sleep(0.05)
    app.notify()
    assert app.sandboxes[0].resolve("db") == ["172.30.0.3"]
    assert "veth" not in app.host.sh("ip -br link show type veth | grep vweb || true")


def test_agent_closes_its_descriptors_of_a_sandbox_whose_process_ends(app):
    space = Path(app.sandboxes[1].path).name
    process = subprocess.Popen(["ip", "netns", "exec", space, "sleep", "1000"])
    try:
        time.sleep(0.3)
        start = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
        app.change("db", sandbox_path=f"/proc/{process.pid}/ns/net", pid=process.pid, pid_start=start)
        app.start()
        pid = app.status()["pid"]
        assert app.sandboxes[1].resolve("web") == ["172.30.0.2"]
        before = descriptors(pid)
    finally:
        process.kill()
        process.wait()
    until(lambda: descriptors(pid) <= before - 4, 5)


def test_agent_does_not_serve_a_process_that_only_has_the_recorded_pid(app):
    process = subprocess.Popen(["sleep", "1000"])
    try:
        app.change("db", sandbox_path=f"/proc/{process.pid}/ns/net", pid=process.pid, pid_start=1)
        app.start()
        assert app.sandboxes[0].resolve("web") == ["172.30.0.2"]
        listening = subprocess.run(["ss", "-Hlnu"], capture_output=True, text=True).stdout
        assert "127.0.0.11" not in listening
    finally:
        process.kill()
        process.wait()


def test_container_moved_off_its_last_network_keeps_its_resolver(app, upstream):
    upstream()
    app.network("bridge", "172.17.0.1/16")
    app.start()
    web = app.sandboxes[0]
    app.join("web", "bridge", ["172.17.0.2/16"], [])
    app.leave("web", "app")
    app.notify()
    assert web.resolve("db") == ["NXDOMAIN"]
    assert web.resolve("peer.example.test") == ["192.168.99.99"]


def test_no_query_is_lost_while_another_thread_takes_over_a_sandbox(app, upstream):
    """Two things move a sandbox: another one with own firewall rules on its network, and own rules of its own."""
    server = upstream()
    app.change("web", kind="container", pid=os.getpid(), pid_start=start_time(os.getpid()))
    app.change("db", kind="container", pid=os.getpid(), pid_start=start_time(os.getpid()))
    app.start()
    web, pid = app.sandboxes[0], app.status()["pid"]
    assert web.resolve("db") == ["172.30.0.3"]
    before = descriptors(pid)
    server.before = lambda data, peer: time.sleep(1)
    for name, fields in (("db", {"kind": "adopted"}), ("web", {"administered": True})):
        asked = len(server.asked)
        with web.socket() as client:
            client.connect(("127.0.0.11", 53))
            client.send(dns.message.make_query("peer.example.test", "A").to_wire())
            app.change(name, **fields)
            app.notify()
            assert web.resolve("db") == ["172.30.0.3"]
            assert len(server.asked) == asked
            assert "192.168.99.99" in str(dns.message.from_wire(client.recv(512)))
    until(lambda: descriptors(pid) <= before, 10)


def test_rename_moves_names_and_keeps_sockets(app):
    app.start()
    web, db = app.sandboxes
    app.join("db", "app", ["172.30.0.3/24"], ["database"])
    app.notify()
    assert web.resolve("database") == ["172.30.0.3"]
    assert web.resolve("db") == ["SERVFAIL"]
    assert db.resolve("3.0.30.172.in-addr.arpa", "PTR") == ["database.app."]


def test_thirty_sandboxes_cost_little_memory(app):
    app.start()
    pid = app.status()["pid"]
    before = resident_kilobytes(pid)
    for number in range(30):
        app.container(f"c{number}", {"app": [f"172.30.0.{number + 10}/24"]})
    app.notify()
    assert app.sandboxes[-1].resolve("c0") == ["172.30.0.10"]
    assert resident_kilobytes(pid) - before < 30 * 40


def resident_kilobytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
