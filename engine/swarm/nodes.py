"""List, inspect and remove the nodes of a cluster, as Docker's API does (/nodes)."""

from __future__ import annotations

import os
from base64 import b64encode

from drivers.registry import available
from engine.api import Documents, Json
from engine.cluster import keys, record_checks, shared_endpoints
from engine.cluster import membership as memberships
from engine.cluster.etcd import Client, delete
from engine.cluster.membership import connected, managing
from engine.cluster.model import MANAGER, Cluster, ClusterMembership, Node
from engine.errors import Conflict, EngineError, Forbidden, NotFound, Unavailable, hinted
from engine.golang import timestamps
from engine.host import Host
from engine.render.version import OUTSIDE, version_text
from engine.store.codec import decode
from engine.swarm import certificates, etcd_member, pki
from engine.swarm.enrollment import Manager

LEAVE = "hawse has no node demote. On the manager itself: hawse swarm leave --force"
FORCE = "hawse has no node demote. If the manager will not return, remove it with --force"
"""Hints on how to remove a manager that is ready, and one that is down."""


def describe_host(membership: ClusterMembership, tunnel_key: str) -> Node:
    """Return a node record that describes this host; ``tunnel_key`` is the host's public WireGuard key."""
    now = timestamps.now()
    return Node(
        id=membership.node_id,
        created=now,
        hostname=os.uname().nodename,
        role=membership.role,
        address=membership.address,
        data_address=membership.data_address,
        index=membership.index,
        version=version_text(),
        architecture=os.uname().machine,
        cpus=os.cpu_count() or 0,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        enrollment_port=membership.port,
        wireguard_key=tunnel_key,
        updated=now,
    )


def list_documents(host: Host) -> Documents:
    """Return Docker's JSON document of each node; raises Unavailable on a host that is not a manager."""
    with managing(host) as (client, membership):
        return _documents(host, client, membership)


def _documents(host: Host, client: Client, membership: ClusterMembership) -> Documents:
    nodes = _nodes(client)
    alive = {kv.key.removeprefix(keys.ALIVE) for kv in client.range(keys.ALIVE)[0]}
    managers = [n.id for n in nodes if n.role == MANAGER]
    leader = managers[0] if membership.external and managers else etcd_member.leader(client, managers)
    authority = certificates.authority(host.root)
    return [_node_document(n, authority, alive=n.id in alive, leader=n.id == leader) for n in nodes]


def _nodes(client: Client) -> list[Node]:
    return record_checks.all_readable(client.range(keys.NODES)[0], record_checks.read_node)


def _node_document(node: Node, authority: str, *, alive: bool, leader: bool) -> Json:
    """Return Docker's JSON document of a node.

    ``authority`` is the certificate of the cluster's authority (PEM). ``alive`` says whether the node has a lease, and
    ``leader`` whether its etcd member is the leader.
    """
    subject, public = pki.describe(authority)
    document: Json = {
        "ID": node.id,
        "Version": {"Index": node.index},
        "CreatedAt": node.created,
        "UpdatedAt": node.updated or node.created,
        "Spec": {"Labels": {}, "Role": node.role, "Availability": "active"},
        "Description": {
            "Hostname": node.hostname,
            "Platform": {"Architecture": node.architecture, "OS": "linux"},
            "Resources": {"NanoCPUs": node.cpus * 10**9, "MemoryBytes": node.memory},
            "Engine": {
                "EngineVersion": node.version,
                "Plugins": [{"Type": "Network", "Name": name} for name in sorted(available())],
            },
            "TLSInfo": {
                "TrustRoot": authority,
                "CertIssuerSubject": b64encode(subject).decode(),
                "CertIssuerPublicKey": b64encode(public).decode(),
            },
        },
        "Status": {"State": "ready" if alive else "down", "Addr": node.address},
    }
    if node.role == MANAGER:
        reachable = "reachable" if alive else "unreachable"
        where = str(Manager(node.address, node.enrollment_port))
        document["ManagerStatus"] = {**({"Leader": True} if leader else {}), "Reachability": reachable, "Addr": where}
    return document


