"""Find firewall rules of other programs that drop the packets of a path. Reads the rules, and sends no packets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial
from ipaddress import IPv4Address
from itertools import chain

from msgspec.structs import replace

from drivers.errors import DriverError
from drivers.firewall import legacy_rules, resolver_redirect
from drivers.firewall.legacy_tables import Dropping
from drivers.firewall.packets import ARP, DISCOVERY, Packet
from drivers.firewall.rule_reading import Drop, Tables, find_drops, read
from drivers.linux import path_lookup
from drivers.linux.host import filters_bridged
from drivers.model import IPAddress
from engine.diagnosis.trace import chains, neighbour_search
from engine.diagnosis.trace.chains import Decision
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.neighbour_search import Step
from engine.diagnosis.trace.packet_path import BRIDGED, EXTERNAL, LOCAL, PacketPath
from engine.diagnosis.trace.probing import neighbour_outside
from engine.diagnosis.trace.records import HOST, OUTSIDE, Place, address_of
from engine.diagnosis.trace.state import port_of

IP, DEVICE = ("inet", "ip", "ip6"), ("netdev",)  # families of tables


def dropping(path: PacketPath) -> Culprit | None:
    """Return the culprit for the first rule that certainly drops the path's packets or their answers, or None."""
    steps = chain(neighbour_search.steps(path), _steps(path), _answers(path))
    for place, families, packet, drop in _drops(steps):
        culprit = _culprit(place, packet, drop, bridged=path.kind == BRIDGED and families == IP)
        searches = packet.protocol in (ARP, DISCOVERY)
        if culprit.fix.endswith(" accept") and (searches or not _is_answer(packet)):
            return replace(culprit, fix=culprit.fix + also_accepting(path, requests=searches))
        return culprit
    return None


def _drops(steps: Iterable[Step]) -> Iterator[tuple[Place, tuple[str, ...], Packet, Decision]]:
    """Yield the place, the families of tables, the packet and the drop for each of ``steps`` with a certain drop.

    Steps whose rules cannot be read are left out. The tables of a place are read once.
    """
    tables = cache(lambda place, families: place.inside(partial(read, families)))
    for place, hook, families, packet in steps:
        try:
            proven = place.inside(partial(_first_in, tables(place, families), [(hook, packet)], families))
        except (DriverError, OSError):
            continue
        if proven is not None:
            yield place, families, *proven


def dropping_at_source(path: PacketPath) -> Culprit | None:
    """Return the culprit if a rule in the source's namespace drops the packet or its answer, else None.

    The target is an endpoint on another host.
    """
    client, member = path.source_address, path.source_member
    if client is None or member is None:
        return None
    request, answer = exchange(path, client)
    return _at_end(path.source, member.endpoint.interface, answer, request)


def dropping_at_target(path: PacketPath, client: IPAddress) -> Culprit | None:
    """Return the culprit if a rule in the target's namespace drops a packet of ``client`` or its answer, else None."""
    if path.target is None or path.target_member is None:
        return None
    request, answer = exchange(path, client)
    return _at_end(path.target, path.target_member.endpoint.interface, request, answer)


def dropping_resolver(place: Place, address: IPv4Address) -> Culprit | None:
    """Return the culprit if a rule in ``place`` drops queries to the resolver at ``address`` or its replies, or None.

    The rules see the port to which queries are redirected, and not port 53.
    """

    def find() -> tuple[list[tuple[str, tuple[Packet, Drop]]], tuple[Packet, Dropping] | None]:
        client, port = path_lookup.route(address).source, resolver_redirect.serving_port(address)
        query = Packet("udp", client, address, port)
        answer = Packet("udp", address, client or address, 0, state="established", source_port=port)
        steps = [step for packet in (query, answer) for step in _both_directions(packet.at("lo"), packet.at("", "lo"))]
        tables = read(IP)
        drops = [(step[0], proven) for step in steps for proven in find_drops(tables, [step])]
        return drops, next(legacy_rules.find_drops(steps), None) if not drops else None

    drops, legacy = place.inside(find)
    if not drops:
        return _culprit(place, *legacy) if legacy is not None else None
    packet, drop = drops[0][1]
    fix = f"let the packets pass there: {' && '.join(_accepting_loopback(place, drops))}"
    return replace(_culprit(place, packet, drop), fix=fix)


def _accepting_loopback(place: Place, drops: Iterable[tuple[str, tuple[Packet, Drop]]]) -> list[str]:
    """Return the commands that accept the packets on lo in the chains that drop them.

    ``drops`` are pairs: a hook, and the packet at this hook with its drop.
    """
    sides = (("oifname" if hook in ("output", "postrouting") else "iifname", drop) for hook, (_, drop) in drops)
    rules = (f"nft insert rule {chains.in_shell(drop.table, drop.chain)} {side} lo accept" for side, drop in sides)
    return list(dict.fromkeys(map(place.command, rules)))


