"""Check endpoint settings, and requests to connect a container to a network or disconnect the container.

All errors of one EndpointSettings are reported together. The checks of connect and disconnect depend on the container's
state and its other networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_interface

from engine.errors import EngineError, Forbidden, InvalidArgument, InvalidSettings
from engine.model import Adoption, ContainerRecord, EndpointIPAM, EndpointSettings, NetworkRecord, PoolRecord
from engine.names import is_container_mode, is_mac, is_user_defined, parse_link
from engine.validate.addresses import bullets, join_errors, parse_address


def check_endpoint_settings(name: str, settings: EndpointSettings, network: NetworkRecord | None) -> None:
    """Check a container's settings for one network; raises InvalidSettings.

    ``name`` is the network's name as the user typed it. ``network`` is None if the network is missing.
    """
    if fault := _fault(name, settings, network):
        raise InvalidSettings(fault)


def check_networking_config(
    settings: Mapping[str, EndpointSettings], networks: Mapping[str, NetworkRecord | None]
) -> None:
    """Check the network settings of a new container; raises InvalidSettings with all errors.

    ``networks`` maps the names in ``settings`` to records, or to None for a missing network.
    """
    errors = [
        f"invalid config for network {name}: {fault}"
        for name, endpoint in settings.items()
        if (fault := _fault(name, endpoint, networks.get(name)))
    ]
    if errors:
        raise InvalidSettings(bullets(errors))


def _fault(name: str, settings: EndpointSettings, network: NetworkRecord | None) -> str:
    if settings.mac_address and not is_mac(settings.mac_address):
        return f"invalid MAC address {settings.mac_address}"
    errors = _errors(name, settings, network)
    return join_errors("invalid endpoint settings", errors) if errors else ""


def _errors(name: str, settings: EndpointSettings, network: NetworkRecord | None) -> list[str]:
    ipam = settings.ipam or EndpointIPAM()
    errors = [*_predefined_errors(name, settings, ipam), *_syntax_errors(ipam)]
    if network is not None:
        errors += _range_errors(ipam, network)
    return errors


def _predefined_errors(name: str, settings: EndpointSettings, ipam: EndpointIPAM) -> Iterator[str]:
    if is_user_defined(name):
        return
    if ipam.ipv4 or ipam.ipv6:
        yield "user specified IP address is supported on user defined networks only"
    if settings.aliases:
        yield "network-scoped alias is supported only for containers in user defined networks"


def _syntax_errors(ipam: EndpointIPAM) -> Iterator[str]:
    if ipam.ipv4 and not _is_usable(ipam.ipv4, 4):
        yield f"invalid IPv4 address: {ipam.ipv4}"
    if ipam.ipv6 and not _is_usable(ipam.ipv6, 6):
        yield f"invalid IPv6 address: {ipam.ipv6}"
    for address in ipam.link_local:
        parsed = parse_address(address)
        if parsed is None or parsed.is_unspecified:
            yield f"invalid link-local IP address: {address}"


def _is_usable(text: str, version: int) -> bool:
    parsed = parse_address(text)
    return parsed is not None and parsed.version == version and not parsed.is_unspecified


def _range_errors(ipam: EndpointIPAM, network: NetworkRecord) -> Iterator[str]:
    for address, version in ((ipam.ipv4, 4), (ipam.ipv6, 6)):
        pools = [pool for pool in network.pools if ip_interface(pool.subnet).version == version]
        if address and (fault := _range_fault(address, pools)):
            yield fault


def _range_fault(address: str, pools: Sequence[PoolRecord]) -> str:
    configured = [pool for pool in pools if not pool.automatic]
    if not configured:
        return "user specified IP address is supported only when connecting to networks with user configured subnets"
    parsed = parse_address(address)
    if any(parsed is not None and parsed in ip_interface(pool.subnet).network for pool in configured):
        return ""
    return f"no configured subnet or ip-range contain the IP address {address}"


SHARED = "container sharing network namespace with another container or host cannot be connected to any other network"


HOST = "container cannot be disconnected from host network or connected to host network"


PRIVATE = "container cannot be connected to multiple networks with one of the networks in private (none) mode"


def check_connect(
    record: ContainerRecord, network: NetworkRecord, settings: EndpointSettings, joined: Sequence[NetworkRecord]
) -> None:
    """Check whether dockerd would connect the container to the network; raises dockerd's error if not.

    ``joined`` has the networks of a running container, or those in the configuration of a stopped container. As in
    Docker, a configured network that does not exist does not count. The checks, in dockerd's order:

    - Running container: shared sandbox, settings, host and none networks, configuration-only network, links, already
      connected.
    - Stopped container: settings, host and none networks. A connection to a configuration-only network is allowed, but
      the container's next start fails.

    dockerd checks for a shared sandbox before it looks up the network. Therefore the caller also calls
    `check_own_sandbox` before its own look-up.
    """
    running = record.status == "running"
    if running:
        check_own_sandbox(record)
    check_endpoint_settings(network.name, settings, network)
    _check_modes(record, network, joined)
    if not running:
        return
    check_not_config_only(network)
    for link in settings.links or ():
        parse_link(link)
    if any(other.id == network.id for other in joined):
        if network.scope == "swarm":
            raise Forbidden(f"{record.name} is already attached to network {network.name}")
        raise Forbidden(f"endpoint with name {record.name} already exists in network {network.name}")


def check_not_config_only(network: NetworkRecord) -> None:
    """Check that a network is not configuration-only; raises Forbidden.

    A configuration-only network only holds settings for other networks.
    """
    if network.config_only:
        raise Forbidden("cannot create endpoint on configuration-only network")


def check_own_sandbox(record: ContainerRecord) -> None:
    """Check that the container has a sandbox of its own; raises InvalidArgument.

    With ``--network container:NAME``, it shares another container's sandbox.
    """
    if is_container_mode(record.host.network_mode):
        raise InvalidArgument(SHARED)


def check_no_adoption(record: ContainerRecord, adoption: Adoption) -> None:
    """Check that a request to connect the container ``record`` does not set a name or a restart policy.

    Raises InvalidArgument. These two settings (in ``adoption``) are only for a network namespace that has no container
    record yet.
    """
    if adoption.name or adoption.restart:
        flag = "--name" if adoption.name else "--restart"
        raise InvalidArgument(
            f"{flag} is for a namespace that joins its first network, and {record.name} is a container already"
        )


def check_disconnect(record: ContainerRecord, network: NetworkRecord, *, connected: bool) -> None:
    """Check whether dockerd would disconnect the container from the network; raises dockerd's error if not.

    dockerd refuses in two cases:

    - The container is running in host mode, and the network is ``host``.
    - The container is not connected to the network. The text then depends on whether the container is running.
    """
    running = record.status == "running"
    if running and record.host.network_mode == "host" and network.driver == "host":
        raise InvalidArgument(HOST)
    if not connected:
        raise not_connected(record, network.name, running=running)


def not_connected(record: ContainerRecord, network: str, *, running: bool) -> EngineError:
    """Return the error for a request to disconnect a container from a network on which it has no endpoint.

    If the container is not running, Docker's message has "the" before "network".
    """
    the = "" if running else "the "
    return EngineError(f"container {record.id} is not connected to {the}network {network}")


def _check_modes(record: ContainerRecord, network: NetworkRecord, joined: Sequence[NetworkRecord]) -> None:
    on_host = record.host.network_mode == "host"
    if network.driver == "host" and not on_host:
        raise InvalidArgument(HOST)
    if on_host and network.driver != "host":
        raise InvalidArgument(SHARED)
    others = {other.name for other in joined} - {network.name}
    if others and "none" in others | {network.name}:
        raise InvalidArgument(PRIVATE)
