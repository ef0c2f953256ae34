"""Reserve an endpoint in the store (id, addresses, MAC), and release the endpoints of a container.

Releasing is idempotent.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from ipaddress import IPv4Interface, IPv4Network, IPv6Network, ip_address, ip_network

from msgspec.structs import replace

from drivers import sandbox as kernel
from drivers.plan import Step, teardown
from drivers.registry import facts
from engine import ipam, names
from engine.cluster import hooks
from engine.endpoints import links, sandbox
from engine.endpoints.sandbox import JoinedEndpoint
from engine.errors import EngineError, Forbidden, InvalidArgument, KernelFailure, Unavailable
from engine.events import record as events
from engine.host import Host, attachment_of, pool_key, translate_failures
from engine.model import (
    FORMER,
    LINK_MAC_CHARACTERS,
    ContainerRecord,
    EndpointIPAM,
    EndpointRecord,
    NetworkAttachment,
    NetworkRecord,
    PoolRecord,
)
from engine.store.api import Reader, Taken, Transaction

LONGEST_BEFORE_MAC = 80
"""The longest prefix of an IPv6 subnet whose addresses end in a MAC address: 128 bits less the MAC's 48 bits."""


def keep_for_next_run(tx: Transaction, container_id: str) -> None:
    """Keep the addresses and ports of a container that a reboot has ended, until the container starts again."""
    for endpoint in tx.endpoints(container_id=container_id):
        _keep(tx, endpoint)


def _keep(tx: Transaction, endpoint: EndpointRecord) -> None:
    """Record that an endpoint has left its sandbox and keeps its addresses and ports (phase `FORMER`)."""
    tx.put_endpoint(replace(endpoint, phase=FORMER, interface=""))


def record_joined(tx: Transaction, container: ContainerRecord, member: JoinedEndpoint) -> None:
    """Record an endpoint that has been created in its sandbox, and add the event "connect"."""
    tx.put_endpoint(member.endpoint)
    _add_event(tx, container, member, "connect")


def _record_leaving(tx: Transaction, member: JoinedEndpoint) -> None:
    """Set an endpoint's phase to "leaving", so that a repair of the firewall does not restore the endpoint's rules.

    An endpoint in the phase "reserved" keeps this phase, which shows that the endpoint has had no event "connect". A
    repair skips this phase too.
    """
    if member.endpoint.phase != "reserved":
        tx.put_endpoint(replace(member.endpoint, phase="leaving"))


def _record_left(tx: Transaction, container: ContainerRecord, member: JoinedEndpoint, *, keep: bool = False) -> None:
    """Delete the record of an endpoint that has left its sandbox, and add the event "disconnect".

    With ``keep``, the record remains in the phase `FORMER`: its addresses and ports are kept for the container's next
    run. There is no event for an endpoint in the phase "reserved", because this endpoint has had no event "connect".
    """
    if keep:
        _keep(tx, member.endpoint)
    else:
        tx.delete_endpoint(member.endpoint.id)
    if member.endpoint.phase != "reserved":
        _add_event(tx, container, member, "disconnect")


def _add_event(tx: Transaction, container: ContainerRecord, member: JoinedEndpoint, action: str) -> None:
    """Add the event ``action`` ("connect" or "disconnect") of an endpoint to the events that hawse records.

    As in Docker, there is no event if hawse, and not the user, has connected the container to the gateway bridge.
    """
    if not hooks.is_gateway(member.network) or attachment_of(container, member.network.id).network:
        events.connection(tx, member.network, action, container.id)


def take_former(tx: Transaction, container_id: str) -> dict[str, EndpointRecord]:
    """Delete the endpoints of a container's earlier run (phase `FORMER`); return them by network id.

    Their addresses become free. The caller may reserve these addresses again in the same transaction.
    """
    former = [e for e in tx.endpoints(container_id=container_id) if e.phase == FORMER]
    for endpoint in former:
        tx.delete_endpoint(endpoint.id)
    return {endpoint.network_id: endpoint for endpoint in former}


def reserve(
    tx: Transaction,
    network: NetworkRecord,
    container: ContainerRecord,
    attachment: NetworkAttachment,
    former: EndpointRecord | None = None,
) -> EndpointRecord:
    """Reserve an id, addresses and a MAC address for a new endpoint, in the caller's transaction.

    ``attachment`` has the user's settings. ``former`` is the container's earlier endpoint on this network. If the user
    chose no address, and the address of ``former`` is still free, the new endpoint gets that address. Raises Forbidden,
    KernelFailure or Unavailable with Docker's error text if an address is not available. Raises InvalidArgument if an
    address of ``--link-local-ip`` is in no link-local range.
    """
    endpoint_id = names.generate_id()
    settings = attachment.settings
    requested = settings.ipam or EndpointIPAM()
    link_local = tuple(map(_link_local, requested.link_local))
    known = (former.ipv4, former.ipv6) if former else ("", "")
    ipv4 = allocate_in_pools(tx, network, 4, requested.ipv4, endpoint_id, known[0])
    mac = _mac(network, settings.mac_address or (former.mac if former and not ipv4 else ""), ipv4)
    chosen = requested.ipv6 or _from_mac(network, mac)
    if kernel.disables_ipv6(settings.driver_opts or {}):
        ipv6, link_local = "", tuple(address for address in link_local if ":" not in address)
    else:
        ipv6 = allocate_in_pools(tx, network, 6, chosen, endpoint_id, known[1])
    return EndpointRecord(
        id=endpoint_id,
        network_id=network.id,
        container_id=container.id,
        mac=mac,
        ipv4=ipv4,
        ipv6=ipv6,
        link_local=link_local,
        names=tuple(names.served_names(container, settings)),
        default_route=settings.default_route,
    )


