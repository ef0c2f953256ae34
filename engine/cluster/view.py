"""What this host knows of the cluster: everything under ``shared/`` at one revision, as values that never change.

A view grows by events, one revision after another, and is kept on disk, so that a restarted agent knows names and
peers at once, also while the store does not answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from engine.cluster import keys, membership
from engine.cluster.etcd import Client, KeyValue
from engine.cluster.model import Node, SharedEndpoint
from engine.model import EndpointRecord, NetworkRecord
from engine.store.codec import decode

FILE = "view.json"
Values = Mapping[str, str]


@dataclass(frozen=True)
class View:
    """All shared values at ``revision``."""

    revision: int
    values: Values
    _endpoints: Mapping[str, Mapping[str, SharedEndpoint]] = field(default_factory=dict, repr=False)

    @cached_property
    def nodes(self) -> Mapping[str, Node]:
        """All hosts by id."""
        return {k.removeprefix(keys.NODES): decode(Node, v) for k, v in self.values.items() if k.startswith(keys.NODES)}

    @cached_property
    def alive(self) -> frozenset[str]:
        """The ids of hosts whose lease holds."""
        return frozenset(k.removeprefix(keys.ALIVE) for k in self.values if k.startswith(keys.ALIVE))

    @cached_property
    def networks(self) -> Mapping[str, NetworkRecord]:
        """All networks by id."""
        found = (decode(NetworkRecord, v) for k, v in self.values.items() if k.startswith(keys.NETWORKS))
        return {n.id: n for n in found}

    @cached_property
    def balancers(self) -> Mapping[tuple[str, str], str]:
        """The address that each host itself has on a network, by network and host."""
        found = {k.removeprefix(keys.BALANCERS): v for k, v in self.values.items() if k.startswith(keys.BALANCERS)}
        return {(k.partition("/")[0], k.partition("/")[2]): v for k, v in found.items()}

    def endpoints(self, network_id: str) -> list[SharedEndpoint]:
        """The endpoints of a network on hosts whose lease holds."""
        return [e for e in self._endpoints.get(network_id, {}).values() if e.node in self.alive]

    def differing(self, other: View) -> set[str]:
        """The networks whose endpoints may differ: all of them, where hosts have come, gone or moved."""
        here, there = self._endpoints, other._endpoints
        if self.alive != other.alive or self.nodes != other.nodes:
            return {*here, *there}
        return {i for i in {*here, *there} if here.get(i) is not there.get(i)}

    def elsewhere(self, network_id: str, node: str) -> list[SharedEndpoint]:
        """Those of other hosts than ``node``."""
        return [e for e in self.endpoints(network_id) if e.node != node]


def make(revision: int, values: Values) -> View:
    """Build a view from all its values."""
    found: dict[str, dict[str, SharedEndpoint]] = {}
    for key, value in values.items():
        if key.startswith(keys.ENDPOINTS):
            network_id, _, endpoint_id = key.removeprefix(keys.ENDPOINTS).partition("/")
            found.setdefault(network_id, {})[endpoint_id] = decode(SharedEndpoint, value)
    return View(revision, MappingProxyType(dict(values)), found)


def load(client: Client) -> View:
    """Read everything anew."""
    pairs, revision = client.range(keys.SHARED)
    return make(revision, {kv.key: kv.value for kv in pairs})


def after(view: View, revision: int, events: Iterable[KeyValue]) -> View:
    """The view that follows from events; what they do not touch is shared with the old one."""
    values = dict(view.values)
    found = dict(view._endpoints)
    for event in events:
        if event.deleted:
            values.pop(event.key, None)
        else:
            values[event.key] = event.value
        if event.key.startswith(keys.ENDPOINTS):
            network_id, _, endpoint_id = event.key.removeprefix(keys.ENDPOINTS).partition("/")
            members = dict(found.get(network_id, {}))
            members.pop(endpoint_id, None)
            if not event.deleted:
                members[endpoint_id] = decode(SharedEndpoint, event.value)
            found[network_id] = members
    return replace(view, revision=revision, values=values, _endpoints=found)


def save(root: Path, view: View) -> None:
    """Keep the view for the next agent."""
    text = json.dumps({"revision": view.revision, "values": dict(view.values)})
    membership.write_private(membership.directory(root) / FILE, text)


def saved(root: Path) -> View | None:
    """The view that was kept last; None where there is none that can be read."""
    try:
        document = json.loads((membership.directory(root) / FILE).read_text(encoding="utf-8"))
        return make(int(document["revision"]), document["values"])
    except (OSError, ValueError, KeyError):
        return None


def record_of(endpoint: SharedEndpoint) -> EndpointRecord:
    """An endpoint of another host as the resolver sees endpoints."""
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
