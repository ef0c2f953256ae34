"""The names of sysctls, as sysctl(8) writes them, and their paths below /proc/sys."""

from __future__ import annotations

import pytest

from drivers.linux import sysctl


@pytest.mark.parametrize("interface", ["eth0", "eth0.10", "a.b.c"])
def test_the_name_of_a_sysctl_leads_to_its_path(interface):
    path = sysctl.conf("ipv4", interface, "arp_ignore")
    assert sysctl.user_path(sysctl.name_of(path)) == path


def test_an_interface_with_a_dot_has_a_slash_in_the_name():
    assert sysctl.name_of("net/ipv4/conf/eth0.10/forwarding") == "net.ipv4.conf.eth0/10.forwarding"
