"""Repair of the kernel objects that bridge networks share.

Changes that another program makes in these objects are found, named and repaired.
"""

from __future__ import annotations

import socket

import pytest

from drivers.firewall import forwarding, table, table_repair, table_structure, transaction, vxlan_guard
from drivers.firewall.elements import Element
from drivers.firewall.encoding import shapes
from tests.netns.drivers.conftest import a_socket

pytestmark = pytest.mark.netns

GUARD, NO_ICC = "com.hawse.bridge.spoof_guard", "com.docker.network.bridge.enable_icc"
FOREIGN = {
    "ifname": '"evil0"', "nf_proto": "ipv6", "ipv4_addr": "10.9.8.7", "ipv6_addr": "fd09::7", "inet_proto": "icmp",
    "inet_service": "9", "mark": "7", "verdict": "accept",
}  # fmt: skip
"""One value of each data type that the firewall's sets use. These values act as another program's elements, because no
network of these tests uses them.
"""
NOT_JUDGED = (*forwarding.STATE_SETS, *vxlan_guard.STATE_SETS)
"""Sets that the repair ignores: the sets that record which kernel settings hawse switched on, and the sets of the
overlay driver.
"""
TAMPERED = {
    "a rule is removed": "nft delete rule inet hawse forward handle $(nft -a list chain inet hawse forward | sed -n "
    "'s/.*oifname @internal drop # handle //p')",
    "a rule is added": "nft insert rule inet hawse forward accept",
    "a chain is emptied": "nft flush chain inet hawse forward",
    "all rules are removed": "nft flush table inet hawse",
    "two rules change places": "nft replace rule inet hawse no_icc handle $(nft -a list chain inet hawse no_icc | "
    "sed -n 's/.*ct status dnat accept # handle //p') ct state established,related accept",
    "an anonymous set is another": "nft replace rule bridge hawse ipv6_sender handle $(nft -a list chain bridge hawse "
    "ipv6_sender | sed -n 's/.*nd-router-advert.* # handle //p') icmpv6 type { nd-redirect, nd-router-solicit } drop",
    "a chain is removed": "nft flush chain inet hawse loopback_guard; nft delete chain inet hawse loopback_guard",
    "a chain is added": "nft 'add chain inet hawse evil { type filter hook forward priority 0; policy drop; }'",
    "a policy changes": "nft 'chain inet hawse forward { policy drop; }'",
    "a set is added": "nft 'add set inet hawse evil { type ifname; }'",
    "a set is of another type": "nft 'flush table inet hawse; delete set inet hawse bridges'; "
    "nft 'add set inet hawse bridges { type ipv4_addr; }'",
    "the table sleeps": "nft 'add table inet hawse { flags dormant; }'",
    "the table is removed": "nft delete table inet hawse",
    "the spoof guard's table is removed": "nft delete table bridge hawse",
    "everything is removed": "nft flush ruleset",
}


@pytest.fixture
def scenario(lab):
    """Create networks of several kinds, a link between containers (option --link) and a port with the spoof guard.

    Return the arguments that `Lab.repair` needs.
    """
    n1 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64", options={GUARD: "true"})
    n2 = lab.network("n2", "172.31.0.0/16", options={NO_ICC: "false"})
    n3 = lab.network("n3", "172.32.0.0/16", internal=True)
    ports = [lab.binding(8080, 80), lab.binding(7000, 7000, host_port_end=7010, port_end=7010)]
    web, hidden = lab.container(n1, 2, ports), lab.container(n3, 2)
    source, target = lab.container(n2, 2), lab.container(n2, 3, exposed=(("tcp", 80, 80),))
    lab.on_host(lambda: lab.driver.link(n2, source.endpoint, target.endpoint))
    members = [(n1, [web.endpoint]), (n2, [source.endpoint, target.endpoint]), (n3, [hidden.endpoint])]
    fields = {"links": [(source.endpoint, target.endpoint)], "saved_state": lab.on_host(lab.driver.saved_state)}
    lab.repair(members, **fields)
    return members, fields


def state(lab):
    """Return the rules and chains of hawse's two nftables tables, and the elements of the sets in sorted order."""
    structures = {t: lab.on_host(lambda: table_structure.find(t)) for t in ("inet hawse", "bridge hawse")}  # noqa: B023
    return structures, {t: sorted(lab.on_host(lambda: table_repair.held(t))) for t in structures}  # noqa: B023


def test_an_undamaged_host_has_no_differences(lab, scenario):
    members, fields = scenario
    assert lab.repair(members, **fields) == []
    assert lab.repair(members, relay={}, **fields) == []


@pytest.mark.parametrize("damage", TAMPERED.values(), ids=TAMPERED)
def test_damage_to_rules_is_found_and_put_right(lab, scenario, damage):
    members, fields = scenario
    before = state(lab)
    lab.host.sh(damage)
    assert state(lab) != before
    differences = lab.repair(members, **fields)
    assert any(difference.opens for difference in differences), differences
    assert lab.repair(members, **fields) == []
    assert state(lab) == before


