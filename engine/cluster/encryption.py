"""What an encrypted network's driver has to know: this host's tunnel key, and those of all others.

Keys are a host's own, made here; the public one is in its node's record. The port follows from the network's VXLAN id,
the address inside the tunnel from the host's index, so all hosts come to the same result without asking.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address

from drivers.api import NetworkSpec
from drivers.options import ENCRYPTED, WIREGUARD
from engine.cluster.model import ClusterMembership, Node
from engine.cluster.shared_networks import FIRST_VNI, vnis_of
from engine.dispatch import network_spec
from engine.model import NetworkRecord

FIRST_PORT, PORTS = 51820, 8192
TUNNELS = IPv4Address("100.127.0.0")


def is_encrypted(record: NetworkRecord) -> bool:
    """Whether the user asked for encryption."""
    return ENCRYPTED in (record.options or {})


def spec(record: NetworkRecord, me: ClusterMembership, nodes: Iterable[Node]) -> NetworkSpec:
    """A network as its driver is to see it on this host, with the tunnels of this moment."""
    seen = network_spec(record)
    if not is_encrypted(record):
        return seen
    return replace(seen, options={**seen.options, WIREGUARD: configuration(record, me, nodes)})


def configuration(record: NetworkRecord, me: ClusterMembership, nodes: Iterable[Node]) -> str:
    """The tunnels of a network on this host, as the driver's option."""
    peers = [
        {"public_key": n.wireguard_key, "endpoint": n.data_address, "address": tunnel_address(n.index)}
        for n in sorted(nodes, key=lambda n: n.index)
        if n.id != me.node_id and n.wireguard_key
    ]
    document = {
        "private_key": me.wireguard_key,
        "listen_port": port(record),
        "address": tunnel_address(me.index),
        "peers": peers,
    }
    return json.dumps(document)


def port(record: NetworkRecord) -> int:
    """The UDP port of a network's tunnels, the same on all hosts."""
    return FIRST_PORT + (int(vnis_of(record)[0]) - FIRST_VNI) % PORTS


def tunnel_address(index: int) -> str:
    """A host's address inside every tunnel."""
    return str(TUNNELS + index)
