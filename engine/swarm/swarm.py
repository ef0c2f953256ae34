"""The operations of Docker's API for /swarm: create, join and leave a cluster, and return join tokens.

A host is a member as soon as HAWSE_ROOT/cluster has a membership record. The record is the last file that a join
writes. Therefore a failed or killed join leaves a host that is in no cluster.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec.structs import replace

from engine.agent.client import notify
from engine.api import SwarmInit, SwarmJoin
from engine.cluster import endpoint_sync, keys, local_networks, node_operations, shared_networks
from engine.cluster import membership as memberships
from engine.cluster.etcd import Client, absent, delete, none_since, put, unchanged
from engine.cluster.membership import connected, managing
from engine.cluster.model import MANAGER, AdmittedHost, Cluster, ClusterMembership, Cursor, Tokens, new_id
from engine.cluster.network_request import new_record
from engine.containers import disconnect, gateway_bridge, lookup
from engine.errors import EngineError, Forbidden, InvalidArgument, Unavailable, hinted
from engine.golang import timestamps
from engine.host import MEMBERSHIP_FILE, Host
from engine.model import NetworkCreate
from engine.store.codec import CodecError, decode, encode
from engine.store.locks import locked
from engine.swarm import advertise, certificates, daemons, etcd_member, pki, quorum
from engine.swarm.enrollment import Manager, enroll, parse_manager, wait_until_open
from engine.swarm.nodes import describe_host
from engine.swarm.token import JoinToken, digest_of, new_secret, parse
from engine.validate.addresses import parse_prefix

ALREADY = 'This node is already part of a swarm. Use "hawse swarm leave" to leave this swarm and join another one.'
INVALID = "A valid join token is necessary to join this cluster"
TOKEN = "A manager prints the line with the valid token: hawse swarm join-token {role}"
NOT_DISCONNECTED = "container {} cannot be disconnected from the swarm's networks: {} (--force leaves nevertheless)"
NOT_PART = "This node is not part of a swarm"
DEFAULT_POOLS, DEFAULT_SUBNET_SIZE = ("10.0.0.0/8",), 24
STORE_KEYS = ("cacert", "cert", "key")
INGRESS = NetworkCreate("ingress", driver="overlay", ingress=True)
LONGEST_SUBNET = 29  # the prefix length of the smallest subnet, as in Docker
CREATING, JOINING = "creating.json", "joining.json"
"""The files with the membership of an incomplete init (only with an external etcd store) or join.

A failed command, or the next init or join, then deletes the records of this host from the etcd store.
"""
HELD = (
    "the store holds a cluster already: join it with a token from one of its managers "
    f"(a cluster without managers is deleted by: etcdctl del --prefix {keys.BASE})"
)
LEFT = (
    "an incomplete swarm init may have left records in the store {}, which cannot be deleted now: {} "
    "(try again when the store answers; to leave the records there: rm {})"
)
WITHDRAWAL_TIMEOUT_SECONDS = 5.0
"""Maximum seconds to wait for the etcd member of an incomplete join."""
MEMBERSHIP_LOCK = ("cluster", "membership")
"""The lock that a command holds while it creates, joins or leaves a cluster."""


# --------------------------------------------------------------------------------------------------- init


def init(host: Host, request: SwarmInit) -> str:
    """Create a cluster with this host as its first manager; return this host's node id."""
    _require_outside(host)
    size = request.subnet_size or DEFAULT_SUBNET_SIZE
    pools = _parse_pools(tuple(request.pools) or DEFAULT_POOLS, size)
    urls, user, password = _external(request.store)
    address, port = advertise.advertise_address(request.advertise)
    data_address = advertise.data_path(request.data_path) if request.data_path else address
    node = new_id()
    with _workplace(host) as where:
        authority_key = pki.new_key()
        authority = pki.new_authority(authority_key)
        memberships.write_files(where, {memberships.AUTHORITY_KEY: authority_key, memberships.AUTHORITY: authority})
        memberships.write_files(where, certificates.issue_own(authority, authority_key, node, address))
        if request.store:
            _take_store_files(where, request.store_files)
        membership = ClusterMembership(
            new_id(), node, MANAGER, address, data_address, (), tuple(urls), user, password,
            external=bool(request.store), port=port, index=1, layout=keys.LAYOUT,
        )  # fmt: skip
        cluster = Cluster(membership.cluster_id, timestamps.now(), pools, size, layout=keys.LAYOUT)
        gateway_bridge.recorded_bridge(host)
        membership = _with_store(host, where, membership, cluster)
        _enter(host, membership)
        (memberships.directory(host.root) / CREATING).unlink(missing_ok=True)
    return node


