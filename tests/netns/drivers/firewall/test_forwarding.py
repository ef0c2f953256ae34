"""Processes switch IP forwarding on one after the other, so that the kernel switches it on for every interface."""

from __future__ import annotations

import os
import signal

import pytest

from drivers.firewall import forwarding
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