def inspect(host: Host, reference: str) -> Json:
    """Return Docker's JSON document of one node; raises NotFound if no node matches, and Conflict if several match.

    ``reference`` is an id, the word ``self`` (this host), a host name or the start of an id.
    """
    with managing(host) as (client, membership):
        return _pick(_documents(host, client, membership), membership.node_id if reference == "self" else reference)


def _pick(documents: Documents, reference: str) -> Json:
    """Return the one node document that matches ``reference``, an id, a host name or the start of an id.

    Raises NotFound if no node matches and Conflict if several match, with Docker's messages.
    """
    by_id = [d for d in documents if d["ID"] == reference]
    by_name = [d for d in documents if d["Description"]["Hostname"] == reference]
    matches = by_id or by_name or [d for d in documents if reference and d["ID"].startswith(reference)]
    if not matches:
        raise NotFound(f"node {reference} not found")
    if len(matches) > 1:
        raise Conflict(f"node {reference} is ambiguous ({len(matches)} matches found)")
    return matches[0]


def remove(host: Host, reference: str, *, force: bool) -> None:
    """Remove a node and all its endpoints and addresses; raises Forbidden if the node may not be removed.

    ``reference`` is an id, a host name or the start of an id.

    - Without ``force``, only a worker that is down may be removed.
    - With ``force``, a worker may be removed in any state, and a manager only if it is down.

    The node's admission record is deleted first, so managers no longer accept the node's certificate.
    """
    with managing(host) as (client, membership):
        document = _pick(_documents(host, client, membership), reference)
        identity = document["ID"]
        if document["Spec"]["Role"] == MANAGER and (not force or document["Status"]["State"] == "ready"):
            raise hinted(
                Forbidden(
                    f"rpc error: code = FailedPrecondition desc = node {identity} is a cluster manager and is a member "
                    "of the raft cluster. It must be demoted to worker before removal"
                ),
                LEAVE if document["Status"]["State"] == "ready" else FORCE,
            )
        if document["Status"]["State"] == "ready" and not force:
            text = f"node {identity} is not down and can't be removed"
            raise Forbidden(f"rpc error: code = FailedPrecondition desc = {text}")
        client.transact([], [delete(keys.member(identity)), delete(keys.alive(identity))])
        shared_endpoints.release_node(client, identity)
        if not membership.external:
            etcd_member.remove(client, identity)
        client.transact([], [delete(keys.node(identity))])  # delete last, so that a killed removal can be repeated


def summary(host: Host) -> Json:
    """Return the ``Swarm`` part of Docker's /info document."""
    try:
        membership = memberships.load(host.root)
    except Unavailable as error:
        return {**OUTSIDE, "LocalNodeState": "error", "Error": str(error)}
    if membership is None:
        return OUTSIDE
    document = {
        **OUTSIDE,
        "NodeID": membership.node_id,
        "NodeAddr": membership.address,
        "LocalNodeState": "active",
        "ControlAvailable": membership.is_manager,
    }
    try:
        with connected(host) as (client, _):
            nodes = _nodes(client)
            settings = client.get(keys.CLUSTER)
    except EngineError as error:
        return document | {"Error": str(error) if membership.is_manager else ""}
    cluster = decode(Cluster, settings.value) if settings else Cluster(membership.cluster_id, timestamps.NEVER)
    managers = [n for n in nodes if n.role == MANAGER]
    document["RemoteManagers"] = [
        {"NodeID": n.id, "Addr": str(Manager(n.address, n.enrollment_port))} for n in managers
    ]
    if membership.is_manager:
        document |= {"Nodes": len(nodes), "Managers": len(managers), "Cluster": _cluster_document(cluster)}
    return document


def _cluster_document(cluster: Cluster) -> Json:
    """Return the object ``Cluster`` of Docker's /info document, which describes the cluster."""
    return {
        "ID": cluster.id,
        "CreatedAt": cluster.created,
        "Spec": {"Name": "default", "Labels": {}},
        "DefaultAddrPool": list(cluster.pools),
        "SubnetSize": cluster.subnet_size,
        "DataPathPort": cluster.data_path_port,
    }
