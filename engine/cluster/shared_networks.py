"""The cluster's networks in etcd.

Each change is one transaction, which is repeated if another host has changed the same keys.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from ipaddress import IPv4Network, ip_network
from itertools import chain

from msgspec import Struct
from msgspec.structs import replace

from drivers.options import VNIS
from engine.cluster import encryption, keys, record_checks
from engine.cluster.etcd import Client, KeyValue, absent, delete, present, put, unchanged
from engine.cluster.etcd.client import read
from engine.cluster.model import FIRST_VNI, LAST_VNI, Cluster, Cursor, derived_id, vnis_of
from engine.errors import Conflict, EngineError, Forbidden, InvalidArgument, NotFound, Unavailable, hinted
from engine.ipam import NoFreeAddress, lowest_free
from engine.model import NetworkRecord, PoolRecord
from engine.names import short_id
from engine.store.codec import decode, encode

ATTEMPTS = 50  # maximum number of transactions; a transaction fails if another host has changed a key meanwhile
EXHAUSTED = "rpc error: code = InvalidArgument desc = could not find an available, non-overlapping IPv4 address pool"


class Ledger(Struct, frozen=True):
    """The state from which a new network is allocated: the cluster's settings, and the existing networks.

    ``cursor`` has the last allocated values, and ``revision`` is the revision at which it was written.
    """

    cluster: Cluster
    cursor: Cursor
    revision: int
    networks: Sequence[NetworkRecord]


def all_networks(client: Client) -> list[NetworkRecord]:
    """Return all networks of the cluster."""
    return record_checks.all_readable(client.range(keys.NETWORKS)[0], record_checks.read_network)


def find(client: Client, reference: str) -> list[NetworkRecord]:
    """Return the networks with the id ``reference``; if there are none, search by name, then by the start of the id.

    The list is empty if no search has a result.
    """
    networks = all_networks(client)
    return (
        [n for n in networks if n.id == reference]
        or [n for n in networks if n.name == reference]
        or [n for n in networks if reference and n.id.startswith(reference)]
    )


def create(client: Client, record: NetworkRecord) -> NetworkRecord:
    """Allocate subnets, gateways and VXLAN ids for a network, write its record to etcd, and return the record.

    Raises `Conflict` if the name is taken.
    """
    for _ in range(ATTEMPTS):
        ledger = _read_ledger(client)
        if any(n.name == record.name for n in ledger.networks):
            break
        made, cursor = allocate(record, ledger.cluster, ledger.cursor, ledger.networks)
        conditions = [absent(keys.name(record.name)), unchanged(keys.CURSOR, ledger.revision)]
        changes = [
            put(keys.network(made.id), encode(made)),
            put(keys.name(made.name), made.id),
            put(keys.CURSOR, encode(cursor)),
        ]
        if client.transact(conditions, changes).succeeded:
            return made
    else:
        raise Unavailable("the cluster's store is too busy: too many hosts create networks at once")
    raise Conflict(f"network with name {record.name} already exists")


def _read_ledger(client: Client) -> Ledger:
    answer = client.transact([], [read(keys.CLUSTER), read(keys.CURSOR), read(keys.NETWORKS, prefix=True)]).values
    if not answer[0]:
        raise Unavailable("the cluster's store holds no cluster")
    cursor = answer[1][0] if answer[1] else KeyValue(keys.CURSOR, encode(Cursor()))
    networks = record_checks.all_readable(answer[2], record_checks.read_network)
    return Ledger(decode(Cluster, answer[0][0].value), decode(Cursor, cursor.value), cursor.revision, networks)


def allocate(
    record: NetworkRecord, cluster: Cluster, cursor: Cursor, others: Sequence[NetworkRecord]
) -> tuple[NetworkRecord, Cursor]:
    """Return the record with subnets, gateways and VXLAN ids, and the new cursor (the last allocated values).

    ``others`` are the existing networks. The function has no side effects. Raises Forbidden if no subnet or no VXLAN id
    is free, and EngineError if a subnet has no address for a gateway. Raises InvalidArgument if a subnet of an
    encrypted network overlaps the addresses inside the WireGuard tunnels (`encryption.TUNNELS`). Raises Conflict if
    another encrypted network has the same UDP port.
    """
    pools = list(record.pools)
    reserved = [str(encryption.TUNNELS)] if encryption.is_encrypted(record) else []
    for pool in pools:
        if reserved and encryption.TUNNELS.overlaps(ip_network(pool.subnet)):
            raise InvalidArgument(
                f"subnet {pool.subnet} is refused for the encrypted network {record.name}: the addresses in "
                f"{encryption.TUNNELS} are used inside the tunnels between hosts (choose another subnet)"
            )
    if record.enable_ipv4 and not any(ip_network(p.subnet).version == 4 for p in pools):
        subnet = next_subnet(cluster, cursor.subnet, [*reserved, *(p.subnet for n in others for p in n.pools)])
        cursor = replace(cursor, subnet=str(subnet))
        pools.insert(0, PoolRecord(subnet=str(subnet)))
    record = replace(record, pools=tuple(_with_gateway(p) for p in pools))
    if record.driver == "overlay":
        record, cursor = _with_vnis(record, cursor, others)
    return record, cursor


def _with_gateway(pool: PoolRecord) -> PoolRecord:
    """Return the pool with its gateway address, and mark the gateway as visible in Docker's inspect.

    If the pool has no gateway, its first usable address becomes the gateway. As in Docker, this may be an auxiliary
    address. Raises EngineError with Docker's error text if the pool has no usable address.
    """
    try:
        within = ip_network(pool.ip_range) if pool.ip_range else None
        gateway = pool.gateway or str(lowest_free(ip_network(pool.subnet), (), within))
    except NoFreeAddress as error:
        raise EngineError(f"failed to allocate gateway (): {error}") from error
    return replace(pool, gateway=gateway, gateway_shown=True)


def next_subnet(cluster: Cluster, last: str, taken: Sequence[str]) -> IPv4Network:
    """Return the next free subnet after the subnet ``last``, from the address ranges of the cluster.

    If ``last`` is "", the search begins at the start of the ranges. After their end, the search continues at their
    start. ``taken`` are the subnets in use. Raises Forbidden if no subnet is free.
    """
    used = [n for n in map(ip_network, taken) if isinstance(n, IPv4Network)]
    after = int(ip_network(last).network_address) if last else -1
    for wrapped in (False, True):
        for base in map(IPv4Network, cluster.pools):
            step = 2 ** (32 - cluster.subnet_size)
            start = int(base.network_address)
            if not wrapped and after >= start:
                start = after + step
            for number in range(start, int(base.broadcast_address) + 1, step):
                candidate = IPv4Network((number, cluster.subnet_size))
                if not any(candidate.overlaps(n) for n in used):
                    return candidate
    raise Forbidden(EXHAUSTED)


def _with_vnis(record: NetworkRecord, cursor: Cursor, others: Sequence[NetworkRecord]) -> tuple[NetworkRecord, Cursor]:
    """Assign a VXLAN id to each used subnet; return the new record and the new cursor (the last allocated values).

    An unused subnet (an IPv6 subnet without ``--ipv6``) gets no id; only Docker's inspect shows it. The user may have
    requested ids, in the option `VNIS` of ``record``. The IPv4 subnets get the requested ids in the order of the
    option. All other subnets get ids that no network in ``others`` has. The new record has the ids in two fields:

    - ``options`` has the ids that Docker's inspect shows: those of the IPv4 subnets, then requested ids that were left
      over.
    - ``host_options`` has the ids of all used subnets (IPv4 and IPv6), in the order of ``record.pools``.

    The UDP port of an encrypted network follows from its first id. Raises Conflict if a requested id gives the port of
    an encrypted network in ``others``. Raises Forbidden if no id is free.
    """
    options = dict(record.options or {})
    requested = [v for v in options.get(VNIS, "").split(",") if v]
    taken = {v for n in others for v in vnis_of(n)} | set(requested)
    ports = _tunnel_ports(others) if encryption.is_encrypted(record) else {}
    every, shown = [], []
    for pool in record.pools:
        if pool.unused:
            continue
        is_ipv4 = ip_network(pool.subnet).version == 4
        vni = requested.pop(0) if requested and is_ipv4 else ""
        if not vni:
            vni = _next_vni(cursor.vni, taken, ports)
            cursor = replace(cursor, vni=int(vni))
        every.append(vni)
        if is_ipv4:
            shown.append(vni)
    options[VNIS] = ",".join([*shown, *requested])
    record = replace(record, options=options, host_options={VNIS: ",".join(every)})
    for vni in vnis_of(record)[:1]:
        if (port := encryption.port_of(vni)) in ports:
            raise Conflict(
                f"VXLAN id {vni} is refused for network {record.name}: its UDP port {port} is used by the encrypted "
                f"network {ports[port]} (choose an id that does not differ by a multiple of {encryption.PORTS})"
            )
    return record, cursor


def _tunnel_ports(networks: Iterable[NetworkRecord]) -> dict[int, str]:
    """Return a map from the UDP port of each encrypted network to the network's name."""
    return {encryption.port(n): n.name for n in networks if n.driver == "overlay" and encryption.has_tunnels(n)}


