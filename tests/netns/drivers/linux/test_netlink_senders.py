"""A process with CAP_NET_ADMIN in a namespace sends netlink messages to the sockets of hawse in this namespace.

hawse must read only the kernel's messages.
"""

from __future__ import annotations

import socket
import struct

import pytest

from drivers.firewall import resolver_redirect
from drivers.firewall.notifications import GROUP, NEW_GENERATION, NftablesListener
from drivers.firewall.resolver_redirect import RedirectWatch
from drivers.linux import link_notifications, netlink
from drivers.linux import netns as namespaces
from drivers.linux.link_notifications import LINKS, SANDBOX, LinkListener
from drivers.linux.netlink import ERROR, HEADER, Session
from drivers.linux.nfnetlink import NETFILTER

pytestmark = pytest.mark.netns

NEW_LINK, UNKNOWN = 16, 99
ENDLESS = struct.pack("=IHHII", 0, UNKNOWN, 0, 0, 0) + bytes(64)  # a message whose header says that its length is 0


def within(netns, action):
    return namespaces.run_in_netns(netns.path, action)


def forged(netns, protocol: int, data: bytes, *, port: int = 0, group: int = 0) -> None:
    """Send data to a port or to a multicast group of netlink sockets in a namespace."""
    with within(netns, lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)) as sender:
        sender.sendto(data, (port, 1 << (group - 1) if group else 0))


def port_of(reader) -> int:
    return reader._socket.getsockname()[0]


@pytest.fixture(params=[LinkListener, RedirectWatch, NftablesListener])
def listener(request, netns):
    arguments = (SANDBOX,) if request.param is LinkListener else ()
    made = within(netns, lambda: request.param(*arguments))
    yield made
    made.close()


def test_messages_of_another_process_to_a_listener_are_ignored(netns, listener):
    is_link = isinstance(listener, LinkListener)
    protocol, group = (socket.NETLINK_ROUTE, LINKS[0]) if is_link else (NETFILTER, GROUP)
    before = listener.read()
    changed = HEADER.pack(36, NEW_LINK if is_link else NEW_GENERATION, 0, 0, 0) + bytes(20)
    table = f"{resolver_redirect.TABLE}\0".encode().ljust(20, b"\0")
    for data in (ENDLESS, HEADER.pack(36, UNKNOWN, 0, 0, 0) + table, changed):
        with pytest.raises(ConnectionRefusedError):
            forged(netns, protocol, data, port=port_of(listener))
        forged(netns, protocol, data, group=group)
    assert listener.read() == before
    netns.sh("ip link add new type bridge; nft add table ip hawse_resolver; nft add table inet hawse")
    assert listener.read() != before


def test_an_answer_of_another_process_to_a_request_is_refused(netns):
    session = within(netns, Session)
    answer = HEADER.pack(20, ERROR, 0, 1, 0) + bytes(4)
    for data in (ENDLESS, answer):
        with pytest.raises(ConnectionRefusedError):
            forged(netns, socket.NETLINK_ROUTE, data, port=port_of(session))
    assert len(session.dump(18, link_notifications.LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0))) == 1
    session.close()


def test_a_message_without_length_ends_the_reading():
    assert list(netlink.messages(ENDLESS)) == []
    assert list(link_notifications.decoded(ENDLESS)) == []


def test_very_many_notifications_are_read_in_parts(netns, tmp_path):
    """Because a container may send notifications without end, other handlers must be called in between."""
    listener = within(netns, lambda: LinkListener(SANDBOX, 1 << 24))
    routes = "".join(f"route add 10.{n >> 8}.{n & 255}.0/24 dev lo\n" for n in range(2 * link_notifications.READS))
    (tmp_path / "routes").write_text(routes)
    netns.run("ip", "-batch", str(tmp_path / "routes"))
    first, lost = listener.read()
    second, _ = listener.read()
    assert (len(first), len(second), lost) == (link_notifications.READS, link_notifications.READS, False)
    listener.close()
