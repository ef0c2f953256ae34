"""Endpoints: reserving their addresses in the store, and telling drivers about them.

Knows how a record becomes a driver's value and which addresses an endpoint gets; knows nothing of processes, and
touches the kernel only through a driver.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network

from drivers.api import EndpointSpec, IPAddress, IPInterface, NetworkSpec, Pool, PortBinding
from engine import names
from engine.errors import Forbidden, KernelFailure
from engine.ipam import addresses
from engine.model import (
    ContainerRecord,
    EndpointRecord,
    EndpointSettings,
    NetworkAttachment,
    NetworkRecord,
    PoolRecord,
    PortRecord,
)
from engine.ports import exposed
from engine.store.api import Taken, Transaction

IN_USE = "Address already in use"


def network_spec(record: NetworkRecord) -> NetworkSpec:
    """A network as its driver sees it; subnets that give no addresses are left out."""
    return NetworkSpec(
        id=record.id,
        name=record.name,
        options={**(record.options or {}), **(record.host_options or {})},
        pools=tuple(Pool(ip_network(p.subnet), gateway_interface(p)) for p in record.pools if not p.unused),
        internal=record.internal,
        ipv4=record.enable_ipv4,
        ipv6=record.enable_ipv6,
    )


def gateway_interface(pool: PoolRecord) -> IPInterface | None:
    """A pool's gateway address with the pool's prefix length."""
    return ip_interface(f"{pool.gateway}/{ip_network(pool.subnet).prefixlen}") if pool.gateway else None


def endpoint_spec(
    record: EndpointRecord, container: ContainerRecord, siblings: Iterable[EndpointRecord] = ()
) -> EndpointSpec:
    """An endpoint as its driver sees it; ``siblings`` are the container's others, where the driver is to know them."""
    settings = attachment_of(container, record.network_id).settings
    ipv4, ipv6 = record.ipv4, record.ipv6
    return EndpointSpec(
        id=record.id,
        mac=record.mac,
        ipv4=IPv4Interface(ipv4) if ipv4 else None,
        ipv6=IPv6Interface(ipv6) if ipv6 else None,
        link_local=tuple(ip_interface(a) for a in record.link_local),
        options=settings.driver_opts or {},
        ports=port_bindings(record.ports),
        exposed=tuple(exposed.spans(container.config.exposed_ports)),
        siblings=addresses_of(siblings),
        accept_ra=_accept_ra(container.host.sysctls) if container.host.sysctls else "0",
    )


def addresses_of(records: Iterable[EndpointRecord]) -> tuple[IPAddress, ...]:
    """The addresses of endpoints."""
    return tuple(ip_interface(text).ip for record in records for text in (record.ipv4, record.ipv6) if text)


def _accept_ra(sysctls: Mapping[str, str]) -> str:
    """Whether interfaces are to listen to routers: not, unless ``--sysctl`` says so of those to come."""
    given = {key.replace("/", "."): value for key, value in sysctls.items()}
    return given.get("net.ipv6.conf.default.accept_ra", "0")


def attachment_of(container: ContainerRecord, network_id: str) -> NetworkAttachment:
    """The container's configuration for a network; an empty one where it has none any more."""
    for attachment in container.attachments:
        if attachment.network_id == network_id:
            return attachment
    return NetworkAttachment("", EndpointSettings(), network_id)


def port_bindings(ports: Sequence[PortRecord]) -> tuple[PortBinding, ...]:
    """Published ports as a driver sees them."""
    addresses = {text: ip_address(text) for text in {p.host_ip for p in ports}}  # many ports are on few addresses
    return tuple(
        PortBinding(p.protocol, addresses[p.host_ip], p.host_port, p.host_port_end, p.port, p.port_end) for p in ports
    )


def reserve(
    tx: Transaction, network: NetworkRecord, container: ContainerRecord, attachment: NetworkAttachment
) -> EndpointRecord:
    """Reserve an endpoint's id, addresses and MAC inside a transaction; raises Docker's texts when that fails."""
    endpoint_id = names.generate_id()
    settings = attachment.settings
    wanted = settings.ipam
    ipv4 = ipv6 = ""
    for pool in network.pools:
        version = ip_network(pool.subnet).version
        if pool.unused or (ipv4 if version == 4 else ipv6):
            continue
        asked = "" if wanted is None else (wanted.ipv4 if version == 4 else wanted.ipv6)
        if asked and ip_address(asked) not in ip_network(pool.subnet):
            continue
        address = _allocate(tx, network, pool, asked, endpoint_id)
        if version == 4:
            ipv4 = address
        else:
            ipv6 = address
    return EndpointRecord(
        id=endpoint_id,
        network_id=network.id,
        container_id=container.id,
        mac=_mac(network, settings.mac_address, ipv4),
        ipv4=ipv4,
        ipv6=ipv6,
        link_local=[_with_prefix(a) for a in wanted.link_local] if wanted else [],
        names=dns_names(container, settings),
        default_route=settings.default_route,
    )


def dns_names(container: ContainerRecord, settings: EndpointSettings) -> list[str]:
    """The container's names on one network: its name, its aliases, its short id, its host name; each once."""
    found = [container.name, *(settings.aliases or ()), container.id[:12], container.config.hostname]
    return list(dict.fromkeys(n for n in found if n))


def _mac(network: NetworkRecord, asked: str, ipv4: str) -> str:
    if network.driver in ("host", "null"):
        return ""
    if asked:
        return names.parse_mac(asked)
    return names.mac_from_ipv4(IPv4Interface(ipv4).ip) if ipv4 else names.random_mac()


def _with_prefix(address: str) -> str:
    return address if "/" in address else f"{address}/{16 if ip_address(address).version == 4 else 64}"


def _allocate(tx: Transaction, network: NetworkRecord, pool: PoolRecord, asked: str, holder: str) -> str:
    """Reserve the address asked for, else the pool's lowest free one; with the subnet's prefix length."""
    key, subnet = pool_key(network, pool), ip_network(pool.subnet)
    used = tx.addresses(key)
    try:
        if asked:
            chosen = addresses.check_address(subnet, used, ip_address(asked))
        else:
            chosen = addresses.lowest_free(subnet, used, ip_network(pool.ip_range) if pool.ip_range else None)
        tx.reserve_address(key, int(chosen), holder)
    except (Taken, addresses.AddressInUse, addresses.OutOfPool) as error:
        raise Forbidden(IN_USE) from error
    except addresses.NoFreeAddress as error:
        family = f"IPv{subnet.version}"
        message = f"no available {family} addresses on this network's address pools: {network.name} ({network.id})"
        raise KernelFailure(message) from error
    return f"{chosen}/{subnet.prefixlen}"


def pool_key(network: NetworkRecord, pool: PoolRecord) -> str:
    """The name under which a network's pool keeps its addresses in the store."""
    return f"{network.id}/{pool.subnet}"
