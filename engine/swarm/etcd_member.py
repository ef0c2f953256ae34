"""Adds, starts, restarts and removes this host's own etcd member; ``where`` is the directory of the cluster's files.

Clients reach the member only through a Unix socket in a directory that only root can enter. Other hosts reach the
member through the manager's server, which checks the caller's certificate. Only the port for the etcd members of other
managers is open on the network.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from drivers.scalars import socket_text
from engine.cluster import keys, membership
from engine.cluster.etcd import EtcdError, EtcdUnavailable
from engine.errors import Unavailable
from engine.host import is_clustered
from engine.swarm import daemons

if TYPE_CHECKING:
    from engine.cluster.etcd import Client

NAME = "etcd"
PEER_PORT = 2380
ADVERTISED = "https://127.0.0.1:2379"
"""The client URL that every etcd member advertises to the other members. etcd requires a URL, but nothing listens
there.
"""
LOST = (
    "etcd is not started, because its data in {} is lost: "
    'use "hawse swarm leave --force" on this host and "hawse node rm" on another manager, then it can join again'
)
READY_TIMEOUT_SECONDS = 20.0
"""Maximum seconds to wait for the etcd member's first answer."""
UNHEALTHY_SECONDS = 7.0
"""Seconds for which a removal is tried again while etcd refuses it because of members that it has just connected to."""
LEARNING_SECONDS = 12.0
"""Seconds that the join of a manager waits until the member of an earlier manager has become a voting member.

This time must be shorter than `ENROLL_TIMEOUT_SECONDS`, the time that the joining host waits for an answer.
"""


class EtcdMember(Struct, frozen=True):
    """The settings for starting an etcd member.

    ``name`` is the node id of the member's host. The member listens for other members at ``address``. ``initial`` lists
    all members as ``name=peer URL``. ``existing`` is True if the member joins an existing etcd store.
    """

    name: str
    address: str
    initial: Sequence[str]
    existing: bool = False


def url(address: str, port: int) -> str:
    """Return an https URL, with brackets around an IPv6 address."""
    return f"https://{socket_text(address, port)}"


def arguments(where: Path, member: EtcdMember) -> list[str]:
    """Return the command line that starts the etcd member.

    The caller starts etcd with ``where`` as its working directory. Members of other hosts must show a manager's
    certificate. Raises Unavailable if etcd is not installed.
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
    """Start the etcd member unless it runs, and save the command line for later starts."""
    command = arguments(where, member)
    membership.write_private(where / "etcd.argv", "\0".join(command))
    daemons.ensure(run, NAME, command, directory=where)


def keep_running(run: Path, root: Path) -> None:
    """Restart the etcd member if the member has ended and this host is still in its cluster.

    The command that leaves a cluster also stops the member, so the member is not restarted after that command. Raises
    Unavailable if the member's data is lost.
    """
    daemons.reap(run, NAME)
    if not daemons.is_running(run, NAME) and is_clustered(root):
        restart(run, membership.directory(root))
        if not is_clustered(root):  # `swarm leave` has ended the membership since the first check
            daemons.stop(run, NAME)


def restart(run: Path, where: Path) -> None:
    """Start the etcd member again with the command line that `start` saved, unless the member is running.

    Raises Unavailable if the member's data is lost, because etcd would then start with an empty store.
    """
    if not any((where / "etcd" / "member" / "wal").glob("*.wal")):
        raise Unavailable(LOST.format(where / "etcd"))
    daemons.ensure(run, NAME, (where / "etcd.argv").read_text().split("\0"), directory=where)


def wait_until_ready(run: Path, client: Client, timeout: float = READY_TIMEOUT_SECONDS) -> None:
    """Wait up to ``timeout`` seconds until this host's etcd member answers; after this time, raises the last error.

    If the member's process has ended, raises Unavailable with the last line of its log.
    """
    deadline = time.monotonic() + timeout
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
    """Announce another host's new member to etcd; return ``name=peer URL`` of all members, including the new one.

    ``name`` is the other host's node id, ``address`` its address. The new member starts as a learner, which has no
    vote. If the other host fails to start it, the existing members therefore still have a majority.
    """
    peer = url(address, PEER_PORT)
    answer = _add_learner(client, peer)
    known = [f"{m['name']}={m['peerURLs'][0]}" for m in answer["members"] if m.get("name")]
    return [*known, f"{name}={peer}"]


def _add_learner(client: Client, peer: str) -> dict[str, Any]:
    """Add a learner (a member without a vote) with the URL ``peer``, and return etcd's answer.

    etcd allows only one learner at a time:

    - An earlier learner with the URL ``peer`` is removed at once, because it is from a failed attempt of the same host.
    - Any other earlier learner has up to `LEARNING_SECONDS` to become a voting member, and is then removed.
    """
    deadline = time.monotonic() + LEARNING_SECONDS
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
    """Make this host's etcd member a voting member as soon as it has all data of the other members.

    ``name`` is this host's node id, which is also the member's name. Tries for up to `READY_TIMEOUT_SECONDS`, then
    raises the last error or Unavailable. Raises Unavailable at once if the member's process has ended.
    """
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while True:
        try:
            mine = next((m for m in members(client) if m.get("name") == name), None)
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
    """Return all members of the etcd store, each as the JSON object of etcd's member list."""
    entries: list[dict[str, Any]] = client.call("/v3/cluster/member/list", {}).get("members", [])
    return entries


def remove(client: Client, name: str) -> None:
    """Remove the member ``name`` (a node id) from the etcd store.

    Does nothing if the store has no such member, or no other member. etcd refuses the removal until a majority of the
    remaining members has been connected for 5 s. Therefore the removal is tried again for up to `UNHEALTHY_SECONDS`.
    """
    deadline = time.monotonic() + UNHEALTHY_SECONDS
    while True:
        try:
            known = members(client)
            for member in known:
                if member.get("name") == name and len(known) > 1:
                    client.call("/v3/cluster/member/remove", {"ID": member["ID"]})
            return
        except (EtcdError, EtcdUnavailable) as error:
            if "unhealthy cluster" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def leader(client: Client, managers: Sequence[str]) -> str:
    """Return the node id of the leader among the etcd members, as reported by the member that answers.

    Returns "" if the leader is unknown or not in ``managers`` (node ids).
    """
    status = client.call("/v3/maintenance/status", {})
    names = {m["ID"]: str(m.get("name", "")) for m in members(client)}
    name = names.get(status.get("leader", ""), "")
    return name if name in managers else ""
