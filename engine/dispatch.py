"""Convert values between engine and drivers: records become the drivers' types, driver errors become engine errors.

The module accesses neither the kernel nor processes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network

from drivers import api as drivers
from drivers.api import Driver, EndpointSpec, IPAddress, IPInterface, NetworkSpec, Pool, PortBinding, Repairer
from drivers.linux import libnftables
from engine import errors
from engine.model import (
    ContainerRecord,
    EndpointRecord,
    EndpointSettings,
    NetworkAttachment,
    NetworkRecord,
    PoolRecord,
    PortRecord,
)
from engine.ports import specs
from engine.store.api import Reader, Transaction


def network_spec(record: NetworkRecord) -> NetworkSpec:
    """Return a network in the form that drivers use.

    Subnets marked as ``unused`` are left out, because only inspect shows them.
    """
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
    """Return the gateway address of a subnet with the subnet's prefix length, or None if the subnet has no gateway."""
    return ip_interface(f"{pool.gateway}/{ip_network(pool.subnet).prefixlen}") if pool.gateway else None


def endpoint_spec(
    record: EndpointRecord, container: ContainerRecord, siblings: Iterable[EndpointRecord] = ()
) -> EndpointSpec:
    """Return an endpoint in the form that drivers use.

    ``siblings`` are the other endpoints of the container. Some drivers need the addresses of these endpoints.
    """
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
        exposed=tuple(specs.exposed_ranges(container.config.exposed_ports)),
        siblings=addresses_of(siblings),
        sysctls={key.replace(".", "/"): value for key, value in container.host.sysctls.items()},
    )


def addresses_of(records: Iterable[EndpointRecord]) -> tuple[IPAddress, ...]:
    """Return the IPv4 and IPv6 addresses of the endpoints."""
    return tuple(ip_interface(text).ip for record in records for text in (record.ipv4, record.ipv6) if text)


def attachment_of(container: ContainerRecord, network_id: str) -> NetworkAttachment:
    """Return the container's configuration for a network, or an empty configuration if the container has left the
    network.
    """
    for attachment in container.attachments:
        if attachment.network_id == network_id:
            return attachment
    return NetworkAttachment("", EndpointSettings(), network_id)


def port_bindings(ports: Sequence[PortRecord]) -> tuple[PortBinding, ...]:
    """Return published ports in the form that drivers use."""
    addresses = {text: ip_address(text) for text in {p.host_ip for p in ports}}  # parse each address once
    return tuple(
        PortBinding(p.protocol, addresses[p.host_ip], p.host_port, p.host_port_end, p.port, p.port_end) for p in ports
    )


def pool_key(network: NetworkRecord, pool: PoolRecord) -> str:
    """Return the store's key for the used addresses of a network's subnet: "network id/subnet"."""
    return f"{network.id}/{pool.subnet}"


DRIVER_STATE_KEY = "keepsakes"


def save_driver_state(tx: Transaction, driver: Driver) -> None:
    """Store the data that a driver needs in later hawse processes. Most drivers have no such data."""
    state = driver.saved_state() if isinstance(driver, Repairer) else ()
    if state:
        known = _noted(tx)
        merged = dict.fromkeys([*known.get(driver.type, ()), *state])
        tx.set_meta(DRIVER_STATE_KEY, json.dumps({**known, driver.type: list(merged)}))


def load_driver_state(reader: Reader, driver: str) -> Sequence[str]:
    """Return the data of a driver that `save_driver_state` has stored."""
    return _noted(reader).get(driver, ())


def clear_driver_state(tx: Transaction) -> None:
    """Delete the stored data of all drivers."""
    if _noted(tx):
        tx.set_meta(DRIVER_STATE_KEY, "{}")


def _noted(reader: Reader) -> dict[str, list[str]]:
    states: dict[str, list[str]] = json.loads(reader.meta(DRIVER_STATE_KEY) or "{}")
    return states


KINDS: dict[type[drivers.DriverError], type[errors.EngineError]] = {
    drivers.BadOption: errors.InvalidArgument,
    drivers.Exists: errors.Forbidden,
    drivers.Missing: errors.NotFound,
    drivers.Busy: errors.KernelFailure,
    drivers.Unsupported: errors.NotImplementedByHawse,
    drivers.NoPermission: errors.PermissionDenied,
    drivers.InterfaceRefused: errors.InterfaceFailure,
    drivers.KernelError: errors.KernelFailure,
    libnftables.Refused: errors.KernelFailure,
}
"""The engine error class for each error class of hawse's own drivers.

A test checks that every subclass of `DriverError` in hawse's own drivers is a key of `KINDS`.
"""


@contextmanager
def translate_driver_errors(prefix: str = "") -> Iterator[None]:
    """Convert a driver error raised in the block into the matching engine error, with ``prefix`` before its text."""
    try:
        yield
    except drivers.DriverError as error:
        # Use the nearest base class that is in `KINDS`, because drivers from other packages may define their own
        # subclasses.
        kind = next((KINDS[c] for c in type(error).__mro__ if c in KINDS), errors.KernelFailure)
        raise kind(prefix + str(error)) from error
