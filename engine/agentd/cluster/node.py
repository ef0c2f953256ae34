"""The threads of this host in a cluster.

They watch the etcd store, save its records, renew this host's lease, and answer other hosts' questions. They also
write the entries of peers (endpoints on other hosts) into the kernel's FDB and neighbour tables.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from msgspec.structs import replace

from drivers.model import Difference
from engine.agent.service import Snapshot
from engine.agentd.cluster import wireguard_keys
from engine.agentd.cluster.lease import LeaseKeeper
from engine.agentd.cluster.peer_sync import PeerSync
from engine.agentd.cluster.responder import QuestionResponder
from engine.agentd.cluster.snapshot_saver import SnapshotSaver
from engine.agentd.cluster.watcher import StoreWatcher
from engine.cluster import encryption, endpoint_sync, local_networks, shared_networks
from engine.cluster import membership as memberships
from engine.cluster import snapshot as views
from engine.cluster.etcd import Client
from engine.cluster.model import MANAGER, ClusterMembership
from engine.cluster.snapshot import View
from engine.core import open_engine
from engine.errors import one_line
from engine.events import record as events
from engine.model import EndpointRecord, NetworkRecord
from engine.store.api import Transaction
from engine.store.locks import locked
from engine.swarm import certificates, daemons, etcd_member
from engine.swarm.enrollment import Manager

REPAIR_LOCK_SECONDS = 0.2
"""Seconds that a repair waits for commands that create or delete networks. The repair is tried again later."""


class ClusterNode:
    """The cluster threads of this host. They call ``notify_agent`` to make the agent update its services."""

    def __init__(
        self,
        root: Path,
        run: Path,
        membership: ClusterMembership,
        notify_agent: Callable[[], None],
        heal: Callable[[], bool],
    ) -> None:
        self._root, self._run, self._membership, self._notify_agent = root, run, membership, notify_agent
        self._host = open_engine().host
        self._live: list[NetworkRecord] = []
        self._mirrored = False
        self._unreadable: dict[str, str] = {}
        self._sync_failures: list[str] = []
        self._updating = threading.Lock()
        self._published: dict[str, tuple[tuple[str, ...], bool]] = {}
        self._view = views.saved(root)
        self._peer_sync = PeerSync(self._host.driver("overlay"), membership.node_id, run, heal)
        self._saver = SnapshotSaver(root)
        self._responder = QuestionResponder(self._open, membership, self._host.callback("__answer"))
        self._watcher = StoreWatcher(self._open, self._changed, self._view, on_question=self._responder.queue)
        self._lease_keeper = LeaseKeeper(
            self._open, membership, sync_records=self._sync_records, after_renewal=self._after_renewal
        )
        if self._view is not None:
            self._peer_sync.update(view=self._view)
        self._parts = (self._peer_sync, self._saver, self._responder, self._watcher, self._lease_keeper)
        for part in self._parts:
            part.start()

    @property
    def node_id(self) -> str:
        """This host's node id."""
        return self._membership.node_id

    def _open(self) -> Client:
        return memberships.open_client(self._root, memberships.load(self._root) or self._membership)

    def _changed(self, view: View) -> None:
        """Pass a new snapshot of the etcd store's records to the other threads, and wake the agent's loop.

        Runs in the thread that watches the etcd store.
        """
        before, self._view = self._view, view
        self._report_unreadable(view)
        if before is not None and hosts_differ(before, view):
            events.alone(self._host.store, lambda tx: add_host_events(tx, before, view, self.node_id))
        self._peer_sync.update(view=view)
        self._saver.update(view)
        self._notify_agent()
        if before is None or before.networks != view.networks:
            self._mirrored = False
            self._lease_keeper.wake()
        if before is None or before.nodes != view.nodes:
            self._update_networks()
            self._learn_managers(view)

    def _report_unreadable(self, view: View) -> None:
        """Log each unreadable record of the snapshot; log the record again only when the record's value changes."""
        unreadable = view.unreadable()
        values = {key: view.values[key] for key in unreadable}
        for key, why in unreadable.items():
            if self._unreadable.get(key) != values[key]:
                text = one_line(f"left out of the cluster's records: {key}: {why}"[:500])
                print(text, file=sys.stderr, flush=True)
        self._unreadable = values

    def _learn_managers(self, view: View) -> None:
        """Save the current addresses of the other managers in this host's membership record.

        On a worker, an empty list is not saved, because a worker needs the address of a manager. The role in a node's
        record can be trusted, because only managers write it.
        """
        managers = sorted((n for n in view.nodes.values() if n.role == MANAGER), key=lambda n: n.id)
        places = tuple(str(Manager(n.address, n.enrollment_port)) for n in managers if n.id != self.node_id)
        if places or self._membership.is_manager:
            memberships.update(self._root, lambda known: replace(known, managers=places))

    def _sync_records(self, client: Client) -> bool:
        """Write this host's endpoints to the etcd store; return whether all endpoints were written.

        Each failure is logged once. After this call, `_mirror` copies the cluster's networks again. Runs in the lease
        thread.
        """
        failures = endpoint_sync.sync_endpoints(self._host, client, self._membership)
        for line in failures:
            if line not in self._sync_failures:
                print(one_line(line), file=sys.stderr, flush=True)
        self._sync_failures = failures
        self._mirrored = False
        return not failures

    def _after_renewal(self, client: Client) -> None:
        """Update this host's copies of the cluster's networks; renew the WireGuard key and certificate if they are due.

        The certificate is renewed only on a worker, because `keep_processes` renews a manager's certificate. Runs in
        the lease thread after each renewal of the lease.
        """
        self._mirror(client)
        known = memberships.load(self._root)
        if known is not None and not known.is_manager and certificates.is_due(self._root):
            certificates.renew_worker(self._root, client)
        membership = wireguard_keys.rotated(self._root, client, self._membership, self._live)
        if membership is not self._membership:
            self._membership = membership
            self._update_networks()

    def _mirror(self, client: Client) -> None:
        """Copy the records of the cluster's networks from etcd to the local store, unless they are up to date.

        First deletes this host's kernel objects of networks that no endpoint on this host uses. The networks are read
        from etcd itself, because the cached snapshot may lack the latest changes of commands.
        """
        if self._mirrored:
            return
        self._mirrored = True
        try:
            if local_networks.deactivate_all_unused(self._host):
                self._notify_agent()
            local_networks.follow(self._host, lambda: shared_networks.all_networks(client), self._membership)
        except BaseException:
            self._mirrored = False
            raise

    def follow(self, state: Snapshot) -> None:
        """Pass this host's active overlay networks to the peer thread.

        The lease thread writes an endpoint to etcd again in two cases:

        - The endpoint's DNS names have changed.
        - The endpoint has become former, or is former no longer.

        Runs in the thread of the agent's loop, and does not wait for etcd.
        """
        shared = {n.id: n for n in state.networks if n.scope == local_networks.SWARM}
        self._live = [n for n in shared.values() if n.phase == "live" and n.driver == "overlay"]
        self._update_networks()
        own = [e for e in state.endpoints if e.network_id in shared]
        published = {e.id: endpoint_sync.published_here(e) for e in own}
        if any(self._published.get(i, value) != value for i, value in published.items()):
            self._lease_keeper.request_sync()
        self._published = published

    def _update_networks(self) -> None:
        """Pass the active networks to the peer thread, with the current WireGuard tunnels of the encrypted networks.

        A lock serialises the calls, so that the last call passes the newest data.
        """
        with self._updating:
            nodes = self._view.nodes.values() if self._view is not None else ()
            self._peer_sync.update(networks={n.id: encryption.spec(n, self._membership, nodes) for n in self._live})

    def verify(self, network_id: str) -> Sequence[Difference]:
        """Repair a network's devices and tables on this host; return the differences.

        A command that removes the network also deletes its devices. Therefore the repair waits for such a command, and
        does nothing if the network is no longer active. Raises `Unavailable` after `REPAIR_LOCK_SECONDS`.
        """
        with locked(self._run, *local_networks.NETWORKS_LOCK, REPAIR_LOCK_SECONDS):
            with self._host.store.read() as reader:
                record = reader.network(network_id)
            if record is None or record.phase != "live":
                return ()
            return self._peer_sync.verify(network_id)

    def remote_endpoints(self, networks: Iterable[NetworkRecord]) -> list[EndpointRecord]:
        """Return the endpoints of other hosts on networks that are active on this host."""
        view = self._view
        if view is None:
            return []
        used = [n.id for n in networks if n.scope == local_networks.SWARM and n.phase == "live"]
        return [views.record_of(e) for i in used for e in view.endpoints_on_other_hosts(i, self.node_id)]

    def keep_processes(self) -> None:
        """Restart a manager's ended processes (etcd member, manager's server), and renew its certificate if due.

        Also trims the logs of these processes. On a worker, only the logs are trimmed.
        """
        if self._membership.is_manager:
            known = memberships.load(self._root)
            if known is not None and certificates.is_due(self._root):
                certificates.renew_manager(self._root, known)
            daemons.reap(self._run, "server")
            if not daemons.is_running(self._run, "server"):
                daemons.ensure(self._run, "server", [sys.executable, "-P", "-m", "engine.swarm.server"])
        daemons.trim_logs(self._run)
        if self._membership.has_etcd:
            etcd_member.keep_running(self._run, self._root)  # last, because it fails if etcd's data is lost

    def close(self) -> None:
        """Ask the threads to end; does not wait."""
        for part in self._parts:
            part.stop()


def hosts_differ(before: View, view: View) -> bool:
    """Return whether a host joined, left, failed or recovered between the snapshots ``before`` and ``view``."""
    return before.alive != view.alive or before.nodes.keys() != view.nodes.keys()


def add_host_events(tx: Transaction, before: View, view: View, node_id: str) -> None:
    """Add an event for each host that joined, left, failed or recovered between two snapshots of the etcd store.

    ``before`` is the older snapshot, and ``view`` the newer one. The host ``node_id`` gets no event.
    """
    for identity, node in {**before.nodes, **view.nodes}.items():
        if identity == node_id:
            continue
        if identity not in before.nodes or identity not in view.nodes:
            events.node(tx, identity, node.hostname, "create" if identity in view.nodes else "remove")
        elif (identity in before.alive) != (identity in view.alive):
            old, new = ("ready", "down") if identity in before.alive else ("down", "ready")
            events.node(tx, identity, node.hostname, "update", {"state.new": new, "state.old": old})
