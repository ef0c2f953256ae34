"""Network namespaces that hawse did not create: hawse can use such a namespace like a container."""

import json
import os
import subprocess

import pytest

pytestmark = pytest.mark.netns


def test_a_named_namespace_joins_publishes_and_is_let_go(host, netns):
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


def test_a_process_is_adopted_and_let_go_when_it_dies(host):
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


def test_what_is_not_there_is_refused(host):
    host.hawse("network", "create", "app")
    for reference, text in (
        ("netns:nosuch", "No such network namespace: nosuch"),
        ("pid:999999999", "No such process: 999999999"),
    ):
        refused = host.hawse("network", "connect", "app", reference, check=False)
        assert (refused.returncode, refused.stderr) == (1, f"Error response from daemon: {text}\n")
