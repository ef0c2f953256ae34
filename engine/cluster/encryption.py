"""Makes the driver's data for an encrypted network: this host's tunnel key and the public keys of the other hosts.

Each host makes its own key pair and publishes the public key in its node record. The tunnel's UDP port is computed from
the network's VXLAN id. The address inside the tunnel is computed from the host's node index. Therefore all hosts
compute the same values without an exchange of messages.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from ipaddress import IPv4Network

from msgspec.structs import replace

from drivers.model import NetworkSpec
from drivers.options import ENCRYPTED, WIREGUARD
from engine.cluster.model import FIRST_VNI, ClusterMembership, Node, vnis_of
from engine.host import network_spec
from engine.model import NetworkRecord

FIRST_PORT, PORTS = 51820, 8192  # the first UDP port of the tunnels, and the number of ports
TUNNELS = IPv4Network("100.127.0.0/16")  # the addresses of the hosts inside the tunnels


def is_encrypted(record: NetworkRecord) -> bool:
    """Return whether the user asked for an encrypted network."""
    return ENCRYPTED in (record.options or {})


def has_tunnels(record: NetworkRecord) -> bool:
    """Return whether hosts send the network's packets through WireGuard tunnels.

    An encrypted network with a VXLAN id has tunnels. An encrypted network without a VXLAN id has none, because its
    record is invalid and no driver activates it.
    """
    return is_encrypted(record) and bool(vnis_of(record))


def spec(record: NetworkRecord, membership: ClusterMembership, nodes: Iterable[Node]) -> NetworkSpec:
    """Return a network's description for the driver, with this host's WireGuard settings if the network is encrypted.

    ``nodes`` are the node records of all hosts of the cluster.
    """
    seen = network_spec(record)
    if not has_tunnels(record):
        return seen
    return replace(seen, options={**seen.options, WIREGUARD: configuration(record, membership, nodes)})


def configuration(record: NetworkRecord, membership: ClusterMembership, nodes: Iterable[Node]) -> str:
    """Return the WireGuard settings of an encrypted network on this host as JSON text, the value of a driver option.

    The text has this host's private key, UDP port and tunnel address. It has one peer for each other node in ``nodes``
    that has a public key.
    """
    peers = [
        {"public_key": n.wireguard_key, "endpoint": n.data_address, "address": tunnel_address(n.index)}
        for n in sorted(nodes, key=lambda n: n.index)
        if n.id != membership.node_id and n.wireguard_key
    ]
    document = {
        "private_key": membership.wireguard_key,
        "listen_port": port(record),
        "address": tunnel_address(membership.index),
        "peers": peers,
    }
    return json.dumps(document)


def port(record: NetworkRecord) -> int:
    """Return the UDP port of an encrypted network's tunnels, which is the same on all hosts.

    The record must have a VXLAN id (`has_tunnels`).
    """
    return port_of(vnis_of(record)[0])


def port_of(vni: str) -> int:
    """Return the UDP port of a network's tunnels; ``vni`` is the network's first VXLAN id, a decimal number as text."""
    return FIRST_PORT + (int(vni) - FIRST_VNI) % PORTS


def tunnel_address(index: int) -> str:
    """Return the IP address that a host has inside the WireGuard tunnels; it is the same on all encrypted networks.

    ``index`` is the host's node index, a number that no other host has.
    """
    return str(TUNNELS[index])
