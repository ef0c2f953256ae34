"""Send one probe along a path. Watch it by nftables' trace events and packet sockets in every namespace on the path."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from secrets import randbelow

from msgspec import Struct, field

from drivers.errors import DriverError
from drivers.firewall import legacy_tables
from drivers.firewall.legacy_tables import Dropping
from drivers.firewall.packet_trace import Answer, Event, PacketTrace
from drivers.linux import conntrack, features, injection, path_lookup
from drivers.linux.packet_taps import Sight, Tap
from drivers.linux.probes import PortsExhausted, Probe, Tuple, answer
from drivers.model import IPAddress, IPInterface
from engine.diagnosis.trace.packet_path import EXTERNAL, PacketPath
from engine.diagnosis.trace.records import HOST, OUTSIDE, Place
from engine.diagnosis.trace.state import bridge_of, port_of
from engine.errors import in_words
from engine.eventloop.readiness import wait_ready

WAIT_SECONDS = 1.3
"""Seconds without an answer after which a probe counts as lost. TCP repeats a lost SYN after one second."""
AGAIN_SECONDS, ANSWER_SECONDS = 0.4, 0.05
"""Seconds after which a UDP probe is sent again, and after which the trace itself answers for a silent UDP service."""
DROPPED_SECONDS = 0.2  # seconds to wait for an answer after nftables has reported a drop
LATE_SECONDS = 0.3  # seconds after which `_result_outside` also accepts an answer that has not left the host
SETTLE_SECONDS = 0.02  # seconds to wait for the last events of a finished probe
NEAR_PORTS = (33000, 28000)  # first source port of injected probes, and the number of ports


class Observation(Struct):
    """The observation of a probe, and of its answer. Each `Place` is the network namespace of an observation.

    - ``result``: "open" (connected or answered), "refused", the name of an errno (such as "EHOSTUNREACH"), or "" if no
      answer came
    - ``events``: nftables' trace events, in the order in which they were read
    - ``sights``: the packets that packet sockets have seen
    - ``client``: the source address of an injected probe, or None for any other probe
    - ``impossible``: the reason why the probe could not be sent, or ""
    - ``legacy``: the rules of iptables-legacy that dropped or translated packets during the probe
    - ``answers``: answers that nftables has seen on the host
    - ``collided``: the places in which connection tracking dropped a packet, because no translated port was free
    """

    result: str = ""
    events: list[tuple[Place, Event]] = field(default_factory=list)
    sights: list[tuple[Place, Sight]] = field(default_factory=list)
    client: IPAddress | None = None
    impossible: str = ""
    legacy: list[tuple[Place, Dropping]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    collided: list[Place] = field(default_factory=list)

    def drops(self) -> list[tuple[Place, Event]]:
        """Return the drops of the probe, and then the drops of its answer, in the order in which they were read."""
        return sorted((pair for pair in self.events if pair[1].dropped), key=lambda pair: pair[1].reply)

    def saw(self, place: Place | None, interface: str = "", *, reply: bool = False) -> bool:
        """Return whether the probe was seen at an interface of a place; with ``reply``, whether its answer was seen.

        An empty ``interface`` means any interface. Returns False for the place None.
        """
        return any(p == place and s.reply == reply and interface in ("", s.interface) for p, s in self.sights)


class Watching:
    """The nftables traces and packet sockets that watch one probe in each namespace of the path.

    `seen` has the observation so far. The traces and sockets are closed when the caller closes ``stack``.
    """

    def __init__(self, path: PacketPath, probe: Tuple, stack: ExitStack) -> None:
        self._path = path
        self.seen = Observation()
        self._readers: dict[int, Callable[[], None]] = {}
        ends = (path.inner_address, path.source_address)
        neighbours = list(dict.fromkeys(address for address in ends if address is not None))
        self._counted: dict[Place, dict[Dropping, int]] = {}
        self._failed: dict[Place, int] = {}
        for place in dict.fromkeys((HOST if not p.netns_path else p) for p in path.places):
            self._counted[place] = place.inside(legacy_tables.counters)
            with suppress(DriverError, OSError):
                self._failed[place] = place.inside(conntrack.failed_insertions)
            interfaces = list(dict.fromkeys(self._interfaces(place)))
            with suppress(DriverError, OSError):
                trace = place.inside(partial(PacketTrace, probe, interfaces, neighbours))
                stack.callback(trace.close)
                self._readers[trace.fileno()] = partial(self._read_trace, place, trace)
            for interface in interfaces:
                with suppress(OSError):
                    tap = place.inside(partial(Tap, interface, probe))
                    stack.callback(tap.close)
                    self._readers[tap.fileno()] = partial(self._read_tap, place, tap)

    def _interfaces(self, place: Place) -> Iterator[str]:
        for side, member in self._path.ends:
            if side == place and place.netns_path:
                yield member.endpoint.interface
            if not place.netns_path and member.network.driver == "bridge":
                yield port_of(member)
                yield bridge_of(member.network)
        if not place.netns_path and self._path.source.interface:
            yield self._path.source.interface
        elif not place.netns_path and self._path.kind == EXTERNAL:
            interface = path_lookup.route(self._path.address).interface
            if interface and interface != "lo":
                yield interface

    def descriptors(self) -> list[int]:
        """Return the file descriptors of all nftables traces and packet sockets."""
        return list(self._readers)

    def read(self) -> None:
        """Read all events and packets that came since the last call, and add them to ``seen``."""
        for reader in self._readers.values():
            reader()

    def finish(self) -> None:
        """Wait for late events, read them, and add to ``seen`` what nftables and packet sockets do not report.

        These are the rules of iptables-legacy that dropped or translated packets, and the places where connection
        tracking dropped a packet. Only packets since the start of the watch count.
        """
        time.sleep(SETTLE_SECONDS)
        self.read()
        for place, before in self._counted.items():
            now = place.inside(legacy_tables.counters) if before else {}
            self.seen.legacy += [(place, rule) for rule, count in now.items() if count > before.get(rule, count)]
        with suppress(DriverError, OSError):
            self.seen.collided = [p for p, n in self._failed.items() if p.inside(conntrack.failed_insertions) > n]

    def _read_trace(self, place: Place, trace: PacketTrace) -> None:
        self.seen.events += [(place, event) for event in trace.read()]
        if place == HOST:
            self.seen.answers = trace.answers

    def _read_tap(self, place: Place, tap: Tap) -> None:
        self.seen.sights += [(place, sight) for sight in tap.read()]


def run(path: PacketPath) -> Observation:
    """Send a probe along a path and return the observation; blocks up to about `WAIT_SECONDS` seconds.

    Raises PortsExhausted if the source has no free source port for the target.
    """
    if path.source.kind == OUTSIDE:
        return _injected(path)
    with ExitStack() as stack:
        try:
            probe = path.source.inside(lambda: Probe(path.protocol, path.address, path.port))
        except PortsExhausted:
            raise
        except OSError as error:
            return Observation(impossible=in_words(error))
        stack.callback(probe.close)
        watching = Watching(path, probe.tuple, stack)
        path.source.inside(probe.send)
        _wait(path, watching, probe.tuple, probe.poll, partial(path.source.inside, probe.send), [probe.fileno()])
        watching.seen.result = probe.poll()
        return watching.seen


def _wait(
    path: PacketPath,
    watching: Watching,
    probe: Tuple,
    poll: Callable[[], str],
    send: Callable[[], object],
    probe_descriptors: list[int],
) -> None:
    """Wait until the probe has a result or counts as lost; store the observations in ``watching.seen``.

    Blocks up to about `WAIT_SECONDS`. Sends the probe again while no answer comes, except for TCP. If a UDP probe has
    reached the target, sends an answer in the target's name (`_answer`).

    - ``poll``: returns the result of the probe, or "" without a result
    - ``send``: sends the probe again
    - ``probe_descriptors``: the file descriptors of the probe's sockets
    """
    began = time.monotonic()
    repeated, answered, dropped = began, 0.0, 0.0
    while not poll() and (now := time.monotonic()) < began + WAIT_SECONDS:
        writable = probe_descriptors if probe.protocol == "tcp" else []
        wait_ready([*watching.descriptors(), *probe_descriptors], writable, 0.05)
        watching.read()
        dropped = dropped or (now if watching.seen.drops() else 0.0)
        if dropped and now > dropped + DROPPED_SECONDS:
            break
        if probe.protocol != "tcp" and now > repeated + AGAIN_SECONDS:
            send()
            repeated = now
        if probe.protocol == "udp" and now > max(began, answered) + ANSWER_SECONDS:
            answered = now + AGAIN_SECONDS if _answer(path, watching.seen, probe) else 0.0
    watching.finish()


def _answer(path: PacketPath, seen: Observation, probe: Tuple) -> bool:
    """Send an answer from the target to a UDP probe that has reached it; return whether an answer was sent.

    The answer tests the path back, because a UDP service may receive a packet and send no answer.
    """
    if path.target is None or path.target_member is None:
        return False
    for place, sight in seen.sights:
        if place == path.target and not sight.reply and sight.interface == path.target_member.endpoint.interface:
            server, port, client = sight.destination, sight.destination_port, sight.source
            place.inside(partial(answer, probe, server, port, client, sight.source_port))
            return True
    return False


# -------------------------------------------------------------------------------------------------- outside


def _injected(path: PacketPath) -> Observation:
    """Inject a probe at the host's external interface, as if an external machine had sent it; watch for the answer."""
    number = NEAR_PORTS[0] + randbelow(NEAR_PORTS[1])
    probe = Tuple(path.protocol, path.address.version, number)
    interface = path.source.interface
    client, sender_mac, own_mac = neighbour_outside(interface, path.address)
    if path.target_member is not None and path.target_member.network.driver == "macvlan" and path.binding is None:
        own_mac = path.target_member.endpoint.link_mac
    if client is None:
        return Observation(impossible=f"{interface} has no address of this IP version")
    with ExitStack() as stack:
        watching, began = Watching(path, probe, stack), time.monotonic()
        watching.seen.client = client

        def send(flags: int = injection.SYN, sequence: int = 1) -> None:
            packet = injection.frame(probe, client, path.address, path.port, flags, sequence)
            injection.deliver(interface, own_mac, sender_mac, packet, probe.version)

        def poll() -> str:
            late = time.monotonic() > began + LATE_SECONDS
            return _result_outside(path, watching.seen, probe, late=late)

        try:
            send()
            _wait(path, watching, probe, poll, send, [])
            watching.seen.result = poll()
            if probe.protocol == "tcp" and watching.seen.result == "open":
                send(injection.RST, 2)
        except (DriverError, OSError) as error:
            watching.seen.impossible = in_words(error)
        return watching.seen


