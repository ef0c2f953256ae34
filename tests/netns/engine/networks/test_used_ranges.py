"""hawse chooses subnets that do not overlap with address ranges that the host already uses."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.netns


def test_subnets_of_name_servers_and_routes_to_an_interface_are_left_out(host):
    resolv_conf = Path("/etc/netns") / host.name / "resolv.conf"
    resolv_conf.write_text("nameserver 172.18.0.53\nnameserver fd00::53%ext0\nnameserver bogus\n")
    host.sh("ip route add 172.20.0.0/16 dev ext0; ip route add 172.22.0.0/16 via 192.168.99.99")
    for name in ("one", "two", "three"):
        host.hawse("network", "create", name)
    shown = host.hawse("network", "inspect", "-f", "{{range .IPAM.Config}}{{.Subnet}}{{end}}", "one", "two", "three")
    assert shown.stdout.split() == ["172.19.0.0/16", "172.21.0.0/16", "172.22.0.0/16"]
