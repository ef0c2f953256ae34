"""Read the rules of other programs, and determine whether they drop a packet, without sending the packet.

Each condition of a rule is true, false or unknown for the packet. A rule with an unknown condition is skipped, although
it might let the packet pass (see ``strict`` of `find_drops`). Runs in the calling thread's network namespace.

A parameter ``steps`` has pairs of a netfilter hook, such as "forward", and the packet as it is at this hook.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from drivers.firewall import resolver_redirect, table_structure, xt_expressions, xt_matches
from drivers.firewall.foreign_drops import OURS
from drivers.firewall.packets import ARP, ICMP_TYPES, Packet
from drivers.firewall.rule_values import any_of, as_list, is_equal, options_of, turned
from drivers.firewall.table import TABLE
from drivers.linux import libnftables

OWN = (*OURS, f"ip {resolver_redirect.TABLE}")
DEPTH_LIMIT = 16  # maximum number of nested jumps that are followed; nftables itself allows no more
STEP_LIMIT = 100_000
"""Maximum number of rules and set elements examined in one table for one packet.

Without a limit, jumps in a container's rules could take forever.
"""
STRICT_ELEMENTS_LIMIT = 256
"""The size of the largest set that is searched with ``strict``.

A condition with a larger set is unknown, because a search for each of many packets would take too long.
"""
LETTING_PASS = ("accept", "return", "jump", "goto", "vmap", "queue", "synproxy")
"""Statements at the end of a rule that may let the packet pass."""
STAYING = ("REJECT", "DROP", "LOG", "NFLOG", "AUDIT", "MARK", "CONNMARK", "SECMARK", "CONNSECMARK", "TCPMSS")
"""The targets of iptables-nft (`xt`) that drop a packet, or after which the next rule examines it.

NFQUEUE is not one of them, because a program may accept the queued packet.
"""
Json = Mapping[str, Any]
TRACKING_PRIORITY, DNAT_PRIORITY = -200, -100  # priorities of connection tracking, and of "dstnat"
PASS, DROPPED = "pass", "dropped"
TRANSLATIONS, SOURCES, UNTRACKED = ("dnat", "redirect"), ("snat", "masquerade"), ("notrack",)
"""Statements that `find_statements` looks for: a new destination, a new source, no connection tracking."""
TARGETS = {"DNAT": "dnat", "NETMAP": "dnat", "REDIRECT": "redirect", "SNAT": "snat", "MASQUERADE": "masquerade"}
"""The nftables statement with the same effect, for each target of iptables-nft."""
WITHOUT_TRACKING = 1  # bit XT_CT_NOTRACK of the first field of struct xt_ct_target_info
IP_FAMILIES = ("inet", "ip", "ip6")
ORDER: Mapping[str, Callable[[int, int], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


class Drop(NamedTuple):
    """The rule or the chain policy that drops a packet: its table (family and name) and its chain.

    ``handle`` is the handle of the rule, or 0 if the chain's policy drops the packet.
    """

    table: str
    chain: str
    handle: int


class Changed(NamedTuple):
    """A rule whose statement changes a packet; ``handle`` is the rule's handle.

    ``priority`` is the priority of the base chain from which the rule is reached. ``is_newer`` says whether the rule's
    table is newer than hawse's table. Of two chains with the same priority, the kernel runs the newer chain first.
    """

    table: str
    chain: str
    handle: int
    priority: int
    is_newer: bool

    @property
    def precedes_dnat(self) -> bool:
        """Whether the kernel uses the rule before hawse's rules that translate destinations."""
        return self.priority < DNAT_PRIORITY + self.is_newer


Proven = tuple[Packet, Drop]


class _Table(NamedTuple):
    """The content of a table: chains and sets (also maps) by name, and each chain's rules.

    ``is_newer`` says whether the table was created after hawse's table ``inet hawse``.
    """

    is_newer: bool
    chains: Mapping[str, Json]
    sets: Mapping[str, Sequence[Any]]
    rules: Mapping[str, Sequence[Json]]


Tables = Mapping[tuple[str, str], _Table]
"""The tables of other programs, by family and name."""


def read(families: Sequence[str] = IP_FAMILIES) -> Tables:
    """Read other programs' tables of these families, such as ``inet``.

    Omits tables whose name has special characters (`libnftables.is_plain`), and tables that nftables cannot list.
    """
    handles = table_structure.handles()
    own = handles.get(_named(TABLE), 0)
    chosen = [named for named in handles if named[0] in families and not _is_own(*named)]
    contents = [(named, _objects(*named)) for named in chosen if libnftables.is_plain(named[1])]
    return {named: _indexed(objects, is_newer=handles[named] > own) for named, objects in contents if objects}


