"""The sysctl route_localnet is on only for bridges that have ports published on the host's loopback addresses.

The sysctl is switched off when the last of these ports is unpublished.
"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.netns

HOST = "192.168.99.11"
MODE = "com.docker.network.bridge.gateway_mode_ipv4"


def is_on(lab, network) -> bool:
    return lab.host.sh(f"cat /proc/sys/net/ipv4/conf/br-{network.id[:12]}/route_localnet").strip() == "1"


def test_it_is_off_without_ports(lab):
    n1 = lab.network("n1", "172.30.0.0/16")
    lab.container(n1, 2)
    assert not is_on(lab, n1)


@pytest.mark.parametrize("host_ip", ["0.0.0.0", "127.0.0.1", "127.0.0.5"])
def test_a_port_that_answers_at_loopback_switches_it_on(lab, host_ip):
    n1, n2 = lab.network("n1", "172.30.0.0/16"), lab.network("n2", "172.31.0.0/16")
    web = lab.container(n1, 2, [lab.binding(8080, 80, host_ip=host_ip)])
    lab.serve(web, 80)
    assert (is_on(lab, n1), is_on(lab, n2)) == (True, False)
    assert lab.ask(lab.host, host_ip if host_ip != "0.0.0.0" else "127.0.0.1", 8080) == "172.30.0.1"


@pytest.mark.parametrize(
    ("ports", "fields"),
    [
        ([HOST], {}),
        (["::"], {}),
        (["0.0.0.0"], {"options": {MODE: "routed"}}),
        (["127.0.0.1"], {"internal": True}),
    ],
    ids=["another address", "IPv6", "routed", "internal"],
)
def test_other_ports_leave_it_off(lab, ports, fields):
    n1 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64", **fields)
    lab.container(n1, 2, [lab.binding(8080, 80, host_ip=host_ip) for host_ip in ports])
    assert not is_on(lab, n1)


def test_it_is_off_again_after_the_last_port_and_not_before(lab):
    n1 = lab.network("n1", "172.30.0.0/16")
    web, db = (lab.container(n1, n, [lab.binding(8080 + n, 80)]) for n in (2, 3))
    lab.leave(web)
    assert lab.repair([(n1, [db.endpoint])], relay={})[-1:] == [] or is_on(lab, n1)
    lab.leave(db)
    differences = lab.repair([(n1, [])])
    assert [(d.kind, d.place) for d in differences if d.place == "route_localnet"] == [("upkeep", "route_localnet")]
    assert not is_on(lab, n1)


def test_it_stays_on_for_a_container_that_is_about_to_have_ports(lab):
    n1 = lab.network("n1", "172.30.0.0/16")
    web = lab.container(n1, 2, [lab.binding(8080, 80)])
    lab.repair([(n1, [])], unsettled=[(n1, [web.endpoint])])
    assert is_on(lab, n1)


def test_it_is_switched_on_again_after_another_program_switched_it_off(lab):
    n1 = lab.network("n1", "172.30.0.0/16")
    web = lab.container(n1, 2, [lab.binding(8080, 80)])
    lab.repair([(n1, [web.endpoint])])
    lab.host.sh(f"sysctl -qw net.ipv4.conf.br-{n1.id[:12]}.route_localnet=0")
    (difference,) = lab.repair([(n1, [web.endpoint])])
    assert (difference.kind, difference.place) == ("missing", "route_localnet")
    assert is_on(lab, n1)