def _parse_pools(pools: Sequence[str], size: int) -> tuple[str, ...]:
    """Return the address ranges ``pools`` in canonical form, without host bits.

    Raises InvalidArgument if ``size``, the prefix length of the subnets, is above `LONGEST_SUBNET`, or if any of
    ``pools`` is not an IPv4 range with room for such a subnet.
    """
    if size > LONGEST_SUBNET:
        raise InvalidArgument(f"subnet size is out of range: {size}")
    networks = []
    for pool in pools:
        prefix = parse_prefix(pool)
        if prefix is None:
            raise InvalidArgument(f"invalid base pool {pool}: invalid CIDR address: {pool}")
        if size < prefix.network.prefixlen:
            raise InvalidArgument(f'invalid CIDR: "{pool}". Subnet size is too small for pool: {size}')
        if prefix.version != 4:
            raise InvalidArgument(f"invalid base pool {pool}: subnets of overlay networks are chosen among IPv4 ones")
        networks.append(str(prefix.network))
    return tuple(networks)


def _take_store_files(where: Path, files: Mapping[str, str]) -> None:
    """Write the user's certificate files for an external etcd store into the directory ``where``.

    ``files`` are the contents of the files by name: "cacert", "cert" and "key".
    """
    names = zip(memberships.STORE_FILES, STORE_KEYS, strict=True)
    memberships.write_files(where, {name: files[key] for name, key in names if files.get(key)})


def _external(store: Sequence[str]) -> tuple[list[str], str, str]:
    """Remove the credentials from the URLs of an external etcd store; return the URLs, the user and the password.

    ``store`` has the URLs as the user gave them; ``https://`` may be missing. User and password are those in the first
    URL, or "" if it has none. Raises InvalidArgument if a URL is not valid or not https.
    """
    parts = [_parse_store(url if "://" in url else f"https://{url}") for url in store]
    urls = [f"https://{p.netloc.rpartition('@')[2]}" for p in parts]
    first = parts[0] if parts else urlsplit("")
    return urls, unquote(first.username or ""), unquote(first.password or "")


def _parse_store(url: str) -> SplitResult:
    with suppress(ValueError):
        part = urlsplit(url)
        if part.scheme == "https" and part.hostname:
            return part
    scheme, _, rest = url.partition("://")
    raise InvalidArgument(f"invalid store {scheme}://{rest.rpartition('@')[2]}: must be https://HOST")


def _with_store(host: Host, where: Path, membership: ClusterMembership, cluster: Cluster) -> ClusterMembership:
    """Start etcd, unless the etcd store is external, and write the first records of a new cluster to the store.

    ``where`` is the new directory of the cluster's files. It is first renamed to its final path
    (`memberships.directory`). Returns the membership with this host's WireGuard key. Raises InvalidArgument if an
    external store already has a cluster.
    """
    directory = memberships.directory(host.root)
    os.rename(where, directory)
    if not membership.external:
        peer = etcd_member.url(membership.address, etcd_member.PEER_PORT)
        member = etcd_member.EtcdMember(membership.node_id, membership.address, [f"{membership.node_id}={peer}"])
        etcd_member.start(host.run, directory, member)
    with closing(memberships.open_client(host.root, membership)) as client:
        if not membership.external:
            etcd_member.wait_until_ready(host.run, client)
        elif client.get(keys.CLUSTER) is not None:
            raise InvalidArgument(HELD)
        else:  # from now on, the store may have records that a failed init must delete
            memberships.write_private(directory / CREATING, encode(membership))
        return _write_first_records(client, cluster, membership)