def _next_vni(last: int, taken: Collection[str], ports: Collection[int]) -> str:
    """Return the next VXLAN id after ``last`` that is free, and that gives a free tunnel port (`encryption.port_of`).

    ``taken`` are the used ids, and ``ports`` the used tunnel ports. After the highest id, the search continues from the
    lowest. Raises Forbidden if no id is free.
    """
    for number in chain(range(last + 1, LAST_VNI + 1), range(FIRST_VNI, last + 1)):
        vni = str(number)
        if vni not in taken and encryption.port_of(vni) not in ports:
            return vni
    raise Forbidden("no VXLAN id is free")


def remove(client: Client, record: NetworkRecord) -> None:
    """Remove a network; raises Forbidden with Docker's message if any host has an endpoint on the network.

    Raises NotFound if the network does not exist.
    """
    conditions = [present(keys.network(record.id)), absent(keys.endpoints(record.id), prefix=True)]
    changes = [
        delete(keys.network(record.id)),
        delete(keys.name(record.name)),
        delete(keys.addresses(record.id), prefix=True),
        delete(keys.macs(record.id), prefix=True),
        delete(keys.serial(record.id, ""), prefix=True),
        delete(keys.balancer(record.id, ""), prefix=True),
    ]
    if client.transact(conditions, changes).succeeded:
        return
    used = client.range(keys.endpoints(record.id))[0]
    if used:
        task = derived_id(used[0].key.rpartition("/")[2])
        text = f"rpc error: code = FailedPrecondition desc = network {record.id} is in use by task {task}"
        raise hinted(Forbidden(text), _user(client, used[0]))
    raise NotFound(f"network {record.id} not found")


