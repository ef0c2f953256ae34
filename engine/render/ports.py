"""Render port documents: NetworkSettings.Ports, HostConfig.PortBindings, and the Ports list of GET /containers/json."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from drivers.registry import facts
from engine.model import ContainerRecord, EndpointRecord, NetworkRecord, PortRecord, PortSpec
from engine.ports.allocation import expand_exposed
from engine.render import Json

PortMap = dict[str, list[dict[str, str]] | None]


def ports_document(
    record: ContainerRecord, endpoints: Sequence[EndpointRecord], networks: Mapping[str, NetworkRecord]
) -> PortMap:
    """Render NetworkSettings.Ports, with the keys (such as "80/tcp") sorted as text.

    ``networks`` maps network ids to records. The value of a published port is the list of its bindings. The value of a
    port that is only exposed is null. The document is empty if no network of the container can publish ports.
    """
    if not (record.config.exposed_ports or record.host.port_bindings or any(e.ports for e in endpoints)):
        return {}
    if not any(_leads_outside(networks.get(endpoint.network_id)) for endpoint in endpoints):
        return {}
    bound: dict[str, list[dict[str, str]]] = {}
    for port in (port for endpoint in endpoints for port in endpoint.ports):
        for key, host_ip, host_port in _expand(port):
            bound.setdefault(key, []).append({"HostIp": host_ip, "HostPort": str(host_port or "")})
    known = {
        *expand_exposed(record.config.exposed_ports),
        *(key for spec in record.host.port_bindings for key in _keys(spec)),
    }
    return {key: bound.get(key) for key in sorted(known | bound.keys())}


def bindings_document(record: ContainerRecord) -> PortMap:
    """Render HostConfig.PortBindings, which are the port bindings that the user requested."""
    bindings: dict[str, list[dict[str, str]]] = {}
    for spec in record.host.port_bindings:
        for key, host_port in zip(_keys(spec), _host_ports(spec), strict=True):
            bindings.setdefault(key, []).append({"HostIp": spec.host_ip, "HostPort": host_port})
    empty: PortMap = {key: None if value is None else [] for key, value in record.host.empty_bindings.items()}
    return dict(sorted({**empty, **bindings}.items()))


def listed_ports_document(ports: PortMap) -> list[Json]:
    """Render the Ports list of GET /containers/json from NetworkSettings.Ports."""
    return [entry for key, bindings in ports.items() for entry in _listed(key, bindings)]


def _leads_outside(network: NetworkRecord | None) -> bool:
    return network is not None and not network.internal and facts(network.driver).publishes_ports


def _keys(spec: PortSpec) -> list[str]:
    return [f"{port}/{spec.protocol}" for port in spec.ports]


def _host_ports(spec: PortSpec) -> list[str]:
    """Return the HostPort text of each container port of ``spec``, in order.

    - Several container ports: each gets one port of the host range.
    - One container port: it gets the text of the whole host range, such as "8000-8010".
    - No host port: the text is "".
    """
    together = len(spec.ports) > 1 and spec.host_ports
    return [str(port) for port in spec.host_ports] if together else [spec.host_port] * len(spec.ports)


def _expand(port: PortRecord) -> Iterator[tuple[str, str, int]]:
    """Yield ("80/tcp", host address, host port) for each port of a range; a host port of 0 means that there is none."""
    for offset in range(port.port_end - port.port + 1):
        yield f"{port.port + offset}/{port.protocol}", port.host_ip, port.host_port and port.host_port + offset


def _listed(key: str, bindings: Iterable[Mapping[str, str]] | None) -> Iterator[Json]:
    port, _, protocol = key.partition("/")
    if bindings is None:
        yield {"PrivatePort": int(port), "Type": protocol}
        return
    for binding in bindings:
        if not binding["HostPort"]:  # the port has no host port, because of the network's gateway mode
            yield {"PrivatePort": int(port), "Type": protocol}
            continue
        yield {
            "IP": binding["HostIp"],
            "PrivatePort": int(port),
            "PublicPort": int(binding["HostPort"]),
            "Type": protocol,
        }
