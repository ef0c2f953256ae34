"""IP forwarding is switched on although other processes change interfaces and sysctls at the same time."""

from __future__ import annotations

import os
import signal

import pytest

from drivers.firewall import forwarding, table
from drivers.firewall.elements import Element
from drivers.linux import netns as namespaces
from drivers.linux import persistent_netns, sysctl

pytestmark = pytest.mark.netns


def test_one_process_at_a_time_switches_forwarding_on(netns, tmp_path):
    """Two writers of net.ipv4.ip_forward at once can leave it on while it is off for every interface."""

    def switch_on() -> set[str | None]:
        forwarding.switch_on([Element("forwarding", "ipv4")], tmp_path)
        return {sysctl.read(key) for key in (forwarding.SWITCH[4], sysctl.conf("ipv4", "v0", "forwarding"))}

    netns.sh("ip link add v0 type veth peer name v1; sysctl -qw net.ipv4.ip_forward=0")
    with persistent_netns.directory_lock(tmp_path / "forwarding"):
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(1)
            namespaces.run_in_netns(netns.path, switch_on)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGALRM
        assert netns.sh("sysctl -n net.ipv4.ip_forward").strip() == "0"
    assert namespaces.run_in_netns(netns.path, switch_on) == {"1"}
    assert list(tmp_path.iterdir()) == []


def test_interfaces_forward_although_another_program_wrote_ip_forward_at_the_same_time(netns, tmp_path):
    """The host then has the sysctls that the test writes first."""

    def switch_on() -> set[str | None]:
        forwarding.switch_on([Element("forwarding", "ipv4")], tmp_path)
        keys = [sysctl.conf("ipv4", name, "forwarding") for name in ("all", "default", "v0", "v1")]
        return {sysctl.read(key) for key in (forwarding.SWITCH[4], *keys)}

    netns.sh("ip link add v0 type veth peer name v1; sysctl -qw net.ipv4.ip_forward=1")
    netns.sh("for i in default v0 v1; do sysctl -qw net.ipv4.conf.$i.forwarding=0; done")
    assert namespaces.run_in_netns(netns.path, switch_on) == {"1"}


def test_forwarding_is_switched_on_although_interfaces_have_changed_since_the_plan(netns, tmp_path):
    """Commands that create networks at the same time see each other's new bridges before accept_ra is off there."""

    def switch_on() -> list[str | None]:
        planned = forwarding.plan([6])
        netns.sh("ip link del gone; sysctl -qw net.ipv6.conf.muted.accept_ra=0")
        forwarding.switch_on(planned, tmp_path)
        keys = [sysctl.conf("ipv6", name, "accept_ra") for name in ("muted", "wire")]
        return [sysctl.read(key) for key in (forwarding.SWITCH[6], *keys)]

    netns.sh("for i in muted gone wire; do ip link add $i type bridge; done")
    assert namespaces.run_in_netns(netns.path, switch_on) == ["1", "0", "2"]


def test_an_accept_ra_that_was_changed_meanwhile_is_not_restored(netns, tmp_path):
    def switch_on_and_off() -> list[str | None]:
        planned = forwarding.plan([6])
        table.change(add=planned)
        forwarding.switch_on(planned, tmp_path)
        netns.sh("sysctl -qw net.ipv6.conf.refusing.accept_ra=0")
        forwarding.restore()
        keys = [sysctl.conf("ipv6", name, "accept_ra") for name in ("refusing", "wire")]
        return [sysctl.read(key) for key in (forwarding.SWITCH[6], *keys)]

    netns.sh("for i in refusing wire; do ip link add $i type bridge; done")
    assert namespaces.run_in_netns(netns.path, switch_on_and_off) == ["0", "0", "1"]
