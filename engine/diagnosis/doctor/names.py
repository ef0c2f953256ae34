"""Checks DNS: the resolver at 127.0.0.11 in each sandbox, and the upstream servers to which queries are forwarded."""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, ip_interface

from msgspec import Struct, field

from drivers.errors import DriverError
from drivers.linux import netns
from engine.api import Check
from engine.diagnosis.doctor.checks import Examined, fault, ok, warning
from engine.diagnosis.trace import rules
from engine.diagnosis.trace.model import Culprit
from engine.diagnosis.trace.records import Place
from engine.dns import wire
from engine.dns.resolver import ADDRESS
from engine.dns.sandbox_view import Defaults, has_names, servers
from engine.dns.upstream import destination
from engine.errors import in_words
from engine.events import repair as repairs
from engine.model import ContainerRecord, EndpointRecord, live_by_container
from engine.resolv_conf import Upstream, read_host_files

ANSWER_SECONDS = 1.0
"""Maximum number of seconds that `ask` waits for the answers to its queries. After at most half of this time, each
query without an answer is sent once more.
"""
BATCH = 200
"""Maximum number of parallel queries, because each query has a socket."""


class Probe(Struct):
    """A query to one DNS server, and its result. If no answer comes, ``answer`` is b"" and ``error`` is the reason.

    ``waits`` is True until there is an answer or an error.
    """

    sock: socket.socket
    message: bytes
    answer: bytes = b""
    error: str = field(default="it does not answer")
    waits: bool = True

    def send(self) -> None:
        """Send the query, unless it has been answered."""
        self.waits = not self.answer
        if self.waits:
            with suppress(OSError):
                self.sock.send(self.message)

    def receive(self) -> None:
        """Read the answer, or the error that the kernel reports for the socket; does not block."""
        try:
            self.answer = self.sock.recv(wire.STREAM_LIMIT)
        except BlockingIOError:
            return
        except OSError as error:
            self.error = in_words(error)
        self.waits = False


def check(examined: Examined) -> Iterator[Check]:
    """Yield a result for each sandbox with a resolver, and one result for the upstream servers of these sandboxes."""
    named = {n.id for n in examined.networks if has_names(n)}
    joined = live_by_container(e for e in examined.records.endpoints if e.network_id in named)
    served = [c for c in examined.containers if c.id in joined and c.host.network_mode != "host"]
    if not served:
        return
    yield from _resolvers(examined, served, joined)
    yield _upstreams(examined, served)


def _resolvers(
    examined: Examined, served: Sequence[ContainerRecord], joined: Mapping[str, Sequence[EndpointRecord]]
) -> Iterator[Check]:
    """Ask the resolver of each container for the container's own name, and yield the results.

    ``served`` are the containers with a resolver. ``joined`` maps a container's id to the container's endpoints. If the
    agent does not run, asks nothing and yields one fault for all containers.
    """
    if examined.agent != "running":
        yield fault("names", f"{len(served)} containers have no resolver", f"the agent is {examined.agent}")
        return
    for first in range(0, len(served), BATCH):
        probes = {c.id: p for c in served[first : first + BATCH] if (p := _inside(c, joined[c.id])) is not None}
        ask(probes.values())
        for container in served[first : first + BATCH]:
            if container.id in probes:
                yield _judged(container, joined[container.id], probes[container.id])


def _inside(container: ContainerRecord, endpoints: Sequence[EndpointRecord]) -> Probe | None:
    """Prepare a query to the resolver in a container's sandbox for the container's own name; does not send it.

    ``endpoints`` are the container's endpoints. Returns None if the sandbox has ended, or if no endpoint has both a
    name and an IPv4 address.
    """
    name = next((wire.encode_name(e.names[0]) for e in endpoints if e.names and e.ipv4), None)
    if name is None:
        return None
    try:
        made = netns.run_in_netns(container.sandbox_path, _datagram, container.sandbox_inode)
    except (DriverError, OSError):
        return None
    return _probe(made, (ADDRESS, wire.PORT), name, wire.A)


def _datagram(family: int = socket.AF_INET) -> socket.socket:
    return socket.socket(family, socket.SOCK_DGRAM)


def _probe(made: socket.socket, place: tuple[str | int, ...], name: bytes, kind: int) -> Probe:
    probe = Probe(made, wire.make_query(os.urandom(2), name, kind))
    made.setblocking(False)
    try:
        made.connect(place)
    except OSError as error:
        probe.error = in_words(error)
    return probe


