"""Ask the agent of another host about its side of a path (`engine.cluster.questions`), and read its answer.

The answer is not trusted. It must have the form of a `Report` and be short. It may name only the kinds of culprits in
`REMEDIES`. The user sees no command from the answer, because the remedies are texts of this host.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from engine.cluster import membership, node_operations
from engine.cluster.model import Node, Question
from engine.cluster.questions import LONGEST_ANSWER
from engine.diagnosis.trace.model import Culprit, Hop
from engine.errors import EngineError
from engine.host import Host
from engine.store.codec import decode, encode

ANSWER_SECONDS = 1.3
"""Seconds after the question within which the answer must come.

The probe runs meanwhile. If it takes all of this time, the answer may come up to `GRACE_SECONDS` later.
"""
GRACE_SECONDS = 0.3
HOPS_LIMIT, CULPRITS_LIMIT, LONGEST_TEXT = 16, 6, 300

REPAIR = "repair it: hawse doctor --fix"
PASS = "let these packets pass in that chain"
ROUTES = "correct the routes, or restart the container: hawse restart"
REMEDIES = {
    "no-such-endpoint": "compare the addresses: hawse network inspect",
    "container-stopped": "start the container: hawse start",
    "no-route": ROUTES,
    "wrong-route": ROUTES,
    "interface-down": REPAIR,
    "interface-missing": REPAIR,
    "not-in-bridge": REPAIR,
    "wrong-address": REPAIR,
    "bridge-down": REPAIR,
    "bridge-missing": REPAIR,
    "peer-table-stale": REPAIR,
    "own-firewall-damaged": REPAIR,
    "encryption-down": REPAIR,
    "duplicate-address": "remove the address from the other holder",
    "stale-neighbour": "delete that entry: ip neigh del, or bridge fdb del",
    "rp-filter": "set the sysctl to 2, or correct the route back",
    "conntrack-full": "raise net.netfilter.nf_conntrack_max",
    "container-firewall": "change that rule or sysctl in the container's network namespace",
    "foreign-firewall": PASS,
    "vxlan-blocked": PASS,
    "mtu": "raise the MTU of that interface",
    "port-not-listening": "start the service, or use the port at which it listens",
    "listening-on-loopback-only": "let the service listen at 0.0.0.0 (or ::)",
}
"""The kinds of culprits that another host may name, each with the remedy to apply on that host."""


class Report(Struct, frozen=True):
    """The report of another host about its side: the hops in order, and the culprits, the most certain first."""

    hops: tuple[Hop, ...]
    culprits: tuple[Culprit, ...]

    def first(self, *kinds: str) -> Culprit | None:
        """Return the first culprit of one of the ``kinds``, or None."""
        return next((c for c in self.culprits if c.kind in kinds), None)


class Inquiry:
    """One question to another host. The constructor sends it in a thread and does not wait."""

    def __init__(self, host: Host, question: Question, node: Node) -> None:
        self._host, self._question, self._node = host, question, node
        self._began, self._answer = time.monotonic(), ""
        self._thread = threading.Thread(target=self._ask, name="inquiry", daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        with suppress(EngineError, OSError), membership.connected(self._host) as (client, own_membership):
            answer = node_operations.perform(client, own_membership, "ask", question=encode(self._question))
            self._answer = str(answer.get("answer", ""))

    def report(self) -> Report | None:
        """Return the other host's report, or None if no valid answer comes in time.

        Waits for the answer until `ANSWER_SECONDS` after the question was sent. If less than `GRACE_SECONDS` remain of
        this time, waits up to `GRACE_SECONDS`.
        """
        self._thread.join(max(self._began + ANSWER_SECONDS - time.monotonic(), GRACE_SECONDS))
        return read(self._answer, self._node)


def place_of(node: Node) -> str:
    """Return the text that names another host as the place of a hop, such as "host b (192.0.2.2)"."""
    return f"host {node.hostname} ({node.data_address})"


def read(text: str, node: Node) -> Report | None:
    """Parse an answer (``text``) of the host ``node``, and return the report with ``node`` named in each place.

    Culprits of kinds that are not in `REMEDIES` are left out. Returns None if the answer is no valid report, is too
    long, or has characters that cannot be printed.
    """
    if not 0 < len(text) <= LONGEST_ANSWER:
        return None
    try:
        report = decode(Report, text)
    except (ValueError, RecursionError):
        return None
    known = [c for c in report.culprits if c.kind in REMEDIES]
    if len(report.hops) > HOPS_LIMIT or len(known) > CULPRITS_LIMIT or not all(map(_is_plain, _texts(report))):
        return None
    hops = tuple(replace(hop, where=_there(hop.where, node), seen=False) for hop in report.hops)
    fix = f"on {node.hostname}: "
    return Report(hops, tuple(replace(c, where=_there(c.where, node), fix=fix + REMEDIES[c.kind]) for c in known))


def _texts(report: Report) -> Iterator[str]:
    for hop in report.hops:
        yield from (hop.what, hop.where, hop.detail)
    for culprit in report.culprits:
        yield from (culprit.object, culprit.where, culprit.detail)


def _is_plain(text: str) -> bool:
    return len(text) <= LONGEST_TEXT and text.isprintable()


def _there(where: str, node: Node) -> str:
    rest = where.removeprefix("host") if where == "host" or where.startswith("host,") else None
    return f"{where} on {place_of(node)}" if rest is None else place_of(node) + rest