def _write_first_records(client: Client, cluster: Cluster, membership: ClusterMembership) -> ClusterMembership:
    """Write the first records of a new cluster to the etcd store; return the membership with this host's WireGuard key.

    Raises InvalidArgument if an external etcd store already has a cluster.
    """
    membership, public = _with_tunnel_key(membership)
    member = AdmittedHost(membership.node_id, membership.role, membership.index)
    changes = [
        put(keys.CLUSTER, encode(cluster)),
        put(keys.TOKENS, encode(Tokens(new_secret(), new_secret()))),
        put(keys.CURSOR, encode(Cursor(node=1))),
        put(keys.member(membership.node_id), encode(member)),
        put(keys.node(membership.node_id), encode(describe_host(membership, public))),
    ]
    if not client.transact([absent(keys.CLUSTER)], changes).succeeded:
        raise InvalidArgument(HELD)
    with suppress(Forbidden):  # no subnet is free
        shared_networks.create(client, replace(new_record(INGRESS), options=None))
    return membership


def _with_tunnel_key(membership: ClusterMembership) -> tuple[ClusterMembership, str]:
    private, public = pki.new_tunnel_key()
    return replace(membership, wireguard_key=private), public


# --------------------------------------------------------------------------------------------------- join


def join(host: Host, request: SwarmJoin) -> str:
    """Join a manager's cluster; return the role that the token gave."""
    _require_outside(host)
    if not request.token:
        raise hinted(
            InvalidArgument(f"rpc error: code = InvalidArgument desc = {INVALID}"),
            TOKEN.format(role=request.role or "worker"),
        )
    token, manager = parse(request.token), parse_manager(request.remote)
    address, port = advertise.source_address_for(manager.host, manager.port), advertise.DEFAULT_PORT
    if request.advertise:
        address, port = advertise.advertise_address(request.advertise)
    data_address = advertise.data_path(request.data_path) if request.data_path else address
    with _workplace(host) as where:
        key, manager_key = pki.new_key(), pki.new_key()
        requests = {"request": pki.request(key), "manager_request": pki.request(manager_key), "address": address}
        try:
            answer = enroll(manager, token, {**requests, "role": request.role})
        except EngineError as error:
            if INVALID in str(error):
                error.hint = TOKEN.format(role=request.role or "worker")
            raise
        memberships.write_files(where, _certificate_files(answer, key, manager_key))
        membership = ClusterMembership(
            answer["cluster"], answer["node"], answer["role"], address, data_address, answer["managers"],
            answer.get("urls", ()), answer.get("user", ""), answer.get("password", ""), external=answer["external"],
            port=port, index=answer["index"], layout=keys.LAYOUT,
        )  # fmt: skip
        gateway_bridge.recorded_bridge(host)
        membership = _take_place(host, where, membership, answer.get("members"))
        _enter(host, membership)
        (memberships.directory(host.root) / JOINING).unlink()
    return membership.role


def _certificate_files(answer: Mapping[str, object], key: str, manager_key: str) -> dict[str, str]:
    texts = {memberships.AUTHORITY: str(answer["authority"]), memberships.NODE: str(answer["certificate"]) + key}
    if answer["role"] == MANAGER:
        texts[memberships.AUTHORITY_KEY] = str(answer["authority_key"])
        texts[memberships.MANAGER] = str(answer["manager_certificate"]) + manager_key
    files = answer.get("files", {})
    assert isinstance(files, dict)
    return texts | {name: str(text) for name, text in files.items() if name in memberships.STORE_FILES}


