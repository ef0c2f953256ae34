"""When `link.delete` returns, the link's name is free.

The function deletes links only in the network namespace of its netlink session.
"""

from __future__ import annotations

import _thread
import os
import subprocess
import sys
import time

import pytest
from pyroute2.netlink.rtnl import RTM_DELLINK

from drivers.errors import KernelError
from drivers.linux import link, netlink, netns

pytestmark = pytest.mark.netns

LOOPBACK = 1
NETWORK_ADMIN = ("setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin")


@pytest.fixture
def session(host):
    with netns.netns_fd(host.path) as fd, netns.enter_netns(fd), netlink.Session() as opened:
        yield opened


def test_a_name_is_free_as_soon_as_its_link_is_deleted(session):
    for _ in range(5):
        link.add(session, "br1", "bridge")
        made = link.find(session, "br1")
        assert (made.kind, made.index) == ("bridge", session.index("br1"))
        link.delete(session, "br1")
        assert session.index("br1") == link.index("br1") == 0
    link.delete(session, "br1")


@pytest.mark.parametrize("name", ["br1", os.fsdecode(b"br\xff")])
def test_a_link_is_found_by_its_index(host, session, name):
    subprocess.run(["ip", "-n", host.name, "link", "add", name, "type", "bridge"], check=True)
    index = next(found.index for found in link.all_links(session) if found.kind == "bridge")
    assert link.at(session, index).name == name
    assert link.at(session, 0) is link.at(session, index + 1000) is None


def test_deleting_a_missing_link_never_deletes_a_later_link_of_that_name(session):
    for _ in range(50):
        link.delete(session, "br1")
        link.add(session, "br1", "bridge")
        time.sleep(0.002)
        assert session.index("br1")
        link.delete(session, "br1")


def test_a_deletion_does_not_wait_until_the_kernel_has_forgotten_the_link(session, monkeypatch):
    """The deletion of a link does not wait until the kernel has freed the link's memory.

    Freeing the memory takes one or two RCU grace periods.
    """
    answered = []
    request = netlink.Session.request

    def counted(*args):
        answers = request(*args)
        answered.append(args[1])
        return answers

    def outpaces_the_answer():
        link.add(session, "br1", "bridge")
        link.change(session, session.index("br1"), state="up")
        answered.clear()
        link.delete(session, "br1")
        return RTM_DELLINK not in answered

    monkeypatch.setattr(netlink.Session, "request", counted)
    assert any(outpaces_the_answer() for _ in range(20))  # repeat: on a slow machine some tries fail


def test_a_refused_deletion_says_so(session):
    with pytest.raises(KernelError, match=r"^delete link lo: operation not supported$"):
        link.delete(session, "lo")
    assert link.find(session, "lo").index == LOOPBACK


def test_a_name_too_long_for_a_link_is_not_cut_to_another_links_name(session):
    link.add(session, "abcdefghijklmno", "bridge")
    link.delete(session, "abcdefghijklmnop")
    assert session.index("abcdefghijklmnop") == 0 != session.index("abcdefghijklmno")


def test_a_link_is_deleted_even_if_no_thread_can_start(session, monkeypatch):
    def full(*_args):
        raise RuntimeError("can't start new thread")

    link.add(session, "br1", "bridge")
    monkeypatch.setattr(_thread, "start_new_thread", full)
    link.delete(session, "br1")
    with pytest.raises(KernelError, match=r"^delete link lo: operation not supported$"):
        link.delete(session, "lo")
    assert not session.index("br1")


def test_a_network_is_created_and_removed_with_cap_net_admin_alone(host):
    """``network create`` and ``rm`` work without CAP_SYS_ADMIN.

    To delete a link, hawse opens a second netlink socket in the network namespace of the first socket. Usually this is
    the current namespace, so hawse need not enter it. Only entering another namespace needs CAP_SYS_ADMIN.
    """
    for verb in ("create", "rm"):
        host.run(*NETWORK_ADMIN, sys.executable, "-m", "cli", "network", verb, "app", env=host.env())
    assert not [name for name in host.sh("ls /sys/class/net").split() if name.startswith("br-")]


def test_a_session_stays_in_its_namespace_wherever_the_thread_is(session):
    with netns.new_netns():
        link.add(session, "br1", "bridge")
        link.add(session, "br2", "bridge", br_mcast_snooping=0)
        assert (link.index("br1"), link.index("br2")) == (0, 0)
        assert session.index("br1") and session.index("br2")
        link.add(netlink.Session(), "br1", "bridge")
        link.delete(session, "br1")
        assert link.index("br1") and not session.index("br1")
    assert {interface.name for interface in link.all_links(session)} >= {"lo", "ext0", "br2"}


def test_both_ends_of_a_veth_pair_are_set_up_and_deleted(session):
    link.add_veth(session, "v1", {"ifname": "v2", "address": "02:42:00:00:00:01", "mtu": 1400}, mtu=1400)
    far = link.find(session, "v2")
    assert (far.mac, far.mtu, far.up, far.kind) == ("02:42:00:00:00:01", 1400, False, "veth")
    link.change(session, far.index, state="up", ifalias="mark")
    assert (link.find(session, "v2").alias, link.find(session, "v2").up) == ("mark", True)
    link.delete(session, "v1")
    assert session.index("v2") == 0


def test_many_links_are_deleted_by_one_request_and_others_stay(session, monkeypatch):
    names = [f"br{number}" for number in range(6)]
    for name in (*names, "other"):
        link.add(session, name, "bridge")
    requests = []
    send = netlink.Session.request_until_visible
    monkeypatch.setattr(netlink.Session, "request_until_visible", lambda *args: requests.append(args[1]) or send(*args))
    link.delete_all(session, [*names, "missing"])
    assert not any(map(session.index, names))
    assert session.index("other")
    assert requests == [RTM_DELLINK]
    link.delete_all(session, [*names, "other"])
    assert not session.index("other")