def _judged(container: ContainerRecord, endpoints: Sequence[EndpointRecord], probe: Probe) -> Check:
    name = f"container {container.name}"
    if not probe.answer:
        what, drop = f"its resolver at {ADDRESS} does not answer", _dropping(container)
        if drop is not None:
            return fault(name, what, f"{drop.object}: {drop.detail}", drop.fix)
        return fault(name, what, f"{probe.error}; or its redirection is lost")
    addresses = [ip_interface(e.ipv4).ip.packed for e in endpoints if e.ipv4]
    if not any(probe.answer.endswith(a) or a in probe.answer[len(probe.message) :] for a in addresses):
        return fault(name, "its own name does not lead to its address", "the agent's names are older than the records")
    return ok(name, "its resolver knows its name")


def _dropping(container: ContainerRecord) -> Culprit | None:
    """Return the culprit if a firewall rule in a container drops its DNS queries or their answers, or None.

    The culprit names the rule and the remedy.
    """
    place = Place("container", container.name, container.sandbox_path, container.sandbox_inode)
    try:
        return rules.dropping_resolver(place, IPv4Address(ADDRESS))
    except DriverError:
        return None  # the container has ended


def _upstreams(examined: Examined, served: Sequence[ContainerRecord]) -> Check:
    """Ask the upstream DNS servers of the containers ``served``, and return one result about the silent servers.

    ``served`` are the containers with a resolver. Those that are only on internal networks are left out, because they
    need not reach their servers. Each query is sent from the namespace from which the resolver asks the server.
    """
    config = examined.host.config
    defaults = Defaults(read_host_files(), config.dns, config.dns_opts)
    leading_out = {n.id for n in examined.networks if not n.internal}
    asking = {e.container_id for e in examined.records.endpoints if e.phase == "live" and e.network_id in leading_out}
    probes: dict[Upstream, Probe] = {}
    for container in served:
        for upstream in servers(container, defaults, ipv6=False).upstreams if container.id in asking else ():
            if upstream not in probes and (probe := _outside(container, upstream)) is not None:
                probes[upstream] = probe
    ask(probes.values())
    silent = {str(u.address): p.error for u, p in probes.items() if not p.answer}
    if silent:
        shown = ", ".join(f"{address} ({error})" for address, error in list(silent.items())[: repairs.NAMES_LIMIT])
        what = f"{len(silent)} of {len(probes)} upstream servers do not answer: {shown}"
        cause = "the servers are down, or a firewall or the network is in between: names of the outside are not found"
        fix = "check the network, /etc/resolv.conf, --dns and the key dns of daemon.json"
        return warning("upstream DNS", what, cause, fix)
    if not probes:
        return ok("upstream DNS", "no server is needed or configured")
    answering = list(dict.fromkeys(str(upstream.address) for upstream in probes))
    return ok("upstream DNS", f"all upstream servers answer: {repairs.brief(answering)}")


def _outside(container: ContainerRecord, upstream: Upstream) -> Probe | None:
    """Prepare a query to an upstream DNS server of a container; does not send it.

    ``upstream`` is the server. The query is for the name servers of the root zone. Returns None if no socket can be
    made in the network namespace from which the resolver asks this server.
    """
    try:
        family, place = destination(upstream)
        if upstream.on_host:
            made = _datagram(family)
        else:
            made = netns.run_in_netns(container.sandbox_path, lambda: _datagram(family), container.sandbox_inode)
    except (DriverError, OSError):
        return None
    return _probe(made, place, b"\0", wire.NS)


def ask(probes: Iterable[Probe]) -> None:
    """Send all queries at once, and store in each of ``probes`` its answer or error; close the sockets.

    Blocks up to `ANSWER_SECONDS`. A query that has no answer after half of this time is sent again.
    """
    waiting = {probe.sock.fileno(): probe for probe in probes}
    with selectors.PollSelector() as selector:
        for probe in waiting.values():
            selector.register(probe.sock, selectors.EVENT_READ, probe)
        for _ in range(2):
            for probe in waiting.values():
                probe.send()
            _receive(selector, waiting)
    for probe in waiting.values():
        probe.sock.close()


def _receive(selector: selectors.PollSelector, waiting: Mapping[int, Probe]) -> None:
    end = time.monotonic() + ANSWER_SECONDS / 2
    while any(probe.waits for probe in waiting.values()):
        ready = selector.select(max(0.0, end - time.monotonic()))
        if not ready:
            return
        for key, _ in ready:
            key.data.receive()
