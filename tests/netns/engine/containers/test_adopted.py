"""Adopted namespaces are network namespaces that hawse did not create, and that it connects to networks."""

import fcntl
import json
import os
import re
import subprocess

import pytest

from tests import commands

pytestmark = pytest.mark.netns


def test_a_named_namespace_joins_publishes_and_leaves(host, netns):
    host.hawse("network", "create", "--subnet", "172.30.0.0/16", "app")
    host.hawse("network", "connect", "-p", "8080:80", "app", f"netns:{netns.name}")
    assert "172.30.0.2/16" in netns.sh("ip -br addr show eth0")
    server = netns.popen("busybox", "httpd", "-f", "-p", "80", "-h", "/etc")
    try:
        host.run("busybox", "ping", "-c1", "-W1", "172.30.0.2")
        assert (
            "localhost" in host.peer.run("busybox", "wget", "-T3", "-qO-", f"http://{host.address}:8080/hosts").stdout
        )
    finally:
        server.kill()
        server.wait()
    assert f"netns:{netns.name}" in host.hawse("ps", "--format", "{{.Names}}").stdout
    members = json.loads(host.hawse("network", "inspect", "app").stdout)[0]["Containers"]
    assert [m["Name"] for m in members.values()] == [f"netns:{netns.name}"]
    host.hawse("network", "disconnect", "app", f"netns:{netns.name}")
    assert netns.run("ip", "link", "show", "eth0", check=False).returncode != 0
    assert host.hawse("ps", "-aq").stdout == ""


def test_a_process_is_adopted_and_released_at_its_end(host):
    host.hawse("network", "create", "app")
    process = subprocess.Popen(["unshare", "-n", "sleep", "1000"])
    try:
        while os.stat(f"/proc/{process.pid}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino:
            pass
        host.hawse("network", "connect", "app", f"pid:{process.pid}")
        assert f"pid:{process.pid}" in host.hawse("ps", "--format", "{{.Names}}").stdout
    finally:
        process.kill()
        process.wait()
    assert f"pid:{process.pid}" not in host.hawse("ps", "--format", "{{.Names}}").stdout
    host.hawse("network", "rm", "app")


def test_a_missing_namespace_is_refused(host):
    host.hawse("network", "create", "app")
    for reference, text in (
        ("netns:nosuch", "No such network namespace: nosuch"),
        ("pid:999999999", "No such process: 999999999"),
    ):
        refused = host.hawse("network", "connect", "app", reference, check=False)
        assert (refused.returncode, refused.stderr) == (1, f"Error response from daemon: {text}\n")


def test_a_process_of_the_namespace_cannot_delay_a_connect(host, netns):
    """Each process in a network namespace can open the namespace's file, and lock it."""
    host.hawse("network", "create", "app")
    with open(netns.path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        host.hawse("network", "connect", "app", f"netns:{netns.name}", timeout=30)
    assert [path.name for path in (host.run_dir / "locks").iterdir()] == ["host"]


@pytest.fixture
def lab(host, netns):
    """The reference ``netns:NAME`` of a namespace that is connected to the network app."""
    host.hawse("network", "create", "--subnet", "172.30.0.0/16", "app")
    host.hawse("network", "connect", "app", f"netns:{netns.name}")
    return f"netns:{netns.name}"


@pytest.mark.parametrize("verb", ["logs", "attach", "start", "stop", "restart", "kill", "wait"])
def test_a_command_that_needs_a_container_process_is_refused(host, lab, verb):
    refused = host.hawse(verb, lab, check=False)
    assert refused.returncode == 1
    assert f"{lab} is a network namespace that hawse did not start" in refused.stderr.splitlines()[0]


def test_exec_runs_a_command_of_the_host_in_the_namespace(host, lab):
    assert "172.30.0.2/16" in host.hawse("exec", lab, "ip", "-br", "addr", "show", "eth0").stdout
    script = "cat; echo $A; pwd; exit 7"
    ran = host.hawse("exec", "-i", "-e", "A=b", "-w", "/tmp", lab, "sh", "-c", script, input="in\n", check=False)
    assert (ran.returncode, ran.stdout) == (7, "in\nb\n/tmp\n")
    assert host.hawse("exec", lab, "nosuch-program", check=False).returncode == 126


def test_a_renamed_namespace_is_found_by_either_name(host, lab):
    host.hawse("rename", lab, "lab")
    assert host.hawse("inspect", "-f", "{{.Name}}", "lab", lab).stdout == "/lab\n/lab\n"
    host.hawse("network", "connect", "bridge", lab)
    assert host.hawse("ps", "-a", "--format", "{{.Names}}").stdout == "lab\n"
    host.hawse("network", "disconnect", "bridge", "lab")
    host.hawse("network", "disconnect", "app", lab)
    assert host.hawse("ps", "-aq").stdout == ""


def test_a_container_joins_the_namespace_and_has_files_of_its_own(host, lab):
    host.hawse("run", "-d", "--name", "web", "--network", "app", "hostfs", "sleep", "1d")
    joined = ("run", "--rm", "--network", f"container:{lab}", "hostfs")
    assert "172.30.0.2\t" in host.hawse(*joined, "cat", "/etc/hosts").stdout
    host.hawse(*joined, "ping", "-c1", "-W2", "web")


def test_a_deleted_namespace_is_shown_as_exited_and_is_on_no_network(host, netns, lab):
    netns.delete()
    status = host.hawse("ps", "-a", "--format", "{{.Status}}").stdout
    assert re.fullmatch(r"Exited \(0\) (\d+ seconds?|Less than a second) ago\n", status)
    assert host.hawse("network", "inspect", "-f", "{{json .Containers}}", "app").stdout == "{}\n"
    host.hawse("network", "disconnect", "app", lab)
    host.hawse("network", "rm", "app")


def test_a_failed_start_that_does_not_see_a_namespace_leaves_it_connected(host, netns):
    """The command runs in a mount namespace where the path of the adopted namespace is an empty file."""
    host.hawse("network", "create", "app")
    host.hawse("network", "connect", "app", f"netns:{netns.name}")
    host.hawse("run", "-d", "-p", "8080:80", "hostfs", "sleep", "1d")
    host.hawse("create", "-p", "8080:80", "--name", "c1", "hostfs", "sleep", "1d")
    launcher, variables = commands.in_own_process(host.launcher)
    hidden = ["unshare", "-m", "sh", "-c", f'umount {netns.path} && exec "$@"', "sh"]
    done = host.run(*hidden, *launcher, "start", "c1", env=host.env(**variables), check=False)
    assert "port is already allocated" in done.stderr
    assert "172.18.0.2/16" in netns.sh("ip -br addr show eth0")
