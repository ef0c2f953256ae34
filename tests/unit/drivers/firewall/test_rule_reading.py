"""A strict reading of firewall rules reports a drop only if the packet certainly reaches the rule that drops it.

A drop is not certain after a rule whose target may accept the packet.
"""

from ipaddress import ip_address

import pytest

from drivers.firewall import rule_reading
from drivers.firewall.packets import Packet
from drivers.firewall.rule_reading import find_drops, read
from drivers.firewall.xt_expressions import Expression

PACKET = Packet("tcp", ip_address("172.31.0.3"), ip_address("172.31.0.2"), 0)
CHAIN = {"name": "FORWARD", "hook": "forward", "type": "filter", "prio": 0}
PORT = {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 80}}


def target(name: str, kind: str = "target") -> dict[str, object]:
    return {"xt": {"type": kind, "name": name}}


@pytest.mark.parametrize(
    ("statements", "is_proven"),
    [
        ([target("NFQUEUE")], False),
        ([PORT, target("NFQUEUE")], False),
        ([{"synproxy": {"mss": 1460}}], False),
        ([PORT, {"synproxy": {"mss": 1460}}], False),
        ([target("ttl", "match"), {"accept": None}], False),
        ([target("ttl", "match"), target("REJECT")], True),
        ([target("ttl", "match")], True),
        ([target("LOG")], True),
        ([PORT, target("MARK")], True),
    ],
)
def test_which_targets_leave_a_later_drop_certain(monkeypatch, statements, is_proven):
    rules = [
        {"rule": {"chain": "FORWARD", "handle": n, "expr": e}} for n, e in ((1, statements), (2, [{"drop": None}]))
    ]
    listed = {"table ip filter": [{"chain": CHAIN}, *rules]}
    monkeypatch.setattr(rule_reading.table_structure, "handles", lambda: {("ip", "filter"): 1})
    monkeypatch.setattr(rule_reading.libnftables, "listing_of_others", listed.__getitem__)
    expressions = [Expression(xt["type"], xt["name"], b"") for s in statements if (xt := s.get("xt"))]
    monkeypatch.setattr(rule_reading.xt_expressions, "read_rules", lambda *_: {1: expressions})
    assert bool(list(find_drops(read(), [("forward", PACKET)], strict=True))) == is_proven
