"""The verbs of /swarm: making a cluster, joining it, leaving it, and the tokens in between.

A host is a member from the moment its directory HAWSE_ROOT/cluster gets its name: everything is written beside it
first, so that a failed or killed join leaves a host that is in no cluster.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import unquote, urlsplit

from engine import timestamps
from engine.api import SwarmInit, SwarmJoin
from engine.cluster import (
    addresses,
    etcd_member,
    gateway_bridge,
    keys,
    membership,
    mirror,
    pki,
    processes,
    quorum,
    shared_endpoints,
    shared_networks,
)
from engine.cluster.enrollment import Manager, enroll, parse_manager, wait_until_open
from engine.cluster.etcd import Client, EtcdError, put
from engine.cluster.model import MANAGER, WORKER, Cluster, Cursor, Membership, Node, Tokens
from engine.cluster.new_network import new_record
from engine.cluster.overlay import connected, managing
from engine.cluster.token import JoinToken, digest_of, new_id, new_secret, parse
from engine.errors import EngineError, InvalidArgument, Unavailable
from engine.host import Host
from engine.model import NetworkCreate
from engine.store.codec import decode, encode

ALREADY = 'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.'
NOT_PART = "This node is not part of a swarm"
DEFAULT_POOLS, DEFAULT_SUBNET_SIZE = ("10.0.0.0/8",), 24
STORE_KEYS = ("cacert", "cert", "key")
INGRESS = NetworkCreate("ingress", driver="overlay", ingress=True)
LONGEST_SUBNET = 29


# --------------------------------------------------------------------------------------------------- init


def init(host: Host, request: SwarmInit) -> str:
    """Make a cluster with this host as its first manager; the node's id."""
    _require_outside(host)
    pools, size = tuple(request.pools) or DEFAULT_POOLS, request.subnet_size or DEFAULT_SUBNET_SIZE
    _check_pools(pools, size)
    store = request.store
    address, port = addresses.advertised(request.advertise)
    data_address = addresses.data_path(request.data_path) if request.data_path else address
    node = new_id()
    with _workplace(host) as where:
        authority_key = pki.new_key()
        _write(where, {"ca.key": authority_key, "ca.pem": pki.new_authority(authority_key)})
        _write(where, _own_papers(where, node, address))
        urls, user, password = [etcd_member.url(address, etcd_member.CLIENT_PORT)], "", ""
        if store:
            urls, user, password = _external(store)
            _take_store_files(where, request.store_files)
        me = Membership(
            new_id(), node, MANAGER, address, data_address, urls, user, password,
            external=bool(store), port=port, index=1,
        )  # fmt: skip
        me = _with_store(host, where, me, Cluster(me.cluster_id, timestamps.now(), pools, size))
        _enter(host, me)
    return node


def _check_pools(pools: Sequence[str], size: int) -> None:
    """Refuse pools that no subnet of ``size`` bits can be cut from."""
    if size > LONGEST_SUBNET:
        raise InvalidArgument(f"subnet size is out of range: {size}")
    for pool in map(ip_network, pools):
        if size < pool.prefixlen:
            raise InvalidArgument(f'invalid CIDR: "{pool}". Subnet size is too small for pool: {size}')
        if pool.version != 4:
            raise InvalidArgument(f"invalid base pool {pool}: subnets of overlay networks are chosen among IPv4 ones")


def _take_store_files(where: Path, given: Mapping[str, str]) -> None:
    """Take the user's files in place of our own."""
    for name in membership.STORE_FILES:
        (where / name).unlink(missing_ok=True)
    _write(where, {n: given[k] for n, k in zip(membership.STORE_FILES, STORE_KEYS, strict=True) if given.get(k)})


def _external(store: Sequence[str]) -> tuple[list[str], str, str]:
    """The URLs of a store of the user's own, and the credential that the first of them carries."""
    parts = [urlsplit(url if "://" in url else f"https://{url}") for url in store]
    urls = [f"{p.scheme}://{p.netloc.rpartition('@')[2]}" for p in parts]
    return urls, unquote(parts[0].username or ""), unquote(parts[0].password or "")


def _own_papers(where: Path, node: str, address: str) -> dict[str, str]:
    """Certificates that the first manager issues to itself."""
    authority, authority_key = (where / "ca.pem").read_text(), (where / "ca.key").read_text()
    key, manager_key = pki.new_key(), pki.new_key()
    asked = pki.request(manager_key)
    serving = pki.issue(authority, authority_key, asked, pki.MANAGER_NAME, [address, "127.0.0.1"])
    return {
        "store-ca.pem": authority,
        "store.pem": pki.issue(authority, authority_key, pki.request(key), node),
        "store.key": key,
        "manager.pem": serving,
        "manager.key": manager_key,
    }