def dropping_in_network(path: PacketPath, client: IPAddress, place: Place) -> Culprit | None:
    """Return the culprit if a rule drops a packet of ``client`` or its answer, or None.

    Only the rules in ``place``, the namespace of an overlay network, are read.
    """
    filtered = place.inside(lambda: filters_bridged(path.inner_address.version))
    families: tuple[tuple[str, ...], ...] = (("bridge",), IP) if filtered else (("bridge",),)
    steps = [(hook, p) for p in exchange(path, client) for hook in ("prerouting", "forward", "postrouting")]
    for family in families:
        proven = place.inside(partial(_first, steps, family))
        if proven is not None:
            drop = proven[1]
            what = chains.text_of(drop)
            detail = f"{what} drops such packets by {chains.rule_in(place, drop)} in the {place}"
            fix = chains.listing(place, drop) if isinstance(drop, Dropping) else chains.changing(place, drop)
            return Culprit("foreign-firewall", f"{what} of the {place}", str(place), detail, fix)
    return None


def _first(steps: list[tuple[str, Packet]], families: tuple[str, ...]) -> tuple[Packet, Decision] | None:
    return _first_in(read(families), steps, families)


def _first_in(
    tables: Tables, steps: list[tuple[str, Packet]], families: tuple[str, ...], *, strict: bool = False
) -> tuple[Packet, Decision] | None:
    proven = next(find_drops(tables, steps, strict=strict), None)
    return proven if proven or families != IP else next(legacy_rules.find_drops(steps), None)


def exchange(path: PacketPath, client: IPAddress) -> tuple[Packet, Packet]:
    """Return the packet from a machine with the address ``client`` to the target, and the target's answer.

    The packet has the destination after DNAT: the address and port in the target's namespace.
    """
    server, port = path.inner_address, path.inner_port
    request = Packet(path.protocol, client, server, port)
    return request, Packet(path.protocol, server, client, 0, state="established", source_port=port)


def _at_end(place: Place, interface: str, arriving: Packet, leaving: Packet) -> Culprit | None:
    steps = _both_directions(arriving.at(interface), leaving.at("", interface))
    proven = place.inside(partial(_first, steps, IP))
    return _culprit(place, *proven) if proven is not None else None


def _both_directions(arriving: Packet, leaving: Packet) -> list[tuple[str, Packet]]:
    return [("prerouting", arriving), ("input", arriving), ("output", leaving), ("postrouting", leaving)]


def dropping_tunnels(
    own_address: IPAddress, others: Mapping[IPAddress, str], port: int, *, strict: bool = False
) -> Iterator[tuple[IPAddress, Decision]]:
    """Yield each other host whose tunnel packets this host drops: the host's address, and the rule or policy at fault.

    Tunnel packets are UDP packets to ``port``, from or to the other host. ``others`` maps the address of each host to
    this host's interface by which its packets pass. ``strict`` has the same meaning as in `find_drops`.
    """
    device_tables, ip_tables = read(DEVICE), read(IP)
    for other, interface in others.items():
        arriving = Packet("udp", other, own_address, port, received=interface)
        leaving = Packet("udp", own_address, other, port, sent=interface)
        proven = _first_in(device_tables, [("ingress", arriving)], DEVICE, strict=strict)
        proven = proven or _first_in(ip_tables, _both_directions(arriving, leaving), IP, strict=strict)
        if proven is not None:
            yield other, proven[1]


def _steps(path: PacketPath) -> Iterator[Step]:
    """Yield the hooks from the source to the target, in the order in which the packet passes them."""
    near, far = path.source_member, path.target_member
    source = address_of(near.endpoint, path.address.version) if near is not None else None
    if path.source.kind == OUTSIDE:
        source = neighbour_outside(path.source.interface, path.address)[0]
    first = Packet(path.protocol, source, path.address, path.port)
    last = Packet(path.protocol, source, path.inner_address, path.inner_port, dnat=path.binding is not None)
    if path.source.kind != OUTSIDE:
        out = near.endpoint.interface if near is not None else path_lookup.route(path.address).interface
        out = out if path.source.netns_path else _out(path)
        sent = first.at("", out)
        yield path.source, "output", IP, sent if path.source.netns_path else _translated(path, sent, last)
    if path.kind != LOCAL:
        yield from _host_steps(path, first, last)
    if far is not None and path.target is not None and path.target.netns_path:
        yield path.target, "input", IP, last.at(far.endpoint.interface)
    elif path.target is HOST:
        yield HOST, "input", IP, last.at(_in(path))


def _answers(path: PacketPath) -> Iterator[Step]:
    """Yield the hooks that the answer passes, from the target's namespace to the source's."""
    near, far = path.source_member, path.target_member
    client = address_of(near.endpoint, path.inner_address.version) if near is not None else None
    if path.kind == EXTERNAL and path.source.kind != OUTSIDE and not path.avoids_host:
        client = client or path_lookup.route(path.address).source
        if client is not None:
            answer = Packet(path.protocol, path.address, client, 0, state="established", source_port=path.port)
            yield HOST, "forward" if near is not None else "input", IP, answer.at(_out(path), _in(path))
        return
    if far is None or path.target is None or (client is None and path.source.kind != OUTSIDE):
        return
    if client is None:
        client = neighbour_outside(path.source.interface, path.inner_address)[0]
    if client is None:
        return
    answer = Packet(path.protocol, path.inner_address, client, 0, state="established", source_port=path.inner_port)
    inner = replace(answer, sent=far.endpoint.interface)
    if path.target.netns_path:
        yield path.target, "output", IP, inner
    if path.kind == BRIDGED:
        yield HOST, "forward", ("bridge",), replace(answer, received=port_of(far))
    elif path.target_bridge:
        yield HOST, "forward", IP, replace(answer, received=path.target_bridge, sent=_in(path))
    if near is not None and path.source.netns_path:
        yield path.source, "input", IP, replace(answer, received=near.endpoint.interface)