def _result_outside(path: PacketPath, seen: Observation, probe: Tuple, *, late: bool) -> str:
    """Return the result of an injected probe: "open", "refused", or "" without an answer.

    An answer is accepted only from the address and port to which the probe was sent. With ``late``, an answer that has
    not left the host is accepted too.
    """

    def is_right(source: IPAddress, port: int) -> bool:
        return source == path.address and (port == path.port or probe.protocol == "icmp")

    sights = [sight for _, sight in seen.sights if sight.reply and sight.interface == path.source.interface]
    replies = [sight for sight in sights if is_right(sight.source, sight.source_port)]
    if replies:
        return "refused" if replies[0].reset else "open"
    # Perhaps no machine has the probe's source address. Then the answer cannot leave the host, and nftables alone has
    # seen the answer (``seen.answers``).
    answers = [answer for answer in seen.answers if is_right(answer.source, answer.port)]
    if late and answers and not seen.drops():
        return "refused" if answers[0].reset and probe.protocol == "tcp" else "open"
    return ""


def neighbour_outside(interface: str, target: IPAddress) -> tuple[IPAddress | None, str, str]:
    """Return the address and MAC of a machine on an interface's network, and the interface's own MAC.

    The machine gets the answer to an injected probe. ``target`` chooses the IP version. The result is the first
    possible of these, in a subnet of the interface:

    - the address and MAC of a neighbour entry, because the host can send the answer to this machine
    - the address of the default gateway, with an invented MAC
    - an address that is not the interface's own, with an invented MAC; if the subnet has only one address, the next or
      the previous address

    Link-local subnets do not count. If the interface has no other address of this IP version, the address is None and
    the first MAC is "".
    """
    own_mac, held = features.mac_and_addresses(interface)
    subnets = [item for item in held if item.version == target.version and not item.ip.is_link_local]
    for entry in path_lookup.neighbours(interface):
        if any(entry.address in subnet.network for subnet in subnets):
            return entry.address, entry.mac, own_mac
    gateway = path_lookup.route(path_lookup.anywhere(target.version)).gateway
    if gateway is not None and any(gateway in s.network for s in subnets):
        return gateway, "02:00:00:00:00:01", own_mac
    for subnet in subnets:
        return _other_address(subnet), "02:00:00:00:00:01", own_mac
    return None, "", own_mac


def _other_address(subnet: IPInterface) -> IPAddress:
    if subnet.network.num_addresses > 2:
        return subnet.network[1] if subnet.ip != subnet.network[1] else subnet.network[2]
    # The two addresses of a /31 or a /127 differ only in the last bit. For a /32 or a /128, the result is outside the
    # subnet.
    return subnet.ip - 1 if int(subnet.ip) % 2 else subnet.ip + 1
