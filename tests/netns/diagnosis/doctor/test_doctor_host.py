"""The doctor names faults of hawse's processes, store, disks and configuration, and repairs hawse's own objects."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from drivers.linux import process
from engine.runtime import resident
from tests.conftest import until
from tests.netns.diagnosis.doctor.conftest import Patient, is_named
from tests.netns.engine.killing import processes

pytestmark = pytest.mark.netns


def pid_of(patient, name: str) -> int:
    return resident.holder(str(patient.host.run_dir), f"{name}.lock")


def kill_all(patient, *names: str) -> None:
    """Kill processes at the same time, so that none of them restarts another.

    Agent and supervisor may each have started a guard. The second guard would take over after the kill. It may have
    been forked just now, so that it is not recognised yet. Therefore the kill is repeated until nothing has run for
    half a second.
    """
    for name in names:
        until(lambda name=name: pid_of(patient, name))
    killed = time.monotonic()

    def is_over() -> bool:
        nonlocal killed
        if kill_present(patient, names):
            killed = time.monotonic()
        return time.monotonic() - killed > 0.5

    until(is_over)


def kill_present(patient, names) -> bool:
    """Kill the processes that run now, and all guards; return whether there was one."""
    pids = [pid for pid in (pid_of(patient, name) for name in names) if pid]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    end = f"{patient.host.run_dir}\0".encode()
    present = {*pids, *processes(lambda line: b"runtime.guard" in line and line.endswith(end))}
    for pid in present:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(present)


def test_all_processes_are_killed(patient):
    kill_all(patient, "agent", "supervisor", "guard")
    checks = patient.findings()
    assert is_named(checks, "fault", "agent", "is not running")
    assert is_named(checks, "fault", "supervisor", "is not running")
    assert is_named(checks, "warning", "guard", "is not running")
    assert is_named(checks, "fault", "names", "have no resolver")
    patient.settle()  # at its end, each command starts a killed guard, which may be faster than the next command
    kill_all(patient, "agent", "supervisor", "guard")
    after, repaired = patient.doctor("--fix")
    assert not [check for check in after if check["status"] == "fault"], after
    assert "agent: is not running" in repaired
    patient.settle()


def test_processes_that_a_signal_has_stopped(patient):
    guard = until(lambda: pid_of(patient, "guard"))
    os.kill(guard, signal.SIGSTOP)  # otherwise the guard replaces the agent
    agent = until(lambda: pid_of(patient, "agent"))
    os.kill(agent, signal.SIGSTOP)
    until(lambda: process.is_stopped(agent))
    checks = patient.faults()
    assert is_named(checks, "fault", "agent", "is stopped by a signal")
    assert is_named(checks, "fault", "guard", "is stopped by a signal")
    assert process.is_stopped(agent), "the doctor only looks"
    os.kill(guard, signal.SIGCONT)
    patient.doctor("--fix")
    patient.settle()


def test_a_published_port_alone_needs_the_agent(host, peer):
    patient = Patient(host, peer)  # its daemon.json switches repairs off
    patient.hawse("run", "-d", "--name", "web", "-p", "8080:80", "hostfs", "sleep", "1d")
    kill_all(patient, "agent", "guard")
    (host.run_dir / "agent.start").unlink(missing_ok=True)
    assert is_named(patient.findings(), "fault", "agent", "is not running")


def test_a_damaged_store_is_named_and_repaired(host):
    host.hawse("network", "create", "app")
    store = host.root / "hawse.db"
    for suffix in ("-wal", "-shm"):
        store.with_name(f"hawse.db{suffix}").unlink(missing_ok=True)
    store.write_bytes(store.read_bytes()[:4096] + os.urandom(8192))
    done = host.hawse("doctor", check=False)
    assert done.returncode == 1
    assert re.search(r"fault +store ", done.stdout)
    fixed = host.hawse("doctor", "--fix", check=False)
    assert "repaired: store: " in fixed.stdout
    assert not re.search(r"fault +store ", host.hawse("doctor", check=False).stdout)


NAME_SERVER = """import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
print("ready", flush=True)
while True:
    data, client = server.recvfrom(512)
    server.sendto(data[:2] + bytes([data[2] | 128]) + data[3:], client)