def test_foreign_elements_are_removed_from_every_set(lab, scenario):
    members, fields = scenario
    before = state(lab)
    for set_name, shape in shapes().items():
        if set_name in (table.VERSION_SET, *NOT_JUDGED):
            continue
        key, value = (" . ".join(FOREIGN[kind] for kind in kinds) for kinds in (shape.key, shape.value))
        lab.host.sh(f"nft 'add element inet hawse {set_name} {{ {key}{f' : {value}' if value else ''} }}'")
        (difference,) = lab.repair(members, relay={}, **fields)
        assert (difference.kind, difference.place) == ("foreign", f"inet hawse {set_name}")
        assert difference.what.startswith(key)
    assert state(lab) == before


def test_each_missing_element_is_restored_without_other_changes(lab, scenario):
    members, fields = scenario
    before = sorted(lab.elements())
    for element in before:
        if element.set in NOT_JUDGED:
            continue
        lab.host.sh(f"nft 'delete element inet hawse {element.set} {{ {element.key} }}'")
        (difference,) = lab.repair(members, **fields)
        assert (difference.kind, difference.place, difference.detail) == (
            "missing",
            f"inet hawse {element.set}",
            element,
        )
        assert difference.opens == (element.set in table_repair.RESTRICTING)
    assert sorted(lab.elements()) == before


def test_enabled_forwarding_is_recorded_again_after_a_flush(lab, scenario):
    members, fields = scenario
    lab.host.sh("nft flush ruleset")
    lab.repair(members, **fields)
    assert Element("forwarding", "ipv4") in lab.elements()


def test_a_changed_element_gets_its_value_again(lab, scenario, peer):
    members, fields = scenario
    lab.host.sh("nft 'delete element inet hawse any4 { tcp . 8080 }; "
                "add element inet hawse any4 { tcp . 8080 : 172.31.0.2 . 80 }'")  # fmt: skip
    differences = lab.repair(members, **fields)
    assert sorted(difference.kind for difference in differences) == ["foreign", "missing"]
    assert Element("any4", "tcp . 8080", "172.30.0.2 . 80") in lab.elements("any4")


def test_a_foreign_range_that_overlaps_ours_is_removed_first(lab, scenario):
    members, fields = scenario
    before = sorted(lab.elements())
    lab.host.sh(
        "nft 'flush map inet hawse range4; add element inet hawse range4 { 0.0.0.0/0 . tcp . 7005-7020 : 10.9.8.7 }'"
    )
    lab.host.sh("nft flush chain inet hawse forward")
    lab.repair(members, **fields)
    assert sorted(lab.elements()) == before


def test_sets_that_the_agent_fills_are_compared_only_by_the_agent(lab, scenario):
    members, fields = scenario
    carried = {"tcp": 40000}
    lab.repair(members, relay=carried, **fields)
    assert Element("relay", "tcp", "40000") in lab.elements("relay")
    assert lab.repair(members, **fields) == [], "a command does not know them"
    assert {d.kind for d in lab.repair(members, relay={}, **fields)} == {"foreign"}
    assert lab.elements("relay") == lab.elements("relay_sockets") == []


@pytest.mark.parametrize("version, kind", [(1, "changed"), (999, "superseded")])
def test_a_table_of_another_version_is_replaced_and_its_saved_state_is_kept(lab, scenario, version, kind):
    members, fields = scenario
    before = state(lab)
    lab.host.sh(
        f"nft 'delete set inet hawse {table.VERSION_SET}; add set inet hawse ruleset_{version} {{ type mark; }}; "
        "add element inet hawse router_advertisements { x0 }'"
    )
    differences = lab.repair(members, links=fields["links"])
    assert kind in {difference.kind for difference in differences}
    assert Element("router_advertisements", '"x0"') in lab.elements()
    assert Element("forwarding", "ipv4") in lab.elements()
    lab.host.sh("nft 'delete element inet hawse router_advertisements { x0 }'")
    assert state(lab) == before


def test_connections_go_on_while_the_whole_table_is_made_new(lab, scenario, peer):
    members, fields = scenario
    with a_socket(f"/run/netns/{lab.namespaces[0]}", socket.AF_INET, "tcp") as server:
        server.bind(("0.0.0.0", 80))
        server.listen()
        client = lab.client(peer, "192.168.99.11", 8080)
        channel, _ = server.accept()
    with client, channel:
        lab.host.sh("nft 'add chain inet hawse evil { type filter hook forward priority 0; }'")
        lab.repair(members, **fields)
        client.sendall(b"word")
        channel.settimeout(5)
        assert channel.recv(10) == b"word"


def test_a_repair_changes_only_the_elements_that_differ(lab, scenario, monkeypatch):
    members, fields = scenario
    changed, made = [], transaction._transaction
    monkeypatch.setattr(transaction, "_transaction", lambda messages: changed.append(messages) or made(messages))
    lab.host.sh("nft 'delete element inet hawse any4 { tcp . 8080 }'")
    lab.repair(members, **fields)
    assert [len(messages) for messages in changed] == [1]
