"""Adds the fields that Docker's network document has for cluster networks only."""

from __future__ import annotations

from hashlib import sha256
from ipaddress import IPv4Address, ip_address, ip_network

from engine.api import Json
from engine.cluster.local_networks import INGRESS_SANDBOX
from engine.cluster.model import ClusterMembership
from engine.cluster.snapshot import View
from engine.model import NetworkRecord
from engine.names import mac_from_ipv4


def completed(document: Json, record: NetworkRecord, view: View | None, membership: ClusterMembership | None) -> Json:
    """Return a network's inspect document with the fields of a cluster network.

    ``Containers`` is None if no container on this host uses the network. Ingress always counts as used. For a used
    network, ``Containers`` also has this host's own address, and ``Peers`` lists the hosts that use the network. The
    address and the list are missing if ``view`` or ``membership`` is None.
    """
    used = bool(document["Containers"]) or record.ingress
    if not used:
        return {**document, "Containers": None}
    document = {**document, "Labels": document["Labels"] or {}}
    if view is None or membership is None:
        return document
    balancer = view.balancers.get((record.id, membership.node_id))
    if balancer:
        members = {**document["Containers"], **_own_member(record, balancer)}
        document["Containers"] = dict(sorted(members.items()))
    nodes = {e.node for e in view.endpoints(record.id)} if not record.ingress else view.alive
    peer_nodes = [view.nodes[n] for n in sorted({*nodes, membership.node_id}) if n in view.nodes]
    document["Peers"] = [{"Name": _short(n.id), "IP": n.data_address} for n in peer_nodes]
    return document


def _own_member(record: NetworkRecord, address: str) -> Json:
    """Return a dict with the entry of ``Containers`` for ``address``, the host's own address on the network.

    Docker shows its load balancer's address there. The dict is empty if the address is in no subnet of the network.
    """
    name = "ingress" if record.ingress else record.name
    key = INGRESS_SANDBOX if record.ingress else f"lb-{name}"
    ip = ip_address(address)
    length = next((n.prefixlen for n in (ip_network(p.subnet) for p in record.pools) if ip in n), None)
    if length is None:
        return {}
    identity = sha256(f"{record.id}/{address}".encode()).hexdigest()
    return {
        key: {
            "Name": f"{name}-endpoint",
            "EndpointID": identity,
            "MacAddress": mac_from_ipv4(ip) if isinstance(ip, IPv4Address) else "",
            "IPv4Address": f"{ip}/{length}" if ip.version == 4 else "",
            "IPv6Address": f"{ip}/{length}" if ip.version == 6 else "",
        }
    }


def _short(node_id: str) -> str:
    """Return the node's name in the network document: twelve hexadecimal digits of a hash of the node id."""
    return sha256(node_id.encode()).hexdigest()[:12]
