"""Find the damage to hawse's own firewall that can stop the packets of one path."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from drivers.bridge_loopback import PLACE as ROUTE_LOCALNET
from drivers.firewall import spoof_guard
from drivers.linux.host import filters_bridged
from drivers.model import Difference, IPAddress
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.packet_path import BRIDGED, PacketPath
from engine.diagnosis.trace.state import port_of

SHOWN = 3  # maximum number of differences that the detail names
PORTS = re.compile(r"(\d+)(?:-(\d+))?")
FIX = "the agent repairs this within a second, unless heal is off; or repair it yourself: hawse doctor --fix"


def damage(differences: Sequence[Difference], path: PacketPath) -> Culprit | None:
    """Return the culprit for damage to hawse's firewall that can stop packets of a path, or None without such damage.

    ``differences`` are all differences of the firewall from the records. The culprit names those that match the path.
    """
    concerned = [difference for difference in differences if _concerns(difference, path)]
    if not concerned:
        return None
    first = concerned[0]
    what, fix = f"table {first.place}", FIX
    if first.place == ROUTE_LOCALNET:
        what = f"sysctl net.ipv4.conf.{first.what}.route_localnet"
        fix = f"switch it on: {what.replace('sysctl', 'sysctl -w')}=1"
    shown = "; ".join(f"{d.kind} in {d.place}: {d.what}" for d in concerned[:SHOWN])
    more = f" and {len(concerned) - SHOWN} more" if len(concerned) > SHOWN else ""
    return Culprit("own-firewall-damaged", what, "host", f"another program changed it: {shown}{more}", fix)


def _concerns(difference: Difference, path: PacketPath) -> bool:
    is_of_guard = difference.place.startswith(spoof_guard.TABLE)
    if path.kind == BRIDGED and not is_of_guard and not filters_bridged(path.address.version):
        return False  # packets within a bridge pass only the table of the spoof guard
    if difference.place == ROUTE_LOCALNET:
        is_needed = path.address.version == 4 and path.address.is_loopback
        return is_needed and difference.kind == "missing" and difference.what in _interfaces(path)
    if difference.kind == "missing" and difference.place in (spoof_guard.TABLE, f"{spoof_guard.TABLE} ports"):
        return False  # without the table, or without a port's element in the set ``ports``, hawse drops no packet
    parts = difference.what.partition(" : ")[0].split(" . ")
    return all(_matches(part, path) for part in parts)


def _matches(part: str, path: PacketPath) -> bool:
    """Return whether one part of the key of a set element matches the packets of the path.

    ``part`` is the text of an interface (in double quotes), a protocol, a port, a range, an address or a subnet. Any
    other text, such as "the rules", matches every path.
    """
    if part.startswith('"'):
        return part.strip('"') in _interfaces(path)
    if part in ("tcp", "udp", "sctp", "icmp", "ipv6-icmp"):
        return path.protocol in part
    ports = PORTS.fullmatch(part)
    if ports is not None:
        first, last = int(ports[1]), int(ports[2] or ports[1])
        return any(first <= port <= last for port in (path.port, path.inner_port))
    try:
        network = ip_network(part, strict=False)
    except ValueError:
        first_text, _, last_text = part.partition("-")
        return _in_range(first_text, last_text, path)
    return any(address in network for address in _addresses(path))


def _in_range(first: str, last: str, path: PacketPath) -> bool:
    try:
        low, high = ip_address(first), ip_address(last)
    except ValueError:
        return True
    return any(a.version == low.version and int(low) <= int(a) <= int(high) for a in _addresses(path))


def _interfaces(path: PacketPath) -> set[str]:
    return {*path.bridges, path.source.interface, *map(port_of, path.members)}


def _addresses(path: PacketPath) -> set[IPAddress]:
    return {a for a in (path.address, path.inner_address, path.source_address) if a is not None}