def find_drops(tables: Tables, steps: Iterable[tuple[str, Packet]], *, strict: bool = False) -> Iterator[Proven]:
    """Yield each packet that is proven to be dropped, with the rule or policy that drops it.

    Without ``strict``, a step yields only the first drop. ``strict`` is for packets with unknown fields. It has two
    effects:

    - After a skipped rule that might let the packet pass, no drop of the same table counts as proven. A packet without
      a source address is always examined in this way.
    - A step yields one drop for each table that drops the packet.
    """
    for hook, packet in steps:
        is_strict = strict or packet.source is None
        by_table = (
            _drop_of_table(table, packet, name, hook, strict=is_strict) for name, table in _seeing(tables, packet)
        )
        drops = (drop for drop in by_table if drop is not None)
        yield from ((packet, drop) for drop in (drops if strict else islice(drops, 1)))


def find_statements(
    tables: Tables, steps: Iterable[tuple[str, Packet]], statements: Sequence[str]
) -> Iterator[tuple[Packet, Changed]]:
    """Yield each packet that certainly reaches a rule with one of the ``statements``, with the first such rule.

    ``statements`` are names of nftables statements, such as "dnat" (`TRANSLATIONS`, `SOURCES` or `UNTRACKED`). If
    several tables have such a rule, the packet is yielded once for each table. After a skipped rule that might let the
    packet pass, no rule counts.
    """
    for hook, packet in steps:
        for name, table in _seeing(tables, packet):
            rule = _statement_of_table(table, packet, name, hook, statements)
            if rule is not None:
                yield packet, rule


def _seeing(tables: Tables, packet: Packet) -> Iterator[tuple[str, _Table]]:
    """Yield (family and name as text, table) for each table that sees packets of the IP version of ``packet``."""
    for (family, name), table in tables.items():
        if (family, packet.version) not in (("ip", 6), ("ip6", 4)):
            yield f"{family} {name}", table


def _statement_of_table(
    content: _Table, packet: Packet, table: str, hook: str, statements: Sequence[str]
) -> Changed | None:
    reader = _Reader(content, packet, strict=True, statements=statements)
    for chain in reader.base_chains(hook, "filter" if statements == UNTRACKED else "nat"):
        verdict = reader.walk(chain["name"])
        if not reader.is_certain or (verdict is not None and verdict[0] == DROPPED):
            return None
        if verdict is not None and verdict[0] in statements:
            return Changed(table, verdict[1], verdict[2], int(chain.get("prio", 0)), content.is_newer)
    return None


def _drop_of_table(content: _Table, packet: Packet, table: str, hook: str, *, strict: bool) -> Drop | None:
    before = after = _Reader(content, packet, strict=strict)
    if packet.translated is not None:
        after = _Reader(content, packet.translated, strict=strict)
    for chain in before.base_chains(hook):
        reader = after if int(chain.get("prio", 0)) > DNAT_PRIORITY else before
        verdict = reader.walk(chain["name"])
        if not reader.is_certain:
            return None
        if verdict is None and chain.get("policy") == "drop":
            return Drop(table, chain["name"], 0)
        if verdict is not None and verdict[0] == DROPPED:
            return Drop(table, verdict[1], verdict[2])
    return None


def _named(table: str) -> tuple[str, str]:
    family, _, name = table.partition(" ")
    return family, name


def _objects(family: str, name: str) -> list[dict[str, Any]]:
    """Return a table's objects in nftables' JSON form, but with complete `xt` statements.

    An `xt` statement is a match or target of iptables-nft. Because nftables lists at most its name, the kernel is asked
    for the other fields (`xt_expressions.Expression`). ``family`` and ``name`` are those of the table.
    """
    objects = libnftables.listing_of_others(f"table {family} {name}")
    rules = [item["rule"] for item in objects if "rule" in item]
    by_handle = {rule["handle"]: [s for s in rule.get("expr", ()) if "xt" in s] for rule in rules}
    known = xt_expressions.read_rules(f"{family} {name}") if any(by_handle.values()) else {}
    for handle, statements in by_handle.items():
        expressions = known.get(handle, [])
        for number, statement in enumerate(statements):
            expression = expressions[number] if len(expressions) == len(statements) else xt_expressions.UNKNOWN
            statement["xt"] = expression._asdict()
    return objects