def _with_store(host: Host, where: Path, me: Membership, cluster: Cluster) -> Membership:
    """Start the store where it is ours, and write the cluster into it; the membership with its credential."""
    if not me.external:
        _publish_directory(host, where)
        where = membership.directory(host.root)
        member = etcd_member.Member(
            me.node_id, me.address, [f"{me.node_id}={etcd_member.url(me.address, etcd_member.PEER_PORT)}"]
        )
        etcd_member.start(host.run, where, member)
    client = Client(me.urls, membership.tls_context(where), me.user, me.password)
    try:
        if not me.external:
            etcd_member.wait_until_ready(host.run, client)
        me = _found(client, cluster, me)
        if not me.external:
            me = replace(me, user="root", password=etcd_member.protect(client))
    finally:
        client.close()
    if me.external:
        _publish_directory(host, where)
    return me


def _found(client: Client, cluster: Cluster, me: Membership) -> Membership:
    """Write the first records of a cluster; an external store that holds one already is refused."""
    from engine.cluster.etcd import absent
    from engine.cluster.nodes import describe_host

    me, public = _with_tunnel_key(me)
    changes = [
        put(keys.CLUSTER, encode(cluster)),
        put(keys.TOKENS, encode(Tokens(new_secret(), new_secret()))),
        put(keys.CURSOR, encode(Cursor(node=1))),
        put(keys.node(me.node_id), encode(describe_host(me, public))),
    ]
    if not client.transact([absent(keys.CLUSTER)], changes).succeeded:
        raise InvalidArgument("the store holds a cluster already: join it with a token from one of its managers")
    with suppress(EngineError):
        shared_networks.create(client, replace(new_record(INGRESS), options=None))
    return me


def _with_tunnel_key(me: Membership) -> tuple[Membership, str]:
    private, public = pki.new_tunnel_key()
    return replace(me, wireguard_key=private), public


# --------------------------------------------------------------------------------------------------- join


def join(host: Host, request: SwarmJoin) -> str:
    """Join the cluster of a manager; the role that the token gave."""
    _require_outside(host)
    if not request.token:
        raise InvalidArgument(
            "rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster"
        )
    token, manager = parse(request.token), parse_manager(request.remote)
    address, port = addresses.towards(manager.host, manager.port), addresses.DEFAULT_PORT
    if request.advertise:
        address, port = addresses.advertised(request.advertise)
    data_address = addresses.data_path(request.data_path) if request.data_path else address
    with _workplace(host) as where:
        key, manager_key = pki.new_key(), pki.new_key()
        papers = {"request": pki.request(key), "manager_request": pki.request(manager_key), "address": address}
        answer = enroll(manager, token, {**papers, "role": request.role})
        _write(where, _given_papers(answer, key, manager_key))
        me = Membership(
            answer["cluster"], answer["node"], answer["role"], address, data_address, answer["urls"],
            answer["user"], answer["password"], managers=answer["managers"], external=answer["external"],
            port=port, index=answer["index"],
        )  # fmt: skip
        me = _take_place(host, where, me, answer.get("members"))
        _enter(host, me)
    return me.role


def _given_papers(answer: Mapping[str, object], key: str, manager_key: str) -> dict[str, str]:
    authority = str(answer["authority"])
    papers = {"ca.pem": authority, "store-ca.pem": authority, "store.pem": str(answer["certificate"]), "store.key": key}
    if answer["role"] == MANAGER:
        papers |= {
            "ca.key": str(answer["authority_key"]),
            "manager.pem": str(answer["manager_certificate"]),
            "manager.key": manager_key,
        }
    if answer["external"]:
        files = answer["files"]
        assert isinstance(files, dict)
        papers = {n: t for n, t in papers.items() if n not in membership.STORE_FILES} | files
    return papers


def _take_place(host: Host, where: Path, me: Membership, members: Sequence[str] | None) -> Membership:
    """Write this host's own record into the store; a manager starts its member of it first."""
    from engine.cluster.nodes import describe_host

    me, public = _with_tunnel_key(me)
    if members is not None:
        _publish_directory(host, where)
        where = membership.directory(host.root)
        etcd_member.start(host.run, where, etcd_member.Member(me.node_id, me.address, members, existing=True))
    client = Client(me.urls, membership.tls_context(where), me.user, me.password)
    try:
        if members is not None:
            etcd_member.promote(host.run, client, me.node_id)
        client.put(keys.node(me.node_id), encode(describe_host(me, public)))
    finally:
        client.close()
    if members is None:
        _publish_directory(host, where)
    return me


