"""Parse ``--publish`` and ``--expose``.

The forms are ``[ip:][host[-end]:]container[-end][/protocol]`` and, for ``--publish``, also ``key=value,…``.
"""

from __future__ import annotations

from collections.abc import Iterable

from cli.options.address import strip_brackets
from engine.golang.strconv import parse_uint
from engine.model import PortSpec
from engine.validate.addresses import parse_address

PROTOCOLS = ("tcp", "udp", "sctp")
Range = tuple[int, int]


def published_ports(values: Iterable[str]) -> tuple[PortSpec, ...]:
    """Parse all ``-p`` values in the given order; raises ValueError."""
    return tuple(parse_port_spec(_standard_notation(value) if "=" in value else value) for value in values)


def exposed_ports(published: Iterable[PortSpec], expose: Iterable[str]) -> tuple[str, ...]:
    """Return all published and exposed container ports without duplicates; raises ValueError.

    An entry has the form ``80/tcp`` or ``8000-8010/tcp``.
    """
    entries = [_entry(spec.ports[0], spec.ports[-1], spec.protocol) for spec in published]
    return tuple(dict.fromkeys([*entries, *map(_expose, expose)]))


def parse_port_spec(value: str) -> PortSpec:
    """Parse one ``-p`` value such as ``127.0.0.1:8080:80/tcp``; raises ValueError. The protocol becomes lower case.

    The form ``key=value,…`` is not accepted here.
    """
    *before, container = value.split(":")
    host_port = before.pop() if before else ""
    host_ip = _host_ip(":".join(before))
    protocol, container = split_protocol(container)
    if not container:
        raise ValueError(f"No port specified: {value}<empty>")
    ports = _range_or_raise(container, "containerPort")
    host = _range_or_raise(host_port, "hostPort") if host_port else None
    if host and _span(ports) and _span(ports) != _span(host):
        raise ValueError(f"Invalid ranges specified for container and host Ports: {container} and {host_port}")
    if protocol.lower() not in PROTOCOLS:
        raise ValueError(f"Invalid proto: {protocol}")
    return PortSpec(protocol.lower(), ports[0], host_ip, _text(*host) if host else "", ports[1] if _span(ports) else 0)


def split_protocol(value: str) -> tuple[str, str]:
    """Split a port with a protocol, such as ``80/udp``, into the protocol and the port: ("udp", "80").

    Without a protocol, the protocol is tcp. Without a port, both results are "".
    """
    port, _, rest = value.partition("/")
    if not port:
        return "", ""
    return rest.split("/")[0] or "tcp", port


def port_range(text: str) -> Range:
    """Parse ``8000`` or ``8000-8010`` into the first and the last port; raises ValueError."""
    if not text:
        raise ValueError("Empty string specified for ports.")
    if "-" not in text:
        port = parse_uint(text, 16, base=10)
        return port, port
    first, last = text.split("-")[:2]
    start, end = parse_uint(first, 16, base=10), parse_uint(last, 16, base=10)
    if end < start:
        raise ValueError(f"Invalid range specified for the Port: {text}")
    return start, end


def _standard_notation(value: str) -> str:
    fields = {"protocol": "tcp"}
    for field in value.split(","):
        key, equals, content = field.partition("=")
        if not equals or not key:
            raise ValueError(f"invalid publish opts format (should be name=value but got '{field}')")
        fields[key] = content
    port = f"{fields.get('published', '')}:{fields.get('target', '')}/{fields['protocol']}"
    # Docker 26 ignores host_ip in this form and publishes the port on every address. hawse uses host_ip, because a port
    # must not be reachable from more networks than the user asked for.
    host_ip = fields.get("host_ip", "")
    if ":" in host_ip and not host_ip.startswith("["):
        host_ip = f"[{host_ip}]"
    return f"{host_ip}:{port}" if host_ip else port


def _host_ip(text: str) -> str:
    try:
        address = strip_brackets(text)
    except ValueError as error:
        raise ValueError(f"Invalid ip address {text}: {error}") from None
    if address and parse_address(address) is None:
        raise ValueError(f"Invalid ip address: {address}")
    return address


def _range_or_raise(text: str, what: str) -> Range:
    try:
        return port_range(text)
    except ValueError:
        raise ValueError(f"Invalid {what}: {text}") from None


def _span(ports: Range) -> int:
    return ports[1] - ports[0]


def _text(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _entry(first: int, last: int, protocol: str) -> str:
    return f"{_text(first, last)}/{protocol}"


def _expose(value: str) -> str:
    if ":" in value:
        raise ValueError(f"invalid port format for --expose: {value}")
    protocol, port = split_protocol(value)
    try:
        start, end = port_range(port)
    except ValueError as error:
        raise ValueError(f"invalid range format for --expose: {value}, error: {error}") from None
    return _entry(start, end, protocol)