def _is_own(family: str, name: str) -> bool:
    return f"{family} {name}" in OWN or name.startswith("hawse_trace")


def _indexed(objects: Sequence[Json], *, is_newer: bool) -> _Table:
    chains = {o["chain"]["name"]: o["chain"] for o in objects if "chain" in o}
    sets = {o[k]["name"]: o[k].get("elem", []) for o in objects for k in ("set", "map") if k in o}
    rules: dict[str, list[Json]] = {}
    for item in objects:
        if "rule" in item:
            rules.setdefault(item["rule"]["chain"], []).append(item["rule"])
    return _Table(is_newer, chains, sets, rules)


class _Reader:
    """Evaluates the rules of one table for one packet.

    ``is_certain`` becomes False at the `STEP_LIMIT`. With ``strict``, it also becomes False when a rule with an unknown
    condition or target may let the packet pass.
    """

    def __init__(self, table: _Table, packet: Packet, *, strict: bool, statements: Sequence[str] = ()) -> None:
        self._table, self._packet, self._strict, self.is_certain = table, packet, strict, True
        self._statements, self._steps = statements, 0

    def base_chains(self, hook: str, kind: str = "filter") -> list[Json]:
        """Return a hook's base chains that see the packet, in the order of their priorities.

        ``kind`` is the type of the chains, such as "filter" or "nat".
        """
        chosen = [c for c in self._table.chains.values() if c.get("hook") == hook and c.get("type") == kind]
        device = self._packet.sent if hook == "egress" else self._packet.received
        chosen = [c for c in chosen if "dev" not in c or device in as_list(c["dev"])]
        return sorted(chosen, key=lambda c: int(c.get("prio", 0)))

    def walk(self, chain: str, depth: int = 0) -> tuple[str, str, int] | None:
        """Return the verdict for the packet, the chain with the deciding rule, and the handle of this rule.

        The verdict is `PASS`, `DROPPED` or one of the statements that the reader looks for. Returns None if neither
        ``chain`` nor the chains that it jumps to have a verdict for the packet. ``depth`` is the number of jumps and
        gotos between the base chain and ``chain``.
        """
        for rule in self._table.rules.get(chain, ()) if depth <= DEPTH_LIMIT else ():
            self._steps += 1
            if self._steps > STEP_LIMIT:
                self.is_certain = False
                return None
            verdict = self._apply(rule)
            if verdict is None:
                continue
            word, target = verdict
            if word == "return":
                return None
            if word in ("jump", "goto"):
                outcome = self.walk(target, depth + 1)
                if outcome is not None or word == "goto":
                    return outcome
                continue
            if word in self._statements:
                return word, chain, int(rule["handle"])
            return (PASS if word == "accept" else DROPPED), chain, int(rule["handle"])
        return None

    def _apply(self, rule: Json) -> tuple[str, str] | None:
        for statement in rule.get("expr", ()):
            (kind, body), *_ = statement.items()
            if kind == "match" or (kind == "xt" and body.get("type") == "match"):
                if kind == "match":
                    matches = self._matches(body)
                else:
                    matches = xt_matches.matches(body["name"], body["info"], self._packet)
                if matches is None:
                    self._doubt(rule)
                if matches is not True:
                    return None
            elif kind in ("accept", "drop", "return") or kind in self._statements:
                return kind, ""
            elif kind == "reject" or (kind == "xt" and body.get("name") == "REJECT"):
                return "drop", ""
            elif kind == "xt" and _statement_of(body) in self._statements:
                return _statement_of(body), ""
            elif kind in ("jump", "goto"):
                return kind, body["target"]
            elif kind == "vmap":
                return self._looked_up(body)
            elif kind in ("xt", "limit", "quota", "connlimit", "ct count", "synproxy", "queue"):
                self._doubt(rule)
                return None
        return None

    def _doubt(self, rule: Json) -> None:
        """Set ``is_certain`` to False if the rule may let the packet pass.

        The caller does not know whether the rule matches the packet, or what its target does.
        """
        if self._strict and any(_may_let_pass(kind, body) for kind, body in rule["expr"][-1].items()):
            self.is_certain = False

    def _looked_up(self, body: Json) -> tuple[str, str] | None:
        value = self._value(body["key"])
        data = body["data"]
        pairs = self._table.sets.get(data[1:], []) if isinstance(data, str) else data.get("set", [])
        if value is None or (self._strict and len(pairs) > STRICT_ELEMENTS_LIMIT):
            self.is_certain = not self._strict
            return None
        for key, verdict in pairs:
            matches = self._is_in(value, [key])
            if matches is True:
                (word, target), *_ = verdict.items()
                return (word, (target or {}).get("target", "")) if word != "continue" else None
            self.is_certain &= matches is False or not self._strict
        return None

    def _matches(self, body: Json) -> bool | None:
        left, right, negated = body["left"], body["right"], body["op"] == "!="
        value = self._value(left)
        if value is False:
            return False  # without the compared field, a packet matches neither "==" nor "!="
        if body["op"] in ORDER and type(value) is int and type(right) is int:
            return ORDER[body["op"]](value, right)
        if body["op"] not in ("==", "!=", "in") or value is None:
            return None
        options = (
            self._table.sets.get(right[1:], []) if isinstance(right, str) and right[:1] == "@" else options_of(right)
        )
        return turned(self._is_in(value, options), negated)

    def _is_in(self, value: Any, options: Sequence[Any]) -> bool | None:
        if self._strict and len(options) > STRICT_ELEMENTS_LIMIT:
            return None
        self._steps += len(options)
        return any_of(is_equal(value, option) for option in options)

    def _value(self, left: Any) -> Any:
        """Return the packet's value for the left side of a match, such as the source address for ``ip saddr``.

        Returns None if the value is unknown, and False if the packet has no such field.
        """
        if not isinstance(left, dict):
            return None
        kind: str
        body: Any
        (kind, body), *_ = left.items()
        if kind == "payload":
            return self._payload(body.get("protocol", ""), body.get("field", ""))
        if kind == "meta":
            return self._meta(body.get("key", ""))
        if kind == "ct" and body.get("key") == "state":
            return self._packet.state
        if kind == "ct" and body.get("key") == "status":
            return "dnat" if self._packet.dnat else "confirmed"
        if kind == "concat":
            values = [self._value(part) for part in body]
            return None if None in values else values
        return None

    def _payload(self, protocol: str, field: str) -> Any:
        packet = self._packet
        if protocol in ("ip", "ip6"):
            if (protocol == "ip6") != (packet.version == 6) or packet.protocol == ARP:
                return False
            return {
                "saddr": packet.source,
                "daddr": packet.destination,
                "protocol": packet.l4,
                "nexthdr": packet.l4,
            }.get(field)
        if protocol in ("tcp", "udp", "th") and field in ("dport", "sport"):
            port = packet.port if field == "dport" else packet.source_port
            return (port or None) if protocol in ("th", packet.protocol) else False
        if protocol in ("tcp", "udp", "sctp") and protocol != packet.protocol:
            return False
        if (protocol, field) in (("icmp", "type"), ("icmpv6", "type"), ("arp", "operation")):
            if packet.protocol not in ICMP_TYPES or (protocol == "arp") != (packet.protocol == ARP):
                return False
            if (protocol == "icmpv6") != (packet.version == 6):
                return False
            return ICMP_TYPES[packet.protocol][packet.state == "established"]
        if protocol == "arp":
            return {"saddr ip": packet.source, "daddr ip": packet.destination}.get(field)
        if protocol == "ether" and field == "type":
            return packet.ether_type
        return None

    def _meta(self, key: str) -> Any:
        packet = self._packet
        return {
            "iifname": packet.received, "oifname": packet.sent, "iif": packet.received, "oif": packet.sent,
            "l4proto": packet.l4, "nfproto": f"ipv{packet.version}", "protocol": packet.ether_type,
            "mark": None if self._strict else 0,
        }.get(key)  # fmt: skip


def _statement_of(target: Json) -> str:
    """Return the nftables statement that has the same effect as an iptables-nft target.

    The result is a statement for address translation (`TARGETS`) or "notrack". It is "" for all other targets.
    """
    if target["name"] == "CT" and int.from_bytes(target["info"][:2], sys.byteorder) & WITHOUT_TRACKING:
        return "notrack"
    return TARGETS.get(target["name"], "")


def _may_let_pass(kind: str, body: Any) -> bool:
    """Return whether the packet may pass after a rule that ends with this statement.

    ``kind`` is the statement's name in nftables' JSON form, such as "accept", and ``body`` is its content.
    """
    return kind in LETTING_PASS or (kind == "xt" and body.get("type") != "match" and body.get("name") not in STAYING)