# -------------------------------------------------------------------------------------------------- leave


def leave(host: Host, *, force: bool) -> None:
    """Leave the cluster: this host's containers lose their overlay networks, its record is marked down."""
    me = membership.load(host.root)
    if me is None:
        raise Unavailable(NOT_PART)
    if me.is_manager and not force:
        raise Unavailable(quorum.warning(*_managers(host)))
    _disconnect_all(host)
    with suppress(EngineError):
        client = membership.open_client(host.root, me)
        try:
            _say_goodbye(client, me)
        finally:
            client.close()
    mirror.forget_all(host)
    gateway_bridge.let_go(host)
    _abandon(host)
    mirror.forget_all(host)  # again: what the agent, which did not know yet, has learned meanwhile
    _tell_agent(host)


def _managers(host: Host) -> tuple[int, int]:
    with suppress(EngineError), connected(host) as (client, _):
        return quorum.managers(client)
    return 0, 0


def _say_goodbye(client: Client, me: Membership) -> None:
    from engine.cluster.etcd import delete

    client.transact([], [delete(keys.alive(me.node_id))])
    if me.is_manager and not me.external:
        node = client.get(keys.node(me.node_id))
        if node is not None:
            left = replace(decode(Node, node.value), role=WORKER, store_url="")
            client.put(keys.node(me.node_id), encode(left))
        with suppress(EtcdError):
            etcd_member.remove(client, me.node_id)


def _disconnect_all(host: Host) -> None:
    """Take every container off the networks that are about to go."""
    from engine import connections

    with host.store.read() as reader:
        shared = {n.id: n for n in reader.networks() if n.scope == mirror.SWARM}
        used = [e for e in reader.endpoints() if e.network_id in shared]
    for endpoint in used:
        with suppress(EngineError):
            connections.disconnect(host, endpoint.network_id, endpoint.container_id, force=True)


# -------------------------------------------------------------------------------------------------- tokens


def join_token(host: Host, role: str, *, rotate: bool) -> tuple[str, str]:
    """The token that lets a host join in a role, made anew if asked, and where to join."""
    with managing(host) as (client, me):
        if rotate:
            text = shared_networks.update(client, keys.TOKENS, lambda old: encode(_rotated(decode(Tokens, old), role)))
        else:
            found = client.get(keys.TOKENS)
            text = found.value if found else ""
        tokens = decode(Tokens, text)
        authority = (membership.directory(host.root) / "ca.pem").read_text()
        secret = tokens.manager if role == MANAGER else tokens.worker
        return str(JoinToken(digest_of(authority), secret)), str(Manager(me.address, me.port))


def _rotated(tokens: Tokens, role: str) -> Tokens:
    return replace(tokens, manager=new_secret()) if role == MANAGER else replace(tokens, worker=new_secret())


# -------------------------------------------------------------------------------------------------- shared


def _require_outside(host: Host) -> None:
    if membership.exists(host.root):
        raise Unavailable(ALREADY)


@contextmanager
def _workplace(host: Host) -> Iterator[Path]:
    """An empty directory for what becomes the cluster's; whatever fails inside leaves a host in no cluster."""
    _abandon(host)  # what a killed attempt may have left
    path = host.root / "cluster.new"
    path.mkdir(mode=0o700, parents=True)
    try:
        yield path
    except BaseException:
        _abandon(host)
        mirror.forget_all(host)
        gateway_bridge.let_go(host)
        raise


def _write(where: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        membership.write_private(where / name, text)


def _publish_directory(host: Host, where: Path) -> None:
    os.rename(where, membership.directory(host.root))


def _enter(host: Host, me: Membership) -> None:
    """Become a member for all to see: the record is written last, then the agent takes over."""
    membership.save(membership.directory(host.root), me)
    gateway_bridge.prepare(host)
    with connected(host) as (client, _):
        known = shared_networks.all_networks(client)
        mirror.follow(host, lambda: known, me)
        for network in known:
            if network.ingress:
                shared_endpoints.reserve_balancer(client, network, me.node_id)
    _tell_agent(host)
    if me.is_manager:
        wait_until_open(Manager(me.address, me.port))


def _abandon(host: Host) -> None:
    """End a membership, or what was to become one: processes first, then what they worked on."""
    where = membership.directory(host.root)
    (where / membership.FILE).unlink(missing_ok=True)
    for name in ("guard", "enrollment", etcd_member.NAME):
        processes.stop(host.run, name)
    for path in (where, host.root / "cluster.new"):
        shutil.rmtree(path, ignore_errors=True)


def _tell_agent(host: Host) -> None:
    from engine.agent.client import notify

    notify(host.run, host.root)