def _take_place(
    host: Host, where: Path, membership: ClusterMembership, members: Sequence[str] | None
) -> ClusterMembership:
    """Write this host's own node record to the etcd store; return the membership with this host's WireGuard key.

    - ``where``: the new directory of the cluster's files. It is first renamed to its final path
      (`memberships.directory`).
    - ``members``: all etcd members as ``name=peer URL``, or None for a worker or with an external etcd store. If it is
      not None, this host starts its own etcd member before it writes the record.
    """
    membership, public = _with_tunnel_key(membership)
    directory = memberships.directory(host.root)
    os.rename(where, directory)
    if members is not None:
        member = etcd_member.EtcdMember(membership.node_id, membership.address, members, existing=True)
        etcd_member.start(host.run, directory, member)
    memberships.write_private(directory / JOINING, encode(membership))
    with closing(memberships.open_client(host.root, membership)) as client:
        if members is not None:
            etcd_member.promote(host.run, client, membership.node_id)
        node_operations.perform(client, membership, "publish", node=encode(describe_host(membership, public)))
    return membership


def _withdraw(host: Host) -> None:
    """Undo in the etcd store what an incomplete init or join of this host has done.

    - After an init: hawse's records are deleted from the external etcd store. Raises Unavailable if the store refuses
      the deletion or does not answer. The caller must then keep the cluster files, which are needed for a new attempt.
    - After a join: the host leaves the cluster, and its etcd member is removed from the store's members. Errors are
      ignored. The removal is necessary because the caller then deletes the member's data (`_abandon`). If the member
      has a vote and is not removed, the cluster could lose its quorum.
    """
    where = memberships.directory(host.root)
    created, joined = _incomplete(where / CREATING), _incomplete(where / JOINING)
    if created is not None:
        try:
            _empty_external_store(host, created)
        except CodecError:
            return  # another version of hawse wrote the store's records
        except EngineError as error:
            raise Unavailable(LEFT.format(", ".join(created.urls), error, where / CREATING)) from error
    elif joined is not None:
        with suppress(EngineError, CodecError):  # CodecError: another version of hawse wrote the store's records
            if joined.has_etcd:
                etcd_member.restart(host.run, where)
                alone = replace(joined, managers=())
                with closing(memberships.open_client(host.root, alone)) as client:
                    etcd_member.wait_until_ready(host.run, client, WITHDRAWAL_TIMEOUT_SECONDS)
            _leave_store(host, joined)


def _incomplete(file: Path) -> ClusterMembership | None:
    """Return the membership that an incomplete init or join has saved in ``file``, or None if the file does not exist.

    Also returns None if another version of hawse wrote the file.
    """
    try:
        return decode(ClusterMembership, file.read_text())
    except (FileNotFoundError, NotADirectoryError, CodecError):
        return None


def _empty_external_store(host: Host, membership: ClusterMembership) -> None:
    """Delete all records of hawse from the external etcd store.

    Does nothing if the records belong to another cluster, or if another host has joined the cluster.
    """
    with closing(memberships.open_client(host.root, membership)) as client:
        entry = client.get(keys.CLUSTER)
        if entry is None or decode(Cluster, entry.value).id != membership.cluster_id:
            return
        members, revision = client.range(keys.MEMBERS)
        if all(member.key == keys.member(membership.node_id) for member in members):
            conditions = [unchanged(keys.CLUSTER, entry.revision), none_since(keys.MEMBERS, revision)]
            client.transact(conditions, [delete(keys.BASE, prefix=True)])


# -------------------------------------------------------------------------------------------------- leave