def _mac(network: NetworkRecord, requested: str, ipv4: str) -> str:
    if facts(network.driver).singleton:
        return ""
    if requested:
        return names.parse_mac(requested)
    return names.mac_from_ipv4(IPv4Interface(ipv4).ip) if ipv4 else names.random_mac()


def _from_mac(network: NetworkRecord, mac: str) -> str:
    """Return the IPv6 address that Docker derives from the MAC address ``mac``, or "" if Docker derives none.

    The address ends in the MAC address. Docker 26.1.5 derives it only on the default bridge, and only if the subnet
    leaves 48 bits or more.
    """
    for subnet in (ip_network(pool.subnet) for pool in network.pools if network.predefined and not pool.unused):
        if subnet.version == 6 and subnet.prefixlen <= LONGEST_BEFORE_MAC and len(mac) == LINK_MAC_CHARACTERS:
            return str(subnet[int(mac.replace(":", ""), 16)])
    return ""


def _link_local(text: str) -> str:
    """Return the link-local address ``text`` with its prefix length; raises InvalidArgument for other addresses.

    The prefix length is 16 for IPv4 and 64 for IPv6.
    """
    address = ip_address(text)
    if not address.is_link_local:
        raise InvalidArgument(f"invalid link local IP address: {address}")
    return f"{address}/{16 if address.version == 4 else 64}"


def allocate_in_pools(
    tx: Transaction, network: NetworkRecord, version: int, requested: str, holder: str, former: str
) -> str:
    """Reserve the address ``requested``, else ``former``, else any free address of the network's subnets.

    Only subnets of the IP version ``version`` are used; the first with a free address is taken. ``requested`` and
    ``former`` may be "". ``holder`` is the id under which the address is reserved.

    Returns the address with its prefix length. Returns "" if no subnet has this IP version, or no such subnet contains
    ``requested``. Raises Forbidden, KernelFailure or Unavailable if no address is available.
    """
    subnets = [(pool, ip_network(pool.subnet)) for pool in network.pools if not pool.unused]
    pools = [pool for pool, subnet in subnets if subnet.version == version]
    preferred = former.partition("/")[0]
    if requested:
        pools = [pool for pool in pools if ip_address(requested) in ip_network(pool.subnet)]
    elif preferred:
        pools.sort(key=lambda pool: ip_address(preferred) not in ip_network(pool.subnet))
    for pool in pools[:-1]:
        with suppress(KernelFailure):  # if this subnet is full, try the next one
            return _allocate(tx, network, pool, requested, holder, preferred)
    return _allocate(tx, network, pools[-1], requested, holder, preferred) if pools else ""


def _allocate(
    tx: Transaction, network: NetworkRecord, pool: PoolRecord, requested: str, holder: str, preferred: str
) -> str:
    """Reserve an address in a subnet: ``requested``, else ``preferred`` if it is free, else the lowest free address.

    ``requested`` and ``preferred`` may be "". ``holder`` is the id under which the address is reserved. Returns the
    reserved address with the subnet's prefix length. Raises:

    - Forbidden if ``requested`` is in use.
    - Unavailable if ``requested`` is given and the subnet is full.
    - KernelFailure if ``requested`` is "" and the subnet, or its ip range, is full.
    """
    key, subnet = pool_key(network, pool), ip_network(pool.subnet)
    used = tx.addresses(key)
    try:
        if not requested and preferred and _is_free(subnet, used, preferred):
            requested = preferred
        if requested:
            chosen = ipam.check_address(subnet, used, ip_address(requested))
        else:
            chosen = ipam.lowest_free(subnet, used, ip_network(pool.ip_range) if pool.ip_range else None)
        tx.reserve_address(key, int(chosen), holder)
    except (Taken, ipam.AddressInUse, ipam.OutOfPool) as error:
        raise Forbidden(ipam.IN_USE) from error
    except ipam.NoFreeAddress as error:
        if requested:
            raise Unavailable(str(error)) from error
        family = f"IPv{subnet.version}"
        message = f"no available {family} addresses on this network's address pools: {network.name} ({network.id})"
        raise KernelFailure(message) from error
    return f"{chosen}/{subnet.prefixlen}"


