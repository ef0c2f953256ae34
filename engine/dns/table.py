"""Prebuilt answers: for each network one table from question to ready-made records, shared by all its sandboxes.

Knows names and addresses, nothing of containers or sockets. Tables are changed by difference, in place: a network of a
thousand endpoints is not built again when one joins. Entries grow with names (three each, twice: plain and qualified
by the network's name) and never with sandboxes.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_interface
from typing import NamedTuple

from engine.dns import wire
from engine.model import EndpointRecord

Table = dict[bytes, "Answer"]


class Answer(NamedTuple):
    """Records for one question: ``counts`` is the second part of a reply's header, ``records`` goes after the question.

    ``several`` holds the records one by one where their order is shuffled for each reply.
    """

    counts: bytes
    records: bytes
    several: tuple[bytes, ...] = ()

    def shuffled(self) -> list[bytes]:
        """The records one by one, in an order of chance where there are several."""
        if self.several:
            return random.sample(self.several, len(self.several))
        return [self.records] if self.records else []


EMPTY = Answer(b"\0\1\0\0\0\0\0\0", b"")
"""The name exists, without a record of the type asked for."""


def answer(records: list[bytes]) -> Answer:
    """Prepare an answer of these records."""
    if not records:
        return EMPTY
    counts = b"\0\1" + len(records).to_bytes(2, "big") + bytes(4)
    return Answer(counts, b"".join(records), tuple(records) if len(records) > 1 else ())


class Member(NamedTuple):
    """What a table needs of an endpoint."""

    names: tuple[str, ...]
    ipv4: IPv4Address | None
    ipv6: IPv6Address | None


def member(endpoint: EndpointRecord) -> Member:
    """Take names and addresses out of an endpoint's record."""
    v4 = ip_interface(endpoint.ipv4).ip if endpoint.ipv4 else None
    v6 = ip_interface(endpoint.ipv6).ip if endpoint.ipv6 else None
    assert not isinstance(v4, IPv6Address)
    assert not isinstance(v6, IPv4Address)
    return Member(tuple(endpoint.names), v4, v6)


class NetworkTable:
    """All names of one network: ``plain`` by name and address, ``qualified`` by ``name.network``."""

    def __init__(self, network: str, ttl: int) -> None:
        self.network, self.ttl = network, ttl
        self.plain: Table = {}
        self.qualified: Table = {}
        self._records: dict[str, EndpointRecord] = {}
        self._members: dict[str, Member] = {}
        self._holders: dict[str, dict[str, Member]] = {}

    def update(self, endpoints: Iterable[EndpointRecord]) -> None:
        """Make the table say what these endpoints (all of the network that are live) call for."""
        wanted = {e.id: e for e in endpoints}
        gone = [i for i, known in self._records.items() if not _is_same(known, wanted.get(i))]
        new = [i for i, e in wanted.items() if not _is_same(e, self._records.get(i))]
        touched: set[str] = set()
        for identity in gone:
            touched |= self._drop(identity)
        for identity in new:
            touched |= self._add(identity, member(wanted[identity]))
        self._records = wanted
        for name in touched:
            self._publish(name)

    def _drop(self, identity: str) -> set[str]:
        old = self._members.pop(identity)
        names = {n.lower() for n in old.names}
        for name in names:
            self._holders[name].pop(identity, None)
        for address in (old.ipv4, old.ipv6):
            if address is not None:
                self.plain.pop(wire.question(wire.reverse_name(address), wire.PTR), None)
        return names

    def _add(self, identity: str, new: Member) -> set[str]:
        self._members[identity] = new
        names = {n.lower() for n in new.names}
        for name in names:
            self._holders.setdefault(name, {})[identity] = new
        target = wire.encode_name(f"{new.names[0]}.{self.network}") if new.names else None
        for address in (new.ipv4, new.ipv6):
            if address is not None and target is not None:
                key = wire.question(wire.reverse_name(address), wire.PTR)
                self.plain[key] = answer([wire.record(wire.PTR, self.ttl, target)])
        return names

    def _publish(self, name: str) -> None:
        """Write, or remove, the answers of one name."""
        holders = self._holders.get(name, {})
        if not holders:
            self._holders.pop(name, None)
        for table, full in ((self.plain, name), (self.qualified, f"{name}.{self.network}")):
            encoded = wire.encode_name(full)
            if encoded is not None:
                _set(table, encoded, self.addresses(name))

    def addresses(self, name: str) -> Mapping[int, Answer] | None:
        """The answers of a name by record type, None where no endpoint has it."""
        holders = self._holders.get(name.lower(), {}).values()
        if not holders:
            return None
        v4 = [m.ipv4.packed for m in holders if m.ipv4 is not None]
        v6 = [m.ipv6.packed for m in holders if m.ipv6 is not None]
        return {
            wire.A: answer([wire.record(wire.A, self.ttl, a) for a in v4]),
            wire.AAAA: answer([wire.record(wire.AAAA, self.ttl, a) for a in v6]),
        }


def _is_same(one: EndpointRecord, other: EndpointRecord | None) -> bool:
    """Tell whether two records are equal; mostly they are one object, which a dataclass does not look for."""
    return one is other or one == other


def _set(table: Table, encoded: bytes, answers: Mapping[int, Answer] | None) -> None:
    for kind in (wire.A, wire.AAAA):
        key = wire.question(encoded, kind)
        if answers is None:
            table.pop(key, None)
        else:
            table[key] = answers[kind]


class LinkTable:
    """One sandbox's own aliases (legacy links); an alias whose target is away hides others' names on that network."""

    def __init__(self) -> None:
        self.found: Table = {}
        self.hidden: set[bytes] = set()

    def add(self, alias: str, target: str, network: NetworkTable) -> None:
        """Let ``alias`` stand for ``target`` on one network, the earlier network winning."""
        for full in (alias, f"{alias}.{network.network}"):
            encoded = wire.encode_name(full)
            if encoded is None:
                continue
            answers = network.addresses(target)
            for kind in (wire.A, wire.AAAA):
                key = wire.question(encoded, kind)
                if answers is None:
                    self.hidden.add(key)
                elif not self.found.get(key, EMPTY).records:
                    self.found[key] = answers[kind]
