"""This host's own member of the store: how etcd is started, made safe, and taken out again."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cluster import keys, membership, pki, processes
from engine.errors import Unavailable

if TYPE_CHECKING:
    from engine.cluster.etcd import Client

NAME = "etcd"
CLIENT_PORT, PEER_PORT = 2379, 2380
PATIENCE = 20.0
"""Seconds that a member may take until it answers."""
LEARNING = 12.0
"""Seconds that another host's new member may take until it has a vote; less than a joining host waits."""
ROLE = "hawse-worker"


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
    """The command line of etcd. Its clients and peers must show certificates of our authority; peers a manager's."""
    program = shutil.which("etcd")
    if program is None:
        raise Unavailable("etcd is not installed (Debian: apt-get install etcd-server)")
    client, peer = url(member.address, CLIENT_PORT), url(member.address, PEER_PORT)
    authority, certificate, key = where / "ca.pem", where / "manager.pem", where / "manager.key"
    return [
        program, "--name", member.name, "--data-dir", str(where / "etcd"),
        "--listen-client-urls", f"{client},{url('127.0.0.1', CLIENT_PORT)}", "--advertise-client-urls", client,
        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
        "--initial-cluster", ",".join(member.initial),
        "--initial-cluster-state", "existing" if member.existing else "new",
        "--trusted-ca-file", str(authority), "--client-cert-auth",
        "--cert-file", str(certificate), "--key-file", str(key),
        "--peer-trusted-ca-file", str(authority), "--peer-client-cert-auth",
        "--peer-cert-allowed-cn", pki.MANAGER_NAME,
        "--peer-cert-file", str(certificate), "--peer-key-file", str(key),
        # Passwords are 256 random bits: a costly hash protects nothing, and each command would pay for it.
        "--bcrypt-cost", "4",
        "--auto-compaction-mode", "periodic", "--auto-compaction-retention", "1h", "--log-level", "warn",
    ]  # fmt: skip


def start(run: Path, where: Path, member: Member) -> None:
    """Start the member unless it runs; the command line is kept for later starts."""
    command = arguments(where, member)
    membership.write_private(where / "etcd.argv", "\0".join(command))
    processes.ensure(run, NAME, command)


def keep(run: Path, root: Path) -> None:
    """Start the member again where it has ended, and this host has not just left: that ends it on purpose."""
    processes.reap(run, NAME)
    if not processes.is_running(run, NAME) and membership.exists(root):
        command = (membership.directory(root) / "etcd.argv").read_text().split("\0")
        processes.ensure(run, NAME, command)


def wait_until_ready(run: Path, client: Client) -> None:
    """Return when the member answers; raises with its own last words where it doesn't."""
    from engine.cluster.etcd import EtcdError, EtcdUnavailable

    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            client.get(keys.CLUSTER)
            return
        except (EtcdUnavailable, EtcdError) as error:
            client.close()
            if not processes.is_running(run, NAME):
                raise Unavailable(f"etcd did not start: {processes.last_words(run, NAME)}") from error
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def protect(client: Client) -> str:
    """Turn on users and roles in a store of our own; the password of its user ``root``."""
    password = secrets.token_urlsafe(32)
    client.call("/v3/auth/user/add", {"name": "root", "password": password})
    client.call("/v3/auth/role/add", {"name": "root"})
    client.call("/v3/auth/user/grant", {"user": "root", "role": "root"})
    add_worker_role(client)
    client.call("/v3/auth/enable", {})
    return password


def add_worker_role(client: Client) -> None:
    """Make the role of workers: they read what is shared, and write what concerns their own containers."""
    from engine.cluster.etcd.client import b64, end_of

    client.call("/v3/auth/role/add", {"name": ROLE})
    spans = [(keys.SHARED, "READ"), (keys.LEDGER, "READ"), *((k, "READWRITE") for k in keys.WRITTEN_BY_WORKERS)]
    for key, kind in spans:
        permission = {"permType": kind, "key": b64(key), "range_end": b64(end_of(key))}
        client.call("/v3/auth/role/grant", {"name": ROLE, "perm": permission})


def add_user(client: Client, name: str, *, manager: bool) -> str:
    """Make a host's own user; its password."""
    password = secrets.token_urlsafe(32)
    client.call("/v3/auth/user/add", {"name": name, "password": password})
    client.call("/v3/auth/user/grant", {"user": name, "role": "root" if manager else ROLE})
    return password


def remove_user(client: Client, name: str) -> None:
    """Take a host's user away; one that is gone already is fine."""
    from engine.cluster.etcd import EtcdError

    try:
        client.call("/v3/auth/user/delete", {"name": name})
    except EtcdError as error:
        if "not found" not in error.reason:
            raise


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
    from engine.cluster.etcd import EtcdError, EtcdUnavailable

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
    from engine.cluster.etcd import EtcdError, EtcdUnavailable

    deadline = time.monotonic() + PATIENCE
    while True:
        mine = next((m for m in members(client) if m.get("name") == name), None)
        try:
            if mine is not None:
                _ask_leader(client, "/v3/cluster/member/promote", {"ID": mine["ID"]})
                return
        except (EtcdError, EtcdUnavailable):
            if time.monotonic() > deadline:
                raise
        if not processes.is_running(run, NAME):
            raise Unavailable(f"etcd did not start: {processes.last_words(run, NAME)}")
        if time.monotonic() > deadline:
            raise Unavailable("this host's member of the store did not reach the others in time")
        time.sleep(0.1)


def _ask_leader(client: Client, path: str, body: dict[str, Any]) -> None:
    """Post one call to the member that leads: another passes promotions on to it without saying whose they are."""
    leader_id = client.call("/v3/maintenance/status", {}).get("leader")
    leading = client.at(next((m["clientURLs"] for m in members(client) if m["ID"] == leader_id), []))
    try:
        leading.call(path, body)
    finally:
        leading.close()


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