def _host_steps(path: PacketPath, first: Packet, last: Packet) -> Iterator[Step]:
    port = port_of(path.source_member) if path.source_member is not None and path.source_bridge else ""
    if port:
        yield HOST, "ingress", ("netdev", "inet"), first.at(port)
    if path.kind == BRIDGED:
        other = port_of(path.target_member) if path.target_member is not None else ""
        for hook in ("prerouting", "forward", "postrouting"):
            yield HOST, hook, ("bridge",), last.at(port, other)
        yield HOST, "egress", ("netdev",), last.at(port, other)
        if filters_bridged(last.version):
            yield HOST, "forward", IP, last.at(_in(path), _in(path))
        return
    if path.avoids_host:
        return
    if path.source.netns_path or path.source.kind == OUTSIDE:
        if port:
            yield HOST, "prerouting", ("bridge",), first.at(port)
            yield HOST, "input", ("bridge",), first.at(port)
        arrived = first.at(_in(path))
        yield HOST, "ingress", ("netdev", "inet"), arrived
        yield HOST, "prerouting", IP, _translated(path, arrived, last)
        if path.target_member is not None or path.kind == EXTERNAL:
            yield HOST, "forward", IP, last.at(_in(path), _out(path))
    if path.target is not HOST:
        # Because SNAT may have changed the source address, it is unknown here (None).
        yield HOST, "postrouting", IP, replace(last.at("", _out(path)), source=None)
        yield HOST, "egress", ("netdev",), replace(last.at("", _out(path)), source=None)
    if path.target_member is not None and path.target_bridge:
        leaving = replace(last.at("", port_of(path.target_member)), source=None)
        yield HOST, "output", ("bridge",), leaving
        yield HOST, "postrouting", ("bridge",), leaving
        yield HOST, "egress", ("netdev",), leaving


def _translated(path: PacketPath, packet: Packet, after: Packet) -> Packet:
    """Return a copy of ``packet`` whose field ``translated`` is ``after``, the packet that hawse's DNAT makes of it.

    ``packet`` is returned unchanged if the path leads through no published port, or if the IP version changes.
    """
    if path.binding is None or packet.version != after.version:
        return packet
    return replace(packet, translated=after.at(packet.received, packet.sent))


def _in(path: PacketPath) -> str:
    return path.source_bridge or path.source.interface


def _out(path: PacketPath) -> str:
    return path.target_bridge or path_lookup.route(path.address).interface


def _culprit(place: Place, packet: Packet, drop: Decision, *, bridged: bool = False) -> Culprit:
    if isinstance(drop, Dropping):
        return chains.of_legacy(place, drop, packet.version, bridged=bridged)
    detail = f"it drops such packets by {chains.rule_in(place, drop)}"
    if packet.protocol in (ARP, DISCOVERY):
        fix = chains.letting_search(place, drop, packet.version)
    else:
        fix = chains.accepting(place, drop, packet.protocol, *_server_of(packet), reply=_is_answer(packet))
    if bridged and not drop.handle and not place.netns_path:
        return chains.br_netfilter(drop, detail, packet.version)
    return chains.culprit(place, drop, detail, fix)


def also_accepting(path: PacketPath, *, requests: bool = False) -> str:
    """Return " && COMMAND" that accepts the answers on a path, or "" if no rule of nftables drops them.

    The answers are examined because a policy often drops the packets in both directions. With ``requests``, the packets
    to the target are examined too. If a rule drops them, a " && COMMAND" that accepts them comes first.
    """
    return "".join(map(_accepting_first, (_steps(path), _answers(path)) if requests else (_answers(path),)))


def _accepting_first(steps: Iterable[Step]) -> str:
    """Return " && COMMAND" for the first of ``steps`` at which a rule of nftables drops the packet, or ""."""
    for place, _, packet, drop in _drops(steps):
        if isinstance(drop, Drop):
            reply = _is_answer(packet)
            return f" && {chains.inserting(place, drop, packet.protocol, *_server_of(packet), reply=reply)}"
    return ""


def _server_of(packet: Packet) -> tuple[set[IPAddress], set[int]]:
    """Return the address and the port of the server to which a packet goes, or from which an answer comes."""
    if _is_answer(packet) and packet.source is not None:
        return {packet.source}, {packet.source_port}
    return {packet.destination}, {packet.port}


def _is_answer(packet: Packet) -> bool:
    return packet.state == "established" and packet.source is not None
