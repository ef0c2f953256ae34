"""This host's snapshot of the records in the etcd store: all keys under ``shared/`` at one revision, immutable.

Each change that etcd reports produces a new snapshot (View). Snapshots are saved to disk. Therefore a restarted agent
immediately knows the DNS names and the endpoints of other hosts, even if the etcd store does not answer. A snapshot
omits unreadable records, and lists the reasons.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from ipaddress import ip_interface
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from msgspec import Struct, field

from engine.cluster import keys, membership, record_checks
from engine.cluster.etcd import Client, KeyValue
from engine.cluster.model import Node, SharedEndpoint
from engine.ipam import IPAddress
from engine.model import EndpointRecord, NetworkRecord
from engine.store.codec import decode

FILE = "view.json"
PARSED = (
    (keys.NODES, "nodes"),
    (keys.ALIVE, "alive"),
    (keys.NETWORKS, "networks"),
    (keys.BALANCERS, "balancers"),
)
"""The properties of `View` that parse records, with the prefix of the records' etcd keys."""
T = TypeVar("T")
Values = Mapping[str, str]
"""The values of the etcd store, by key."""


class View(Struct, frozen=True, dict=True):
    """A snapshot of the records in the etcd store: all values under ``shared/`` at ``revision``.

    An endpoint record that is unreadable is left out; ``refused`` maps its key to the reason.
    """

    revision: int
    values: Values
    # The endpoints by network id, and within a network by etcd key.
    _endpoints: Mapping[str, Mapping[str, SharedEndpoint]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    """The reason why an endpoint's record is left out of the snapshot, by etcd key."""
    _others: dict[str, str] = field(default_factory=dict)
    """The reason why a record other than an endpoint's is left out of the snapshot, by etcd key.

    Records are parsed on first access. Therefore this dict has only records that have been parsed.
    """

    @cached_property
    def nodes(self) -> Mapping[str, Node]:
        """The nodes of all hosts, by id."""
        return {n.id: n for n in self._read(keys.NODES, record_checks.read_node).values()}

    @cached_property
    def alive(self) -> frozenset[str]:
        """Ids of the hosts that have a lease: their agents run and reach the etcd store."""
        return frozenset(k.removeprefix(keys.ALIVE) for k in self.values if k.startswith(keys.ALIVE))

    @cached_property
    def networks(self) -> Mapping[str, NetworkRecord]:
        """All networks of the cluster, by id."""
        return {n.id: n for n in self._read(keys.NETWORKS, record_checks.read_network).values()}

    @cached_property
    def balancers(self) -> Mapping[tuple[str, str], str]:
        """Each host's own address on a network; the key is a pair of network id and node id."""
        records = self._read(keys.BALANCERS, record_checks.read_balancer)
        parts = {k.removeprefix(keys.BALANCERS).partition("/"): v for k, v in records.items()}
        return {(network, node): v for (network, _, node), v in parts.items()}

    def _read(self, prefix: str, read: Callable[[str, str], T]) -> dict[str, T]:
        stored = ((k, v) for k, v in self.values.items() if k.startswith(prefix))
        return record_checks.readable(stored, read, self._others.__setitem__)

    def unreadable(self) -> dict[str, str]:
        """Return the reasons why records are left out of the snapshot, by etcd key."""
        for _, name in PARSED:
            getattr(self, name)  # the property parses the records and fills `_others`
        return {**self.refused, **self._others}

    def endpoints(self, network_id: str) -> list[SharedEndpoint]:
        """Return the endpoints of a network on hosts that have a lease."""
        return [e for e in self._endpoints.get(network_id, {}).values() if e.node in self.alive]

    def all_endpoints(self, network_id: str) -> list[SharedEndpoint]:
        """Return the endpoints of a network, including those on hosts without a lease."""
        return list(self._endpoints.get(network_id, {}).values())

    def addresses(self, network_id: str) -> list[IPAddress]:
        """Return all addresses that are in use on a network, including those on hosts without a lease.

        These are the addresses of the network's endpoints, and each host's own address on the network (`balancers`).
        """
        texts = [text for e in self.all_endpoints(network_id) for text in (e.ipv4, e.ipv6) if text]
        texts += [text for (network, _), text in self.balancers.items() if network == network_id]
        return [ip_interface(text).ip for text in texts]

    def differing(self, other: View) -> set[str]:
        """Return the ids of the networks whose endpoints may differ between this snapshot and ``other``.

        If hosts or leases have changed, return the ids of all networks that have endpoints in either snapshot.
        """
        here, there = self._endpoints, other._endpoints
        if self.alive != other.alive or self.nodes != other.nodes:
            return {*here, *there}
        return {i for i in {*here, *there} if here.get(i) is not there.get(i)}

    def endpoints_on_other_hosts(self, network_id: str, node: str) -> list[SharedEndpoint]:
        """Return a network's endpoints on all hosts except the host ``node`` (a node id).

        Endpoints on hosts without a lease (`alive`) and former endpoints are left out.
        """
        return [e for e in self.endpoints(network_id) if e.node != node and not e.former]


class Saved(Struct, frozen=True):
    """A snapshot as the file `FILE` (view.json) holds it."""

    revision: int
    values: dict[str, str]


def make(revision: int, values: Values) -> View:
    """Return a snapshot of the etcd store's records at ``revision``."""
    endpoints: dict[str, dict[str, SharedEndpoint]] = {}
    refused: dict[str, str] = {}
    stored = ((k, v) for k, v in values.items() if k.startswith(keys.ENDPOINTS))
    for key, endpoint in record_checks.readable(stored, record_checks.read_endpoint, refused.__setitem__).items():
        endpoints.setdefault(endpoint.network_id, {})[key] = endpoint
    return View(revision, MappingProxyType(dict(values)), endpoints, refused)


def load(client: Client) -> View:
    """Read a snapshot from the etcd store: all values under ``shared/``, without the questions between hosts."""
    pairs, revision = client.range(keys.SHARED)
    return make(revision, {kv.key: kv.value for kv in pairs if not kv.key.startswith(keys.QUESTIONS)})


def after(view: View, revision: int, events: Sequence[KeyValue]) -> View:
    """Return the snapshot that follows ``view`` after the changes ``events``.

    ``revision`` is the revision of the new snapshot. The new snapshot shares the unchanged parts of ``view``.
    """
    values = dict(view.values)
    endpoints, refused = dict(view._endpoints), dict(view.refused)
    for event in events:
        if event.deleted:
            values.pop(event.key, None)
        else:
            values[event.key] = event.value
        if event.key.startswith(keys.ENDPOINTS):
            network_id = event.key.removeprefix(keys.ENDPOINTS).partition("/")[0]
            members = dict(endpoints.get(network_id, {}))
            members.pop(event.key, None)
            refused.pop(event.key, None)
            if not event.deleted:
                stored = [(event.key, event.value)]
                members |= record_checks.readable(stored, record_checks.read_endpoint, refused.__setitem__)
            endpoints[network_id] = members
    changed = View(revision, values, endpoints, refused)
    _share(view, changed, {event.key for event in events})
    return changed


def _share(view: View, changed: View, touched: set[str]) -> None:
    """Copy parsed records from the old snapshot ``view`` to the new snapshot ``changed``, to save time.

    ``touched`` has the etcd keys that have changed. A kind of records, such as the nodes, is copied only if ``touched``
    has no key of this kind.
    """
    for prefix, name in PARSED:
        if name in view.__dict__ and not any(key.startswith(prefix) for key in touched):
            changed.__dict__[name] = view.__dict__[name]
            changed._others.update({k: why for k, why in view._others.items() if k.startswith(prefix)})


def save(root: Path, view: View) -> None:
    """Save the snapshot to disk, so that the next agent can load it.

    The records are encoded one after another. ``json.dumps`` would stop the other threads of the agent until it has
    encoded all records.
    """
    text = "".join(json.JSONEncoder().iterencode({"revision": view.revision, "values": dict(view.values)}))
    membership.write_private(membership.directory(root) / FILE, text)


def saved(root: Path) -> View | None:
    """Return the snapshot that was saved to disk, or None if no readable snapshot is saved."""
    try:
        document = decode(Saved, (membership.directory(root) / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return make(document.revision, document.values)


def record_of(endpoint: SharedEndpoint) -> EndpointRecord:
    """Convert an endpoint's record in the etcd store to an endpoint record of the local store, in phase ``live``.

    The result's container id is ``node id/container id``, because the container is on another host.
    """
    return EndpointRecord(
        id=endpoint.id,
        network_id=endpoint.network_id,
        container_id=f"{endpoint.node}/{endpoint.container_id}",
        mac=endpoint.mac,
        ipv4=endpoint.ipv4,
        ipv6=endpoint.ipv6,
        names=endpoint.names,
        phase="live",
    )
