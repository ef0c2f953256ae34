"""This host's own member of the store: how etcd is started, and taken out again.

It takes calls on a Unix socket alone, in a directory of root's: what it does for other hosts goes through the manager's
server, which knows whose a call is. Only the port for its peers, that is for other managers, is on the network.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cluster import keys, membership
from engine.cluster.etcd import EtcdError, EtcdUnavailable
from engine.errors import Unavailable
from engine.swarm import daemons

if TYPE_CHECKING:
    from engine.cluster.etcd import Client

NAME = "etcd"
PEER_PORT = 2380
ADVERTISED = "https://127.0.0.1:2379"
"""What members tell each other of where clients reach them; none listens there, and it may not be left out."""
READY_TIMEOUT_SECONDS = 20.0
"""Seconds that a member may take until it answers."""
LEARNING = 12.0
"""Seconds that another host's new member may take until it has a vote; less than a joining host waits."""


@dataclass(frozen=True, slots=True)
class Member:
    """What it takes to start a member. ``initial`` lists all members as ``name=peer URL``."""

    name: str
    address: str
    initial: Sequence[str]
    existing: bool = False


def url(address: str, port: int) -> str:
    """An https URL, brackets where IPv6 wants them."""
    return f"https://[{address}]:{port}" if ":" in address else f"https://{address}:{port}"


def arguments(where: Path, member: Member) -> list[str]:
    """The command line of etcd, which is started in ``where``. Its peers must show a manager's certificate."""
    program = shutil.which("etcd")
    if program is None:
        raise Unavailable("etcd is not installed (Debian: apt-get install etcd-server)")
    peer = url(member.address, PEER_PORT)
    authority, certificate = str(where / membership.AUTHORITY), str(where / membership.MANAGER)
    return [
        program, "--name", member.name, "--data-dir", str(where / "etcd"),
        "--listen-client-urls", f"unix://{membership.SOCKET}", "--advertise-client-urls", ADVERTISED,
        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
        "--initial-cluster", ",".join(member.initial),
        "--initial-cluster-state", "existing" if member.existing else "new",
        "--peer-trusted-ca-file", authority, "--peer-client-cert-auth", "--peer-cert-allowed-cn", keys.MANAGER_NAME,
        "--peer-cert-file", certificate, "--peer-key-file", certificate,
        "--auto-compaction-mode", "periodic", "--auto-compaction-retention", "1h", "--log-level", "warn",
    ]  # fmt: skip


def start(run: Path, where: Path, member: Member) -> None:
    """Start the member unless it runs; the command line is kept for later starts."""
    command = arguments(where, member)
    membership.write_private(where / "etcd.argv", "\0".join(command))
    daemons.ensure(run, NAME, command, directory=where)


def keep(run: Path, root: Path) -> None:
    """Start the member again where it has ended, and this host has not just left: that ends it on purpose."""
    daemons.reap(run, NAME)
    if not daemons.is_running(run, NAME) and membership.exists(root):
        command = (membership.directory(root) / "etcd.argv").read_text().split("\0")
        daemons.ensure(run, NAME, command, directory=membership.directory(root))


def wait_until_ready(run: Path, client: Client) -> None:
    """Return when the member answers; raises with its own last words where it doesn't."""
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while True:
        try:
            client.get(keys.CLUSTER)
            return
        except (EtcdUnavailable, EtcdError) as error:
            client.close()
            if not daemons.is_running(run, NAME):
                raise Unavailable(f"etcd did not start: {daemons.last_log_line(run, NAME)}") from error
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def add(client: Client, name: str, address: str) -> list[str]:
    """Announce a new member; the ``name=peer URL`` of all, the new one included.

    It begins as a learner, which has no vote: a host that then fails to start does not cost the others their majority.
    """
    peer = url(address, PEER_PORT)
    answer = _add_learner(client, peer)
    known = [f"{m['name']}={m['peerURLs'][0]}" for m in answer["members"] if m.get("name")]
    return [*known, f"{name}={peer}"]


def _add_learner(client: Client, peer: str) -> dict[str, Any]:
    """Add a learner once the last one has its vote, as there can be one; one that never gets it is taken out.

    One of the same host is of an attempt that came to nothing.
    """
    deadline = time.monotonic() + LEARNING
    while True:
        late = time.monotonic() > deadline
        try:
            for member in members(client):
                if member.get("isLearner") and (late or peer in member["peerURLs"]):
                    client.call("/v3/cluster/member/remove", {"ID": member["ID"]})
            return client.call("/v3/cluster/member/add", {"peerURLs": [peer], "isLearner": True})
        except (EtcdError, EtcdUnavailable):
            if late:
                raise
        time.sleep(0.1)


def promote(run: Path, client: Client, name: str) -> None:
    """Give this host's member its vote, once it has caught up with the others."""
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while True:
        mine = next((m for m in members(client) if m.get("name") == name), None)
        try:
            if mine is not None:
                client.call("/v3/cluster/member/promote", {"ID": mine["ID"]})
                return
        except (EtcdError, EtcdUnavailable):
            if time.monotonic() > deadline:
                raise
        if not daemons.is_running(run, NAME):
            raise Unavailable(f"etcd did not start: {daemons.last_log_line(run, NAME)}")
        if time.monotonic() > deadline:
            raise Unavailable("this host's member of the store did not reach the others in time")
        time.sleep(0.1)


def members(client: Client) -> list[dict[str, Any]]:
    """All members of the store."""
    found: list[dict[str, Any]] = client.call("/v3/cluster/member/list", {}).get("members", [])
    return found


def remove(client: Client, name: str) -> None:
    """Take a member out of the store; one that is not there is fine."""
    for member in members(client):
        if member.get("name") == name:
            client.call("/v3/cluster/member/remove", {"ID": member["ID"]})


def leader(client: Client, managers: Sequence[str]) -> str:
    """The name of the member that leads, as far as one of the answering members knows."""
    status = client.call("/v3/maintenance/status", {})
    found = {m["ID"]: str(m.get("name", "")) for m in members(client)}
    name = found.get(status.get("leader", ""), "")
    return name if name in managers else ""
