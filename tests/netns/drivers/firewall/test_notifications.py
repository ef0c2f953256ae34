"""The kernel's notifications about changes of hawse's nftables tables.

Each notification names the program that made the change. hawse notices when notifications are lost.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

from drivers.firewall import notifications, table
from drivers.firewall.elements import Element
from drivers.firewall.notifications import NftablesListener
from drivers.linux import libnftables
from drivers.linux import netns as namespaces
from drivers.linux.netlink import FORCING, SOL_NETLINK
from drivers.model import News
from tests.installation import CHECKOUT

pytestmark = pytest.mark.netns

OTHERS = (
    "add table inet other; add set inet other s { type inet_service; }; add set inet other hawse { type ipv4_addr; }"
)
NOTHING = News()


@pytest.fixture
def place(netns) -> Iterator:
    """A network namespace with hawse's nftables table, another program's table, and a listener for change
    notifications.
    """
    namespaces.run_in_netns(netns.path, lambda: libnftables.run(table.install_script()))
    netns.sh(f"nft '{OTHERS}'")
    netns.listener = namespaces.run_in_netns(netns.path, NftablesListener)
    yield netns
    netns.listener.close()


def change(place, **changes) -> None:
    namespaces.run_in_netns(place.path, lambda: table.change(**changes))


def test_no_change_gives_no_notification(place):
    assert place.listener.read() == NOTHING
    assert not place.listener.missed()


@pytest.mark.parametrize(
    ("script", "lost"),
    [
        ("add element inet hawse bridges { x }", False),
        ("add element inet hawse bridges { x }; delete element inet hawse bridges { x }", True),
        ("flush chain inet hawse forward", True),
        ("insert rule inet hawse forward accept", True),
        ("delete table inet hawse", True),
        ("add table inet hawse { flags dormant; }", True),
        ("flush ruleset", True),
        ("add table bridge hawse", True),
        ("add element inet other s { 80 }; add element inet hawse bridges { x }", False),
    ],
)
def test_changes_of_another_program_are_reported_with_its_name(place, script, lost):
    place.sh(f"nft '{script}'")
    news = place.listener.read()
    assert (news.foreign, news.lost, news.by_hawse) == (True, lost, False)
    assert news.by.startswith("nft (")
    assert place.listener.read() == NOTHING


@pytest.mark.parametrize(
    "script",
    [
        "add element inet other s { 80 }",
        "add element inet other hawse { 10.0.0.1 }",
        "add table inet hawse2; add chain inet hawse2 hawse; add rule inet hawse2 hawse accept",
        "add table ip hawse",
        "delete table inet other",
    ],
)
def test_changes_of_other_tables_are_not_reported(place, script):
    place.sh(f"nft '{script}'")
    assert place.listener.read() == NOTHING
    assert not place.listener.missed()


IN_A_CONTAINER = """
import subprocess
from drivers.firewall.notifications import NftablesListener
from drivers.linux import libnftables
listener = NftablesListener()
libnftables.run("add element inet hawse bridges { x }")
print(listener.read())
subprocess.run(["nft", "add element inet hawse bridges { y }"], check=True)
print(listener.read())
"""


def test_a_process_in_a_pid_namespace_of_its_own_recognises_its_own_changes(place):
    """The kernel reports a thread's id in the machine's first PID namespace, which a container does not know."""
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", IN_A_CONTAINER]
    reported = place.run(*command, cwd=CHECKOUT).stdout.splitlines()
    assert reported == [str(News(by_hawse=True)), str(News(foreign=True, by="nft"))]


def test_hawses_own_changes_are_recognised(place):
    change(place, add=[Element("bridges", '"br-1"')])
    change(place, remove=[Element("bridges", '"br-1"')])
    assert place.listener.read() == News(by_hawse=True)
    place.sh("nft flush chain inet hawse forward")
    change(place, add=[Element("bridges", '"br-1"')])
    news = place.listener.read()
    assert (news.foreign, news.lost, news.by_hawse) == (True, True, True)


def test_thousands_of_elements_of_another_program_are_passed_over(place):
    for start in range(0, 60000, 20000):
        elements = ", ".join(map(str, range(start + 1, start + 20001)))
        place.run("nft", "-f", "-", stdin=None, input=f"add element inet other s {{ {elements} }}\n")
        assert place.listener.read() == NOTHING


def test_lost_notifications_count_as_a_foreign_change(place):
    place.listener._socket.setsockopt(socket.SOL_SOCKET, FORCING[socket.SO_RCVBUF], 1)
    elements = ", ".join(map(str, range(1, 3000)))
    place.run("nft", "-f", "-", stdin=None, input=f"add element inet other s {{ {elements} }}\n")
    assert place.listener.read().foreign
    assert place.listener.read() == NOTHING
    assert not place.listener.missed()


def test_a_change_without_notification_is_noticed_once(place):
    place.listener._socket.setsockopt(SOL_NETLINK, 2, notifications.GROUP)  # option 2: NETLINK_DROP_MEMBERSHIP
    place.sh("nft flush chain inet hawse forward")
    assert place.listener.read() == NOTHING
    assert place.listener.missed()
    assert not place.listener.missed()


def test_an_unread_notification_is_not_lost(place):
    place.sh("nft flush chain inet hawse forward")
    assert not place.listener.missed()
    assert place.listener.read().foreign