def _user(client: Client, entry: KeyValue) -> str:
    """Return a hint that names the container and the host of an endpoint, or "" if its record is unreadable.

    ``entry`` is the endpoint's record in etcd.
    """
    for endpoint in record_checks.all_readable([entry], record_checks.read_endpoint):
        entries = [node for node in [client.get(keys.node(endpoint.node))] if node is not None]
        nodes = record_checks.all_readable(entries, record_checks.read_node)
        host = nodes[0].hostname if nodes else endpoint.node
        name = endpoint.names[0] if endpoint.names else short_id(endpoint.container_id)
        return f"The container {name} on the host {host} is on it. To take it off, there: hawse network disconnect"
    return ""


def update(client: Client, key: str, change: Callable[[str], str]) -> str:
    """Replace the value of an etcd key with ``change(value)``, and return the new value.

    ``change`` gets "" if the key does not exist. If another host changes the key meanwhile, the function reads the key
    again and repeats the replacement. Raises Unavailable after `ATTEMPTS` attempts.
    """
    for _ in range(ATTEMPTS):
        entry = client.get(key)
        value = change(entry.value if entry else "")
        if client.transact([unchanged(key, entry.revision if entry else 0)], [put(key, value)]).succeeded:
            return value
    raise Unavailable("the cluster's store is too busy")