def leave(host: Host, *, force: bool) -> None:
    """Leave the cluster: disconnect containers from cluster networks and mark this host's record as down.

    A killed init, join or leave may have left files and processes of a cluster on a host that is in no cluster. In this
    case, the function removes them.

    Raises Unavailable if this host is in no cluster and has no such files. Without ``force``, raises Unavailable also
    in these cases:

    - This host is a manager.
    - A running container cannot be disconnected.
    - Another version of hawse wrote the membership record.
    """
    with locked(host.run, *MEMBERSHIP_LOCK):
        if not host.is_clustered and any(path.exists() for path in _places(host)):
            _withdraw(host)
        else:
            membership = _leaving(host, force=force)
            _disconnect_all(host, force=force)
            if membership is not None:
                with suppress(EngineError):
                    _leave_store(host, membership)
        local_networks.delete_all_copies(host)
        gateway_bridge.release_ingress_address(host)
        _abandon(host)
        local_networks.delete_all_copies(host)  # delete again what the agent has copied since the first deletion
        notify(host.run, host.root)


def _leaving(host: Host, *, force: bool) -> ClusterMembership | None:
    """Return this host's membership, or None if another version of hawse wrote the membership record.

    If the result is None, the caller ends the membership on this host only, and does not notify the cluster. Raises
    Unavailable if this host is in no cluster. Without ``force``, raises Unavailable also if this host is a manager, or
    if another version of hawse wrote the record.
    """
    try:
        membership = memberships.load(host.root)
    except Unavailable:
        if not force:
            raise
        return None
    if membership is None:
        raise Unavailable(NOT_PART)
    if membership.is_manager and not force:
        text = quorum.warning(*_managers(host))
        raise hinted(Unavailable(text), quorum.hint(text))
    return membership


def _managers(host: Host) -> tuple[int, int]:
    with suppress(EngineError), connected(host) as (client, _):
        return quorum.managers(client)
    return 0, 0


def _leave_store(host: Host, membership: ClusterMembership) -> None:
    """Mark this host's node record as down, and remove this host's etcd member from the etcd cluster.

    If the host's own etcd member runs, all requests go to it alone. The other managers would refuse the second request,
    because the host is no longer a member of the cluster after the first.
    """
    if membership.has_etcd and daemons.is_running(host.run, etcd_member.NAME):
        membership = replace(membership, managers=())
    with closing(memberships.open_client(host.root, membership)) as client:
        node_operations.perform(client, membership, "leave")
        if membership.has_etcd:
            etcd_member.remove(client, membership.node_id)


def _disconnect_all(host: Host, *, force: bool) -> None:
    """Disconnect all containers from the cluster's networks.

    Without ``force``, raises Unavailable if a running container stays connected. The reason for this error: after the
    host has left the cluster, such a container could not be started again.
    """
    failures: dict[str, EngineError] = {}
    for endpoint in endpoint_sync.own_endpoints(host).values():
        try:
            disconnect.disconnect(host, endpoint.network_id, endpoint.container_id, force=True)
        except EngineError as error:
            failures[endpoint.id] = error
    left = [e for e in endpoint_sync.own_endpoints(host).values() if e.id in failures and not force]
    for endpoint in left:
        with host.store.read() as reader:
            container = reader.container(endpoint.container_id)
        if container is not None and lookup.is_running(host, container):
            raise Unavailable(NOT_DISCONNECTED.format(container.name, failures[endpoint.id]))


# -------------------------------------------------------------------------------------------------- tokens


def join_token(host: Host, role: str, *, rotate: bool) -> tuple[str, str]:
    """Return the token for joining with a role ("worker" or "manager"), and this manager's address as ``HOST:PORT``.

    With ``rotate``, the role's token is first replaced by a new token. Raises Unavailable unless this host is a
    manager.
    """
    with managing(host) as (client, membership):
        if rotate:
            text = shared_networks.update(client, keys.TOKENS, lambda old: encode(_rotated(decode(Tokens, old), role)))
        else:
            entry = client.get(keys.TOKENS)
            text = entry.value if entry else ""
        tokens = decode(Tokens, text)
        authority = certificates.authority(host.root)
        secret = tokens.manager if role == MANAGER else tokens.worker
        return str(JoinToken(digest_of(authority), secret)), str(Manager(membership.address, membership.port))


