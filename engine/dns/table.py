"""DNS answers that are encoded before a query arrives. Each network has one table, which maps a question to encoded
records. All sandboxes on the network share the table.

This module knows names and addresses, but no containers or sockets. Tables are changed in place, so that a large
network's table is not rebuilt when an endpoint joins. The number of entries depends on the number of names, not on the
number of sandboxes. Each name has A and AAAA entries, both plain and qualified by the network's name. Each address has
one PTR entry.
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
    """The DNS records that answer one question.

    ``records`` has all records, encoded one after another as in a reply. If there are several records, ``several`` also
    has them one by one, so that they can be shuffled for each reply.
    """

    records: bytes
    several: tuple[bytes, ...] = ()

    def shuffled(self) -> list[bytes]:
        """Return the records, in random order if there are several."""
        if self.several:
            return random.sample(self.several, len(self.several))
        return [self.records] if self.records else []


EMPTY = Answer(b"")
"""The answer for a name that exists but has no DNS record of the requested type."""


def answer(records: list[bytes]) -> Answer:
    """Return an Answer with these records, each encoded as in a reply; without records, return the empty answer."""
    if not records:
        return EMPTY
    return Answer(b"".join(records), tuple(records) if len(records) > 1 else ())


class MemberNames(NamedTuple):
    """The names and addresses of an endpoint."""

    names: tuple[str, ...]
    ipv4: IPv4Address | None
    ipv6: IPv6Address | None


def member(endpoint: EndpointRecord) -> MemberNames:
    """Return the names and addresses of an endpoint's record."""
    v4 = ip_interface(endpoint.ipv4).ip if endpoint.ipv4 else None
    v6 = ip_interface(endpoint.ipv6).ip if endpoint.ipv6 else None
    assert not isinstance(v4, IPv6Address)
    assert not isinstance(v6, IPv4Address)
    return MemberNames(tuple(endpoint.names), v4, v6)


class NetworkTable:
    """All DNS answers of one network.

    ``network`` is the network's name, ``ttl`` the TTL of the answers in seconds. The table ``plain`` maps questions for
    names and addresses to answers. The table ``qualified`` maps questions for names of the form ``name.network`` to
    answers. The keys are those of `wire.question`.

    Other threads may read both tables at any time. Therefore a change never removes an answer that still applies.
    """

    def __init__(self, network: str, ttl: int) -> None:
        self.network, self.ttl = network, ttl
        self.plain: Table = {}
        self.qualified: Table = {}
        self._records: dict[str, EndpointRecord] = {}
        self._members: dict[str, MemberNames] = {}
        self._holders: dict[str, dict[str, MemberNames]] = {}

    def update(self, endpoints: Iterable[EndpointRecord]) -> None:
        """Change the table to match ``endpoints``, which are all active endpoints of the network."""
        by_id = {e.id: e for e in endpoints}
        gone = [i for i, known in self._records.items() if known != by_id.get(i)]
        new = [i for i, e in by_id.items() if e != self._records.get(i)]
        dropped = [self._members.pop(identity) for identity in gone]
        added = {identity: member(by_id[identity]) for identity in new}
        self._members |= added
        for identity, old in zip(gone, dropped, strict=True):
            for name in _lowered(old):
                self._holders[name].pop(identity, None)
        for identity, fresh in added.items():
            for name in _lowered(fresh):
                self._holders.setdefault(name, {})[identity] = fresh
        self._records = by_id
        for name in {name for each in (*dropped, *added.values()) for name in _lowered(each)}:
            self._publish(name)
        self._publish_addresses(dropped, added.values())

    def _publish_addresses(self, dropped: Iterable[MemberNames], added: Iterable[MemberNames]) -> None:
        """Delete the PTR answers for the addresses of ``dropped``, and write those for the addresses of ``added``.

        If an address is in both, the new answer replaces the old answer in one step. Other threads then never miss an
        answer for this address.
        """
        stale = {key for old in dropped for key in _reverse_keys(old)}
        for new in added:
            target = wire.encode_name(f"{new.names[0]}.{self.network}") if new.names else None
            if target is not None:
                keys = _reverse_keys(new)
                self.plain |= dict.fromkeys(keys, answer([wire.record(wire.PTR, self.ttl, target)]))
                stale.difference_update(keys)
        for key in stale:
            self.plain.pop(key, None)

    def _publish(self, name: str) -> None:
        """Write the answers of a name to the plain and qualified table, or delete them if no endpoint has the name.

        ``name`` is in lower case.
        """
        holders = self._holders.get(name, {})
        if not holders:
            self._holders.pop(name, None)
        for table, full in ((self.plain, name), (self.qualified, f"{name}.{self.network}")):
            encoded = wire.encode_name(full)
            if encoded is not None:
                _set(table, encoded, self.addresses(name))

    def addresses(self, name: str) -> Mapping[int, Answer] | None:
        """Return the A and AAAA answers of a name, by record type, or None if no endpoint has the name.

        If the endpoints of the name have no address of an IP version, the answer of this type is empty.
        """
        holders = self._holders.get(name.lower(), {}).values()
        if not holders:
            return None
        v4 = [m.ipv4.packed for m in holders if m.ipv4 is not None]
        v6 = [m.ipv6.packed for m in holders if m.ipv6 is not None]
        return {
            wire.A: answer([wire.record(wire.A, self.ttl, a) for a in v4]),
            wire.AAAA: answer([wire.record(wire.AAAA, self.ttl, a) for a in v6]),
        }


def _lowered(endpoint: MemberNames) -> set[str]:
    return {name.lower() for name in endpoint.names}


def _reverse_keys(endpoint: MemberNames) -> list[bytes]:
    """Return the table keys of the PTR questions for an endpoint's addresses."""
    addresses = [address for address in (endpoint.ipv4, endpoint.ipv6) if address is not None]
    return [wire.question(wire.reverse_name(address), wire.PTR) for address in addresses]


def _set(table: Table, encoded: bytes, answers: Mapping[int, Answer] | None) -> None:
    for kind in (wire.A, wire.AAAA):
        key = wire.question(encoded, kind)
        if answers is None:
            table.pop(key, None)
        else:
            table[key] = answers[kind]


class LinkTable:
    """The DNS answers for the aliases (legacy links) of one sandbox.

    ``answers`` maps the questions for an alias to answers. An alias has priority over an endpoint of the same name.
    ``hidden`` has the questions for an alias whose target has no endpoint. These questions are not answered from the
    networks' tables either.
    """

    def __init__(self) -> None:
        self.answers: Table = {}
        self.hidden: set[bytes] = set()

    def add(self, alias: str, target: str, network: NetworkTable) -> None:
        """Make ``alias`` another name for the endpoints of ``network`` that have the name ``target``.

        If an earlier call gave the alias addresses of one IP version, for another network, this call adds no addresses
        of this version. If no endpoint has the name ``target``, the questions for the alias are added to ``hidden``.
        """
        for full in (alias, f"{alias}.{network.network}"):
            encoded = wire.encode_name(full)
            if encoded is None:
                continue
            answers = network.addresses(target)
            for kind in (wire.A, wire.AAAA):
                key = wire.question(encoded, kind)
                if answers is None:
                    self.hidden.add(key)
                elif not self.answers.get(key, EMPTY).records:
                    self.answers[key] = answers[kind]
