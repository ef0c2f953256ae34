"""hawse's own netlink messages change set elements with the same result as the program nft.

Each change is applied completely or not at all.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from drivers.errors import NoPermission
from drivers.firewall import proxy_redirect, table, table_repair, transaction
from drivers.firewall.elements import Element
from drivers.linux import libnftables
from drivers.linux import netns as namespaces
from drivers.linux.netlink import Session
from tests.installation import CHECKOUT

pytestmark = pytest.mark.netns

OF_EVERY_SET = [
    Element("bridges", '"br-1"'),
    Element("internal", '"br-1"'),
    Element("same_bridge", '"br-1" . "br-1"', "accept"),
    Element("same_bridge", '"br-2" . "br-2"', "goto no_icc"),
    Element("members4", '172.18.0.0/16 . "br-1"'),
    Element("members4", '172.19.0.1-172.19.0.9 . "br-1"'),
    Element("members4", '172.20.0.0 . "br-1"'),
    Element("members6", 'fd00:1::/64 . "br-1"'),
    Element("members6", 'fd00:2::2-fd00:2::ffff . "br-1"'),
    Element("subnets4", "172.18.0.0/16 . ipv4"),
    Element("subnets6", "fd00:1::/64 . ipv6"),
    Element("masqueraded", '"br-1" . ipv4'),
    Element("source4", '"br-1"', "10.0.0.1"),
    Element("gateways4", "172.18.0.1"),
    Element("gateways6", "fd00:1::1"),
    Element("source6", '"br-1"', "fd00::1"),
    Element("exact4", "127.0.0.1 . tcp . 80", "172.18.0.2 . 8080"),
    Element("exact6", "fd00::9 . udp . 80", "fd00:1::2 . 81"),
    Element("any4", "tcp . 80", "172.18.0.2 . 80"),
    Element("any6", "sctp . 80", "fd00:1::2 . 80"),
    Element("range4", "0.0.0.0/0 . tcp . 8000-8010", "172.18.0.2"),
    Element("range6", "::/0 . udp . 8000-8010", "fd00:1::2"),
    Element("relayed_any", "tcp . 80"),
    Element("relayed", "::1 . tcp . 80"),
    Element("relayed", "fe80::/10 . tcp . 80-90"),
    Element("relay", "tcp", "4711"),
    Element("relay_sockets", "udp . 4711"),
    Element("open4", "172.18.0.2 . tcp . 80"),
    Element("open6", "fd00:1::2 . tcp . 80"),
    Element("open_range4", "172.18.0.2 . tcp . 80-90"),
    Element("open_range6", "fd00:1::2 . tcp . 80-90"),
    Element("unprotected", '"br-1" . ipv6'),
    Element("trusted", '"eth0" . "br-1"'),
    Element("bound4", "172.18.0.2 . tcp . 80"),
    Element("bound6", "fd00:1::2 . udp . 80-90"),
    Element("siblings4", '172.19.0.2 . "br-1"'),
    Element("siblings6", 'fd00:2::2 . "br-1"'),
    Element("tunnels", "4789 . 4097"),
    Element("tunnel_peers4", "192.168.99.12 . 4789 . 4097"),
    Element("tunnel_peers6", "fd99::12 . 4789 . 16777215"),
    Element("pingable", '"br-1" . icmp'),
    Element("pingable", '"br-1" . ipv6-icmp'),
    Element("linked4", "172.18.0.2 . 172.18.0.3 . tcp . 80"),
    Element("linked6", "fd00::2 . fd00::3 . tcp . 80-81"),
    Element("forwarding", "ipv4"),
    Element("router_advertisements", '"eth0"'),
    Element(table.VERSION_SET, "5"),
]


@pytest.fixture
def there(netns):
    """Return a function that runs another function in a network namespace. This namespace has hawse's nftables table,
    without elements.
    """

    def do(action):
        return namespaces.run_in_netns(netns.path, action)

    do(lambda: libnftables.run(table.install_script()))
    return do


def test_an_element_of_every_set_is_added_and_read_back(there):
    there(lambda: table.change(add=OF_EVERY_SET))
    assert sorted(there(table.elements)) == sorted(OF_EVERY_SET)
    there(lambda: libnftables.run(table_repair.script(table.TABLE, [], OF_EVERY_SET)))
    assert there(table.elements) == []


def test_elements_that_nft_has_added_are_removed(there):
    there(lambda: libnftables.run(table_repair.script(table.TABLE, OF_EVERY_SET)))
    there(lambda: table.change(remove=OF_EVERY_SET))
    assert there(table.elements) == []


def test_no_element_is_added_if_one_is_refused(there):
    overlapping = [Element("range4", f"0.0.0.0/0 . tcp . {ports}", "172.18.0.2") for ports in ("80-90", "85-95")]
    with pytest.raises(libnftables.Refused) as refused:
        there(lambda: transaction.change(table.TABLE, [Element("bridges", '"br-1"'), *overlapping], []))
    assert refused.value.taken
    assert there(table.elements) == []


def test_the_sockets_of_relayed_ports_are_read_back(there):
    there(lambda: proxy_redirect.redirect_to({"tcp": 4711, "udp": 4712}))
    assert there(proxy_redirect.sockets) == {("tcp", 4711), ("udp", 4712)}
    there(lambda: proxy_redirect.redirect_to({"udp": 4713}))
    assert there(proxy_redirect.sockets) == {("udp", 4713)}
    there(table.remove_all)
    assert there(proxy_redirect.sockets) == set()


def test_a_missing_table_is_reported(netns):
    with pytest.raises(libnftables.Refused) as refused:
        namespaces.run_in_netns(netns.path, lambda: transaction.change(table.TABLE, [Element("bridges", '"br-1"')], []))
    assert refused.value.nothing_there


def test_tens_of_thousands_at_once(there):
    many = [
        Element("exact4", f"127.0.0.{n} . tcp . {port}", "172.18.0.2 . 80") for n in (1, 2) for port in range(1, 9999)
    ]
    there(lambda: table.change(add=many))
    assert len(there(table.elements)) == len(many)
    there(lambda: table.change(remove=many))
    assert there(table.elements) == []


THOUSANDS = """
from drivers.firewall import table
from drivers.firewall.elements import Element

table.change(add=[Element("bridges", '"br-1"')])
table.change(add=[Element("any4", f"tcp . {port}", "172.18.0.2 . 80") for port in range(1, 3001)])
print(len(table.elements()))
"""


def test_thousands_at_once_by_the_root_of_a_user_namespace():
    command = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", THOUSANDS]
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
    assert (result.stdout, result.stderr) == ("3001\n", "")


def test_a_missing_right_is_reported_as_operation_not_permitted(there, monkeypatch):
    def refused(*_):
        raise PermissionError(1, "refused by the kernel")

    monkeypatch.setattr(Session, "request_all", refused)
    with pytest.raises(NoPermission, match="Operation not permitted"):
        there(lambda: table.change(remove=OF_EVERY_SET))
