"""After the removal of everything the host is as it was."""

import time

import pytest

pytestmark = pytest.mark.netns


def dump(host):
    return {
        "links": host.sh("ip -br link; ip -br addr"),
        "routes": host.sh("ip route show table all; ip -6 route show table all | grep -v fe80"),
        "mounts": host.sh("grep -c . /proc/self/mountinfo"),
        "sysctls": host.sh("sysctl -a 2>/dev/null | grep -E 'forward|route_localnet|accept_ra |disable_ipv6' | sort"),
        "containers": sorted(p.name for p in (host.root / "containers").glob("*")),
        "runtime": sorted(p.name for p in (host.run_dir / "containers").glob("*")),
    }


def test_links_routes_elements_mounts_sysctls_and_files_are_as_before(host):
    host.hawse("run", "--rm", "-p", "1:1", "hostfs", "true")  # the default bridge and the firewall table are made here
    before, rules = dump(host), host.sh("nft list ruleset")
    host.hawse("network", "create", "n1")
    host.hawse("network", "create", "--ipv6", "--subnet", "fd00:77::/64", "--internal", "n2")
    host.hawse("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "n3")
    host.hawse("run", "-d", "--name", "a", "--network", "n1", "-p", "8000-8010:8000-8010", "hostfs", "sleep", "1d")
    host.hawse("run", "-d", "--name", "b", "--network", "n2", "--network", "n3", "-p", "81:81/udp", "hostfs", "sleep", "1d")
    host.hawse("network", "connect", "n3", "a")
    host.hawse("network", "disconnect", "n1", "a")
    host.hawse("rm", "-f", "a", "b")
    host.hawse("network", "rm", "n1", "n2", "n3")
    deadline = time.monotonic() + 10
    while dump(host) != before and time.monotonic() < deadline:
        time.sleep(0.2)
    assert dump(host) == before
    assert host.sh("nft list ruleset") == rules
