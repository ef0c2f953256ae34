"""This host's own etcd member: how it is started, joined, restarted and removed.

Clients reach it only through a Unix socket in a directory of root. Other hosts use it through the manager's server,
which knows the caller. Only the port for peers, which are the other managers, is open on the network.
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
"""Client URL that members advertise to each other. etcd requires one, but nothing listens there."""
READY_TIMEOUT_SECONDS = 20.0
"""Seconds that a member may take until it answers."""
LEARNING = 12.0
"""Seconds to wait for another host's new member to get its vote; less than a joining host waits for its answer."""


@dataclass(frozen=True, slots=True)
class EtcdMember:
    """The settings to start a member. ``initial`` lists all members as ``name=peer URL``."""

    name: str
    address: str
    initial: Sequence[str]
    existing: bool = False


def url(address: str, port: int) -> str:
    """Return an https URL, with brackets around an IPv6 address."""
    return f"https://[{address}]:{port}" if ":" in address else f"https://{address}:{port}"


def arguments(where: Path, member: EtcdMember) -> list[str]:
    """Return the command line of etcd, to be run in the directory ``where``.

    The peers must show a manager's certificate. Raises Unavailable if etcd is not installed.
    """
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


def start(run: Path, where: Path, member: EtcdMember) -> None:
    """Start the member unless it is running, and save the command line for later starts."""
    command = arguments(where, member)
    membership.write_private(where / "etcd.argv", "\0".join(command))
    daemons.ensure(run, NAME, command, directory=where)


def keep(run: Path, root: Path) -> None:
    """Restart the member if it has ended, unless this host has left its cluster.

    Leaving a cluster stops the member on purpose.
    """
    daemons.reap(run, NAME)
    if not daemons.is_running(run, NAME) and membership.exists(root):
        command = (membership.directory(root) / "etcd.argv").read_text().split("\0")
        daemons.ensure(run, NAME, command, directory=membership.directory(root))


def wait_until_ready(run: Path, client: Client) -> None:
    """Wait until the member answers, up to `READY_TIMEOUT_SECONDS` seconds.

    Raises Unavailable with the last line of its log if it has ended.
    """
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
    """Announce a new member to the store; return ``name=peer URL`` of all members, including the new one.

    It starts as a learner without a vote. Therefore a host that then fails to start does not cost the others their
    majority.
    """
    peer = url(address, PEER_PORT)
    answer = _add_learner(client, peer)
    known = [f"{m['name']}={m['peerURLs'][0]}" for m in answer["members"] if m.get("name")]
    return [*known, f"{name}={peer}"]


def _add_learner(client: Client, peer: str) -> dict[str, Any]:
    """Add a learner; wait up to `LEARNING` seconds for an earlier learner to get its vote.

    It must wait because etcd allows only one learner. An earlier learner is removed if it does not get its vote in
    time. It is also removed if it is from a failed attempt of the same host.
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
    """Make this host's member a voting member when it has caught up with the others.

    Waits up to `READY_TIMEOUT_SECONDS` seconds, then raises the last error or Unavailable.
    """
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
    """Return all members of the store."""
    entries: list[dict[str, Any]] = client.call("/v3/cluster/member/list", {}).get("members", [])
    return entries


def remove(client: Client, name: str) -> None:
    """Remove a member from the store; does nothing if there is no such member."""
    for member in members(client):
        if member.get("name") == name:
            client.call("/v3/cluster/member/remove", {"ID": member["ID"]})


def leader(client: Client, managers: Sequence[str]) -> str:
    """Return the name of the leading etcd member, as known to the member that answers.

    Returns "" if the leader is unknown or not among ``managers``.
    """
    status = client.call("/v3/maintenance/status", {})
    names = {m["ID"]: str(m.get("name", "")) for m in members(client)}
    name = names.get(status.get("leader", ""), "")
    return name if name in managers else ""
