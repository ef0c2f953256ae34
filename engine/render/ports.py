"""Port documents: NetworkSettings.Ports, HostConfig.PortBindings, and the Ports list of GET /containers/json."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from engine.model import ContainerRecord, EndpointRecord, NetworkRecord, PortRecord

Json = dict[str, Any]
PortMap = dict[str, list[dict[str, str]] | None]

# Only these networks lead outside, through their own bridge or docker_gwbridge.
PUBLISHING_DRIVERS = frozenset({"bridge", "overlay"})


def ports_document(
    record: ContainerRecord, endpoints: Sequence[EndpointRecord], networks: Mapping[str, NetworkRecord]
) -> PortMap:
    """Render NetworkSettings.Ports: published ports, and null for those only exposed; sorted as text."""
    if not any(_leads_outside(networks.get(endpoint.network_id)) for endpoint in endpoints):
        return {}
    bound: dict[str, list[dict[str, str]]] = {}
    for port in (port for endpoint in endpoints for port in endpoint.ports):
        for key, host_ip, host_port in _expand(port):
            bound.setdefault(key, []).append({"HostIp": host_ip, "HostPort": str(host_port)})
    exposed = {*record.config.exposed_ports, *(f"{p.port}/{p.protocol}" for p in record.host.port_bindings)}
    return {key: bound.get(key) for key in sorted(exposed | bound.keys())}


def bindings_document(record: ContainerRecord) -> PortMap:
    """Render HostConfig.PortBindings: what the user asked for."""
    wanted: dict[str, list[dict[str, str]]] = {}
    for spec in record.host.port_bindings:
        binding = {"HostIp": spec.host_ip, "HostPort": spec.host_port}
        wanted.setdefault(f"{spec.port}/{spec.protocol}", []).append(binding)
    return dict(sorted(wanted.items()))


def listed_ports_document(ports: PortMap) -> list[Json]:
    """Render the Ports list of GET /containers/json from NetworkSettings.Ports."""
    return [entry for key, bindings in ports.items() for entry in _listed(key, bindings)]


def _leads_outside(network: NetworkRecord | None) -> bool:
    return network is not None and not network.internal and network.driver in PUBLISHING_DRIVERS


def _expand(port: PortRecord) -> Iterator[tuple[str, str, int]]:
    for offset in range(port.port_end - port.port + 1):
        yield f"{port.port + offset}/{port.protocol}", port.host_ip, port.host_port + offset


def _listed(key: str, bindings: Iterable[Mapping[str, str]] | None) -> Iterator[Json]:
    port, _, protocol = key.partition("/")
    if bindings is None:
        yield {"PrivatePort": int(port), "Type": protocol}
        return
    for binding in bindings:
        yield {
            "IP": binding["HostIp"],
            "PrivatePort": int(port),
            "PublicPort": int(binding["HostPort"]),
            "Type": protocol,
        }
