"""Fixtures for tests of the doctor: the host's agent repairs nothing, so the doctor finds each fault."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import pytest

from drivers.linux import netns as namespaces
from tests.conftest import COUNTER, Host, Peer, require_root, until

Finding = dict[str, str]


class Patient:
    """A host with networks and containers, and the findings of its doctor."""

    def __init__(self, host: Host, peer: Peer) -> None:
        self.host, self.peer = host, peer
        self.config = host.state / "daemon.json"
        self.config.write_text('{"heal": false}')
        self.links: dict[str, str] = {}

    def hawse(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.host.hawse(*argv, check=check, env={"HAWSE_CONFIG": str(self.config)})

    def doctor(self, *flags: str) -> tuple[list[Finding], list[str]]:
        """Return the checks that are not ok, and the repairs. Fail if the exit code does not agree with the checks."""
        done = self.hawse("doctor", "--format", "json", *flags, check=False)
        assert done.stderr == ""
        document = json.loads(done.stdout)
        checks = [check for check in document["checks"] if check["status"] != "ok"]
        assert done.returncode == any(check["status"] == "fault" for check in checks)
        assert all(check["cause"] and check["fix"] for check in checks if check["object"] != "upstream DNS"), checks
        return checks, document.get("repaired", [])

    def faults(self) -> list[Finding]:
        return [check for check in self.doctor()[0] if check["status"] == "fault"]

    def findings(self) -> list[Finding]:
        """Return the checks of the doctor that are not ok.

        Because the test's network has no upstream DNS server, checks of upstream DNS servers are left out.
        """
        return [check for check in self.doctor()[0] if check["object"] != "upstream DNS"]

    def inside(self, container: str, script: str) -> None:
        pid = self.hawse("inspect", "-f", "{{.State.Pid}}", container).stdout.strip()
        namespaces.run_in_netns(
            f"/proc/{pid}/ns/net", lambda: subprocess.run(["sh", "-ec", script], check=True, timeout=20)
        )

    def member(self, network: str, container: str) -> dict[str, str]:
        members = json.loads(self.hawse("network", "inspect", network).stdout)[0]["Containers"]
        return next(member for member in members.values() if member["Name"] == container)

    def settle(self) -> None:
        """Wait until the guard runs and the doctor finds no fault."""
        until(lambda: (self.host.run_dir / "guard.lock").exists() and not self.findings(), 20, 0.3)


def is_named(checks: list[Finding], status: str, name: str, what: str) -> bool:
    """Return whether a finding has this status, an object that begins with ``name``, and ``what`` in its text."""
    return any(c["status"] == status and c["object"].startswith(name) and what in c["what"] for c in checks)


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    """A host with four networks. On "app", the container "web" publishes a port; "db" is also on "back"."""
    require_root()
    peer = Peer(f"hwt{os.getpid()}dp{next(COUNTER)}", ipv6=True)
    host = Host(f"hwt{os.getpid()}dh{next(COUNTER)}", peer, tmp_path_factory.mktemp("doctor"))
    made = Patient(host, peer)
    made.hawse("network", "create", "--subnet", "172.31.0.0/16", "--ipv6", "--subnet", "fd31::/64", "app")
    made.hawse("network", "create", "--internal", "--subnet", "172.32.0.0/16", "back")
    made.hawse("network", "create", "-o", "com.hawse.bridge.spoof_guard=true", "--subnet", "172.33.0.0/16", "strict")
    isolated = "com.docker.network.bridge.gateway_mode_ipv4=isolated"
    made.hawse("network", "create", "--internal", "-o", isolated, "--subnet", "172.34.0.0/16", "sealed")
    run = ("run", "-d", "--network")
    made.hawse(*run, "app", "--name", "web", "-p", "8080:80", "--network-alias", "www", "hostfs", "sleep", "1d")
    made.hawse(*run, "app", "--name", "db", "hostfs", "sleep", "1d")
    made.hawse(*run, "strict", "--name", "honest", "hostfs", "sleep", "1d")
    made.hawse("network", "connect", "back", "db")
    made.hawse("network", "connect", "sealed", "honest")
    for network in ("app", "back", "strict"):
        made.links[network] = (
            "br-" + made.hawse("network", "inspect", "-f", "{{slice .Id 0 12}}", network).stdout.strip()
        )
    for network, container in (("app", "web"), ("app", "db"), ("back", "db")):
        made.links[f"{network}_{container}"] = f"veth{made.member(network, container)['EndpointID'][:7]}"
    made.settle()
    yield made
    host.delete()
    peer.delete()