def _is_free(subnet: IPv4Network | IPv6Network, used: Sequence[int], address: str) -> bool:
    try:
        ipam.check_address(subnet, used, ip_address(address))
    except (ipam.AddressInUse, ipam.NoFreeAddress, ipam.OutOfPool):
        return False
    return True


def memberships(host: Host, container_id: str, *, former: bool = False) -> list[JoinedEndpoint]:
    """Return the container's endpoints with their networks, in the order of their creation.

    Without ``former``, endpoints of an earlier run (phase `FORMER`) are left out, because they are in no sandbox.
    """
    with host.store.read() as reader:
        return _members(reader, container_id, former=former)


def _members(reader: Reader, container_id: str, *, former: bool = False) -> list[JoinedEndpoint]:
    endpoints = [e for e in reader.endpoints(container_id=container_id) if former or e.phase != FORMER]
    pairs = [(reader.network(e.network_id), e) for e in endpoints]
    return [JoinedEndpoint(network, endpoint) for network, endpoint in pairs if network is not None]


Released = Sequence[tuple[ContainerRecord, Sequence[JoinedEndpoint]]]
"""Containers whose sandboxes no longer exist, each with all its endpoints."""


def release_endpoints(host: Host, record: ContainerRecord, *, keep: bool = False) -> None:
    """Remove all endpoints of a container whose sandbox no longer exists.

    Without ``keep``, the endpoints' records are deleted. With ``keep``, the records remain, and the container keeps its
    addresses and ports for its next run. If the removal of one endpoint fails, the other endpoints are still removed.
    The first error is raised at the end.
    """
    for error in release_all(host, [record], keep=keep).values():
        raise error


def release_all(host: Host, records: Sequence[ContainerRecord], *, keep: bool = False) -> dict[str, EngineError]:
    """Remove all endpoints of containers whose sandboxes no longer exist; return the first error of each container.

    The errors are by container id; a container without an error has no item. The endpoints of all containers are
    removed together, in few requests to the kernel and two transactions. ``keep`` has the same meaning as in
    `release_endpoints`. The records are deleted, or kept, even after an error.
    """
    with host.store.read() as reader:
        released = [(record, _members(reader, record.id)) for record in records]
    ends = [member for _, members in released for member in members]
    if not ends:
        return {}
    with host.store.write() as tx:
        for member in ends:
            _record_leaving(tx, member)
    try:
        return _remove_from_host(host, released)
    finally:
        with host.store.write() as tx:
            for record, members in released:
                for member in members:
                    _record_left(tx, record, member, keep=keep)
        for member in ends:
            hooks.release_endpoint(host, member.network, member.endpoint)


def _remove_from_host(host: Host, released: Released) -> dict[str, EngineError]:
    """Remove the endpoints of several containers from the host; return the errors by container id.

    Each item of ``released`` is a container and its endpoints. If removing all endpoints together fails, the endpoints
    of each container are removed on their own. The error of one container then does not affect another container.
    """
    ends = [(record, member) for record, members in released for member in members]
    try:
        teardown(
            (
                Step("siblings", lambda: sandbox.dismiss_all_siblings(host, [members for _, members in released])),
                *(Step("links", partial(links.close_links, host, *end)) for end in ends),
                Step("endpoints", lambda: sandbox.remove_from_host(host, ends)),
            )
        )
    except EngineError as error:
        if len(released) == 1:
            return {released[0][0].id: error}
        return {
            container_id: failure
            for reservation in released
            for container_id, failure in _remove_from_host(host, [reservation]).items()
        }
    return {}


def release_endpoint(
    host: Host, record: ContainerRecord, member: JoinedEndpoint, others: Sequence[JoinedEndpoint], *, alive: bool
) -> None:
    """Remove one endpoint from its sandbox and delete the endpoint's record.

    ``others`` are the endpoints that the container keeps. ``alive`` is False if the sandbox no longer exists; its
    network namespace is then not entered. The ports are unpublished before the interface is removed, so that no new
    connections arrive during the removal.

    If a step fails, the other steps still run, and the first error is raised at the end. If the sandbox exists, the
    record then stays in the phase "leaving", so that recovery can call this function again for the caller's intent.
    """
    with host.store.write() as tx:
        _record_leaving(tx, member)
    failure: EngineError | None = None
    try:
        with translate_failures(host.places):
            teardown(
                (
                    Step("siblings", lambda: sandbox.dismiss_siblings(host, member, others)),
                    Step("links", lambda: links.close_links(host, record, member)),
                    Step("ports", lambda: sandbox.unpublish(host, record, member, member.endpoint.ports, leaving=True)),
                    Step("endpoint", lambda: sandbox.leave(host, record, member, alive=alive)),
                )
            )
    except EngineError as error:
        if alive:
            raise
        failure = error
    with host.store.write() as tx:
        _record_left(tx, record, member)
    hooks.release_endpoint(host, member.network, member.endpoint)
    if failure is not None:
        raise failure