def _rotated(tokens: Tokens, role: str) -> Tokens:
    return replace(tokens, manager=new_secret()) if role == MANAGER else replace(tokens, worker=new_secret())


# -------------------------------------------------------------------------------------------------- shared


def _require_outside(host: Host) -> None:
    if host.is_clustered:
        raise Unavailable(ALREADY)


@contextmanager
def _workplace(host: Host) -> Iterator[Path]:
    """Yield a new directory for the cluster's files; `MEMBERSHIP_LOCK` is held during the ``with`` block.

    Before the block, an earlier incomplete init or join is undone. If the block fails, the init or join of the block is
    undone: this host is removed from the cluster, and the files are deleted. If the records of a failed init cannot be
    deleted from an external etcd store, the files stay. The next init or join then tries again to delete the records.

    Raises Unavailable if another command has made this host a member, or if the records of an earlier init still cannot
    be deleted.
    """
    with locked(host.run, *MEMBERSHIP_LOCK):
        _require_outside(host)
        _withdraw(host)
        _abandon(host)  # remove the remains of a killed attempt
        _, path = _places(host)
        path.mkdir(mode=0o700, parents=True)
        try:
            yield path
        except BaseException:
            try:
                _withdraw(host)
            except Unavailable:
                _end_membership(host)
            else:
                _abandon(host)
            local_networks.delete_all_copies(host)
            gateway_bridge.release_ingress_address(host)
            notify(host.run, host.root)
            raise


def _places(host: Host) -> tuple[Path, Path]:
    """Return the directory of the cluster's files, and the directory in which an init or join first writes them."""
    return memberships.directory(host.root), host.root / "cluster.new"


def _enter(host: Host, membership: ClusterMembership) -> None:
    """Write the membership record, prepare the cluster's networks, begin this host's lease, and notify the agent.

    The agent then starts its cluster threads, which renew the lease. Without the lease, the other hosts would show this
    host as down until its agent runs. On a manager, also waits up to `OPENING_SECONDS` until its server accepts
    connections.
    """
    memberships.save(memberships.directory(host.root), membership)
    with connected(host) as (client, _):
        known = shared_networks.all_networks(client)
        local_networks.follow(host, lambda: known, membership)
        for network in known:
            if network.ingress:
                node_operations.perform(client, membership, "balancer", network=network.id)
        node_operations.perform(client, membership, "beat", seconds=node_operations.lease_seconds())
    notify(host.run, host.root)
    if membership.is_manager:
        wait_until_open(Manager(membership.address, membership.port))


def _abandon(host: Host) -> None:
    """Stop this host's cluster processes (etcd, manager's server) and delete its cluster files.

    The files include the data of this host's own etcd member. Sends no request to the etcd store. This function is used
    to leave a cluster, and to remove an incomplete init or join.
    """
    where = memberships.directory(host.root)
    # Delete these two files first: each says that an init or join is incomplete. The next init or join undoes the
    # incomplete one, and needs the other cluster files for that. A killed command must not leave only these two files.
    for file in (CREATING, JOINING):
        with suppress(FileNotFoundError, NotADirectoryError):
            (where / file).unlink()
    _end_membership(host)
    for path in _places(host):
        shutil.rmtree(path, ignore_errors=True)


def _end_membership(host: Host) -> None:
    """Delete this host's membership record, and stop this host's processes of the cluster; idempotent."""
    with suppress(FileNotFoundError, NotADirectoryError), memberships.locked(host.root):
        (memberships.directory(host.root) / MEMBERSHIP_FILE).unlink()
    for name in ("server", etcd_member.NAME):
        daemons.stop(host.run, name)
