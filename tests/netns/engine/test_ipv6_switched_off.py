"""A user switches IPv6 off for a container or for one of its interfaces, on a network with IPv6."""

from __future__ import annotations

import pytest

from tests.conftest import until

pytestmark = pytest.mark.netns
OFF = "net.ipv6.conf.%s.disable_ipv6=1"
OF_ENDPOINT = f"driver-opt=com.docker.network.endpoint.sysctls={OFF % 'IFNAME'}"
DUAL = ["network", "create", "--ipv6", "--subnet", "172.30.0.0/24", "--subnet", "fd30::/64", "dual"]


@pytest.fixture
def host(shared_host):
    """One host for all tests, with a network that has IPv4 and IPv6."""
    shared_host.hawse(*DUAL)
    return shared_host


def addresses(host, container: str, interface: str) -> list[str]:
    """Return the addresses of a container's interface, without the link-local ones."""
    shown = host.hawse("exec", container, "busybox", "ip", "-o", "addr", "show", interface, "scope", "global").stdout
    return [line.split()[3] for line in shown.splitlines()]


def inspected(host, container: str) -> str:
    shown = "{{.GlobalIPv6Address}} {{.IPv6Gateway}} {{.GlobalIPv6PrefixLen}}"
    return host.hawse(
        "inspect", "-f", f"{{{{with .NetworkSettings.Networks.dual}}}}{shown}{{{{end}}}}", container
    ).stdout


@pytest.mark.parametrize("where", ["all", "eth0"])
def test_the_agent_leaves_an_interface_without_ipv6_that_a_sysctl_of_the_container_disabled(host, where):
    """Docker 26.1.5 assigns the IPv6 address and shows it, but the interface does not have it."""
    host.hawse("run", "-d", "--name", "c1", "--network", "dual", "--sysctl", OFF % where, "hostfs", "sleep", "1000")
    assert inspected(host, "c1") == "fd30::2 fd30::1 64\n"
    pid = host.hawse("inspect", "-f", "{{.State.Pid}}", "c1").stdout.strip()
    host.sh(f"nsenter -t {pid} -n ip link set eth0 down")
    until(lambda: "eth0 is down" in (host.run_dir / "agent.log").read_text())
    until(lambda: "default" in host.hawse("exec", "c1", "busybox", "ip", "route").stdout)
    assert addresses(host, "c1", "eth0") == ["172.30.0.2/24"]
    assert "IPv6" not in (host.run_dir / "agent.log").read_text().partition("eth0 is down")[2]
    assert host.hawse("exec", "c1", "cat", "/proc/sys/net/ipv6/conf/eth0/disable_ipv6").stdout == "1\n"


def test_networks_connect_to_a_container_without_ipv6(host):
    """An interface that joins later has IPv6, as in Docker 26.1.5."""
    host.hawse("network", "create", "--subnet", "172.31.0.0/24", "aa")
    host.hawse("network", "create", "--ipv6", "--subnet", "172.31.1.0/24", "--subnet", "fd31::/64", "also")
    host.hawse("run", "-d", "--name", "c1", "--network", "dual", "--sysctl", OFF % "all", "hostfs", "sleep", "1000")
    for network in ("aa", "also"):
        host.hawse("network", "connect", network, "c1")
    assert addresses(host, "c1", "eth0") == ["172.30.0.2/24"]
    assert addresses(host, "c1", "eth1") == ["172.31.0.2/24"]
    assert addresses(host, "c1", "eth2") == ["172.31.1.2/24", "fd31::2/64"]
    host.hawse("network", "disconnect", "also", "c1")
    assert "default via 172.30.0.1" in host.hawse("exec", "c1", "busybox", "ip", "route").stdout


def test_an_endpoint_whose_option_disables_ipv6_has_no_ipv6_address(host):
    """Docker has this option since version 27. Since version 28, such an endpoint of Docker has no IPv6 address."""
    host.hawse(
        "run", "-d", "--name", "c1", "--network", f"name=dual,{OF_ENDPOINT}", "-p", "8080:80", "hostfs", "sleep", "1000"
    )
    assert addresses(host, "c1", "eth0") == ["172.30.0.2/24"]
    assert inspected(host, "c1") == "  0\n"
    assert host.hawse("port", "c1").stdout == "80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n"
    assert "fd30" not in host.hawse("exec", "c1", "cat", "/etc/hosts").stdout
    lookup = ["run", "--rm", "--network", "dual", "hostfs", "busybox", "nslookup"]
    assert "172.30.0.2" in host.hawse(*lookup, "-type=a", "c1.").stdout
    assert "fd30" not in host.hawse(*lookup, "-type=aaaa", "c1.", check=False).stdout
    host.hawse("restart", "-t", "0", "c1")
    assert addresses(host, "c1", "eth0") == ["172.30.0.2/24"]