"""


def test_a_name_server_in_a_container_is_asked_there(patient):
    run = ("run", "-d", "--network", "app", "--name", "namer", "--dns", "127.0.0.1", "hostfs")
    patient.hawse(*run, sys.executable, "-c", NAME_SERVER)
    until(lambda: "ready" in patient.hawse("logs", "namer").stdout)
    (servers,) = [check["what"] for check in patient.doctor()[0] if check["object"] == "upstream DNS"]
    patient.hawse("rm", "-f", "namer")
    assert "of 2 upstream servers do not answer" in servers, "the host's server is silent in this test"
    assert "127.0.0.1 (" not in servers


def test_a_host_without_nftables(patient, tmp_path):
    """The library is hidden by a mount in a namespace of its own, and PATH has no nft."""
    (tmp_path / "ip").symlink_to("/usr/sbin/ip")
    hide = "mount --bind /dev/null $(readlink -f $(ldconfig -p | sed -n 's/.*libnftables.so.1.*=> //p'))"
    doctor = f"PATH={tmp_path} HAWSE_WARM=off exec {sys.executable} -m cli doctor --format json"
    done = patient.host.run("unshare", "-m", "sh", "-ec", f"{hide}; {doctor}", env=patient.host.env(), check=False)
    checks = json.loads(done.stdout)["checks"]
    assert is_named(checks, "fault", "programs", "neither libnftables nor nft is installed")
    assert not any(check["object"] == "kernel" and check["status"] == "fault" for check in checks)


def test_a_command_was_killed(patient):
    from_store = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()"
    network = patient.hawse("network", "create", "halfway").stdout.strip()
    statement = f"insert into intents (kind, object_id, owner) values ('network-create', '{network}', '1:1')"
    subprocess.run([sys.executable, "-c", from_store, patient.host.root / "hawse.db", statement], check=True)
    assert is_named(patient.findings(), "warning", f"object {network[:12]}", "network-create")
    patient.doctor("--fix")
    assert "halfway" not in patient.hawse("network", "ls").stdout
    assert patient.findings() == []


def test_an_invalid_configuration_file(patient):
    good = patient.config.read_text()
    patient.config.write_text('{"mtuu": 5}')
    checks = patient.faults()
    assert is_named(checks, "fault", "daemon.json", "mtuu: no such configuration key")
    patient.config.write_text(good)
    mode = patient.config.stat().st_mode
    patient.config.chmod(0o666)
    checks = patient.faults()
    patient.config.chmod(mode)
    assert is_named(checks, "fault", "daemon.json", "can be written by one")


def doctor_after(patient, script: str) -> str:
    """Run the doctor in a mount namespace that ``script`` has changed; return its first line about a fault."""
    command = ["ip", "netns", "exec", patient.host.name, "unshare", "-m", "sh", "-c", f'{script}; exec "$@"', "sh"]
    done = subprocess.run(
        [*command, *patient.host.command("doctor")[4:]],
        capture_output=True,
        text=True,
        timeout=60,
        env=patient.host.env(HAWSE_CONFIG=str(patient.config), HAWSE_WARM="off"),
    )
    assert done.returncode == 1, done.stderr
    return next(line for line in done.stdout.splitlines() if line.startswith("fault"))


def test_a_full_disk_is_named(patient):
    root = patient.host.root
    line = doctor_after(
        patient,
        f"cp -a {root} /tmp/$$.copy; mount -t tmpfs -o size=4m none {root}; cp -a /tmp/$$.copy/. {root}; "
        f"rm -r /tmp/$$.copy; dd if=/dev/zero of={root}/rest bs=64k 2>/dev/null",
    )
    assert f"the disk of {root} is full" in line


def test_a_read_only_mount_of_hawse_run_is_named(patient):
    run = patient.host.run_dir
    line = doctor_after(patient, f"mount --bind {run} {run}; mount -o remount,bind,ro {run}")
    assert f"{run} is read-only" in line


def test_without_rights_nothing_is_called_a_fault(patient):
    command = ["ip", "netns", "exec", patient.host.name, "setpriv", "--inh-caps=-all", "--bounding-set=-net_admin"]
    argv = [*command, sys.executable, "-m", "cli", "doctor"]
    done = subprocess.run(argv, env=patient.host.env(), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert "permission denied: hawse needs root (CAP_NET_ADMIN) to look at networks" in done.stderr


def test_a_host_without_hawse_is_healthy_and_stays_untouched(host):
    done = host.hawse("doctor")
    assert done.returncode == 0, done.stdout
    assert "0 faults, 0 warnings" in done.stdout
    assert not host.root.exists()


def test_a_table_and_a_summary_for_a_person(patient):
    patient.host.sh(f"ip link set {patient.links['back']} down")
    done = patient.hawse("doctor", check=False)
    header, *lines, summary = done.stdout.splitlines()
    assert header.split() == ["STATUS", "OBJECT", "FINDING", "CAUSE", "FIX"]
    assert {line.split()[0] for line in lines} <= {"ok", "warning", "fault"}
    assert lines[-1].startswith("fault") and "hawse doctor --fix" in lines[-1]
    assert summary.startswith("2 faults, "), "the bridge, and its route"
    fixed = patient.hawse("doctor", "--fix")
    assert f"repaired: network back: changed bridge: {patient.links['back']} is down\n" in fixed.stdout


@pytest.mark.slow
def test_a_hundred_networks_take_seconds(host):
    host.hawse("network", "create", "first")
    script = (
        "from engine.core import open_engine; from engine.model import IPAMConfig, NetworkCreate; e = open_engine()\n"
        "for n in range(100): e.networks.create(NetworkCreate(f'n{n}', ipam_config=[IPAMConfig(f'10.9.{n}.0/24')]))"
    )
    host.run(sys.executable, "-c", script, env=host.env())
    before = os.times()
    done = host.hawse("doctor", check=False)
    after = os.times()
    took = after.children_user + after.children_system - before.children_user - before.children_system
    assert "0 faults" in done.stdout, done.stdout
    assert "101 networks" in done.stdout
    assert took < 4, f"{took:.1f} s of processor time"
