"""Answer the question of another host: examine this host's side of the path between two overlay endpoints.

The examination is a trace without a probe, from this host's endpoint back to the other host's endpoint. The firewall of
this host's endpoint is also checked, and whether a process listens at the endpoint's port. The examination reads
records and kernel state, and sends nothing to the endpoints.
"""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_address
from itertools import islice

from msgspec.structs import replace

from drivers.errors import DriverError
from drivers.linux import path_lookup
from drivers.linux.host import interface_addresses
from engine.cluster import record_checks
from engine.cluster.model import Question
from engine.diagnosis.trace import rules
from engine.diagnosis.trace.checks import Checks
from engine.diagnosis.trace.explain import Explanation
from engine.diagnosis.trace.model import Culprit, CulpritFound, Hop, Log
from engine.diagnosis.trace.other_host import CULPRITS_LIMIT, LONGEST_TEXT, Report
from engine.diagnosis.trace.overlay_side import OverlaySide
from engine.diagnosis.trace.packet_path import REMOTE, PacketPath
from engine.diagnosis.trace.records import Place, Records, address_of
from engine.diagnosis.trace.source import of_container
from engine.diagnosis.trace.state import State
from engine.endpoints.sandbox import JoinedEndpoint
from engine.host import Host
from engine.store.api import Reader
from engine.store.codec import decode, encode

TIMEOUT_SECONDS = 3
MEMORY_LIMIT_BYTES = 1 << 30
Part = Callable[[], Iterable[Culprit]]
"""One check of the examination."""


@contextmanager
def limits() -> Iterator[None]:
    """Limit the memory and the time of a ``with`` block; after `TIMEOUT_SECONDS`, the kernel kills the process.

    The limits are needed because a container's firewall may be very large, and another host can cause the examination.
    """
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, before[1]))
    signal.alarm(TIMEOUT_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, before)


def answer(host: Host, text: str) -> str:
    """Answer a `Question` of another host (``text``) with a `Report`; both texts are JSON.

    Returns "" if this host does not have the question's overlay network, or if the source is no endpoint of the asking
    host on this network. Raises ValueError for a malformed question.
    """
    question = record_checks.check_question(decode(Question, text))
    with host.store.read() as reader:
        records = Records(reader)
        network = records.networks.get(question.network_id)
        if network is None or network.driver != "overlay":
            return ""
        side = OverlaySide(host, records)
        side.learn([network])
        owned = f"{question.asker}/"
        source = _endpoint(records, question.network_id, question.source, lambda owner: owner.startswith(owned))
        target = _endpoint(records, question.network_id, question.target, lambda owner: owner in records.containers)
        if source is None:
            return ""
        if target is None:
            detail = f"this host has no container with endpoint {question.target[:12]} on network {network.name}"
            missing = Culprit("no-such-endpoint", f"endpoint {question.target[:12]}", "host", detail, "")
            return encode(Report((), (missing,)))
        return encode(_examined(host, reader, records, side, question, source, target))


def _endpoint(
    records: Records, network_id: str, endpoint_id: str, is_owner: Callable[[str], bool]
) -> JoinedEndpoint | None:
    chosen = (e for e in records.endpoints if (e.network_id, e.id) == (network_id, endpoint_id))
    return next((records.joined(e) for e in chosen if is_owner(e.container_id)), None)


def _examined(
    host: Host,
    reader: Reader,
    records: Records,
    side: OverlaySide,
    question: Question,
    source: JoinedEndpoint,
    target: JoinedEndpoint,
) -> Report:
    container, log = records.container_of(target), Log()
    client, server = (address_of(m.endpoint, question.version) for m in (source, target))
    assert container is not None
    try:
        place = of_container(records, container)
    except CulpritFound as error:
        return _bounded([], [error.culprit])
    if client is None or server is None:
        return Report((), ())
    back = PacketPath(place, client, 0, question.protocol, REMOTE, target, None, source)
    there = Place("container", client.compressed)
    forth = PacketPath(there, server, question.port, question.protocol, REMOTE, source, place, target, question.port)
    explanation, checks = Explanation(reader, records, back, State(host, records)), Checks(records, forth)
    log.add(f"interface {target.endpoint.interface}", str(place), str(server))
    parts = [explanation.faults, *_parts(side, checks, back, forth, log)]
    return _bounded(log.hops, list(islice(_each(parts), CULPRITS_LIMIT)))


def _parts(side: OverlaySide, checks: Checks, back: PacketPath, forth: PacketPath, log: Log) -> Iterator[Part]:
    """Yield the checks of the path on this host, except the comparison of the kernel with the records.

    Each check is a function without parameters that returns the culprits it finds. The surest check comes first.
    ``side`` is this host's state of the overlay network. ``back`` is the path from this host's endpoint to the asking
    host's endpoint. ``forth`` is the opposite path, which ``checks`` examines. If a process listens at the port, the
    check of the port adds a hop to ``log``.
    """
    client = back.address
    yield partial(side.devices, back)
    yield partial(_underlay, side, back)
    yield lambda: filter(None, [rules.dropping_at_target(forth, client)])
    yield lambda: filter(None, [side.moved_port(back), side.dropped_in_network(forth, client)])
    yield checks.ignores_ping
    yield partial(_listening, checks, forth, log)
    yield lambda: filter(None, [side.small_underlay(back) or side.narrow_interface(back)])
    yield partial(checks.duplicates, sending=False)


def _each(parts: Iterable[Part]) -> Iterator[Culprit]:
    """Call each check in ``parts`` and yield the culprits; if a check raises an error, continue with the next check."""
    for part in parts:
        try:
            yield from part()
        except (DriverError, OSError):
            continue


def _listening(checks: Checks, forth: PacketPath, log: Log) -> Iterator[Culprit]:
    """Yield a culprit if no process listens at the path's port; otherwise, add a hop for the process to ``log``.

    Nothing is added for ICMP.
    """
    culprits = list(checks.listening())
    if forth.port and not culprits:
        log.add(f"port {forth.service}", str(forth.target), "a process listens")
    yield from culprits


def _underlay(side: OverlaySide, path: PacketPath) -> Iterator[Culprit]:
    """Yield a culprit for each fault of this host's end of the tunnel to the asking host.

    Such a fault is a missing address, a missing route, or a rule that drops the tunnel's packets.
    """
    own_address, node = side.own_address, side.node_of(path)
    if not own_address or node is None or path.source_member is None:
        return
    other = ip_address(node.data_address)
    if own_address not in (str(address) for _, address in interface_addresses()):
        detail = f"this host's address in the cluster is {own_address}, and no interface has it"
        yield Culprit("wrong-address", f"address {own_address} of the host", "host", detail, "")
    route = path_lookup.route(other)
    if route.kind != "unicast":
        yield Culprit("no-route", f"route to {other} of the host", "host", f"this host has no route to {other}", "")
    drop = side.dropped_tunnel(path)
    if drop is not None:
        yield drop


def _bounded(hops: Iterable[Hop], culprits: Iterable[Culprit]) -> Report:
    """Return a report with short and printable texts, as the asking host requires.

    The remedies of the culprits are left out, because the asking host uses its own texts.
    """
    short = [replace(h, what=_plain(h.what), where=_plain(h.where), detail=_plain(h.detail)) for h in hops]
    named = [Culprit(c.kind, _plain(c.object), _plain(c.where), _plain(c.detail), "") for c in culprits]
    return Report(tuple(short), tuple(named))


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text[:LONGEST_TEXT])
