"""Some settings in daemon.json apply to all bridge networks.

A changed setting takes effect with the next hawse command that changes the host's state.
"""

from __future__ import annotations

import json

import pytest

from tests.conftest import until
from tests.netns.drivers.conftest import Server, ask

pytestmark = pytest.mark.netns
WEB = "172.30.0.2"
ONE_ADDRESS, UNPUBLISHED = 90, 99


def reached(host) -> list[int]:
    """Return the container's ports that the peer (another machine) reaches at the container's own address."""
    return [port for port in (ONE_ADDRESS, UNPUBLISHED) if ask(host.peer.path, WEB, port, wait=0.5)]


@pytest.fixture
def host(shared_host):
    """One host for all tests. Each test deletes the objects that it has created without hawse commands."""
    return shared_host


@pytest.fixture
def hawse(host):
    """Return a function that runs a command with the given daemon.json settings.

    All tests use the same file, because the agent reads the file that the command which started it has used.
    """
    config = host.state / "daemon.json"

    def run(settings: dict[str, object], *argv: str, **kw):
        config.write_text(json.dumps(settings))
        return host.hawse(*argv, env={"HAWSE_CONFIG": str(config)}, **kw)

    return run


def test_changed_settings_take_effect_with_the_next_command(host, hawse):
    host.peer.sh(f"ip route add 172.30.0.0/16 via {host.address}")
    hawse({}, "network", "create", "--subnet", "172.30.0.0/16", "app")
    hawse(
        {}, "run", "-d", "--name", "web", "--network", "app", "-p", f"{host.address}:9090:90", "hostfs", "sleep", "1000"
    )
    pid = hawse({}, "inspect", "-f", "{{.State.Pid}}", "web").stdout.strip()
    servers = [Server(f"/proc/{pid}/ns/net", "0.0.0.0", port, "tcp") for port in (ONE_ADDRESS, UNPUBLISHED)]
    marking = "add table ip o; add chain ip o p { type filter hook prerouting priority raw; }; "
    host.sh(f"nft '{marking} add rule ip o p meta mark set 5'")
    assert reached(host) == []
    for number, (settings, ports) in enumerate((
        ({"allow-direct-routing": True}, [ONE_ADDRESS]),
        ({"bridge-accept-fwmark": "0x1/0x3"}, [ONE_ADDRESS, UNPUBLISHED]),
        ({"bridge-accept-fwmark": "2/3"}, []),
        ({}, []),
    )):  # fmt: skip
        hawse(settings, "network", "create", f"n{number}")
        until(lambda ports=ports: reached(host) == ports)  # the agent blocks packets until it has compared the rules
        assert reached(host) == ports, settings
    refused = hawse({"bridge-accept-fwmark": "1/x"}, "network", "create", "no", check=False)
    assert refused.returncode == 1
    assert 'invalid firewall mask "1/x": strconv.ParseUint: parsing "x": invalid syntax' in refused.stderr
    for server in servers:
        server.close()
    host.sh("nft delete table ip o")
    host.peer.sh("ip route del 172.30.0.0/16")


FORWARDING_OFF = "WARNING: IPv4 forwarding is disabled. Networking will not work.\n"


def test_forwarding_is_left_alone_where_daemon_json_says_so(host, hawse):
    off = {"ip-forward": False}
    switches = "sysctl -n net.ipv4.ip_forward net.ipv6.conf.all.forwarding"
    host.sh("sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0")

    def pinged(container: str, address: str) -> bool:
        command = ("exec", container, "ping", "-c1", "-W1", address)
        return hawse(off, *command, check=False).returncode == 0

    created = hawse(off, "network", "create", "--ipv6", "--subnet", "172.30.0.0/16", "app")
    assert created.stderr == ""
    for name in ("web", "client"):
        started = hawse(off, "run", "-d", "--name", name, "--network", "app", "hostfs", "sleep", "1000")
        assert started.stderr == FORWARDING_OFF
    for mode in ("host", "none"):
        assert hawse(off, "create", "--network", mode, "hostfs", "true").stderr == ""
    assert hawse(off, "info").stderr == "WARNING: IPv4 forwarding is disabled\n"
    assert host.sh(switches) == "0\n0\n"
    assert pinged("client", "172.30.0.2") and not pinged("client", "192.168.99.99")
    host.sh("sysctl -qw net.ipv4.ip_forward=1")
    assert pinged("client", "192.168.99.99")
    assert hawse(off, "create", "--network", "app", "hostfs", "true").stderr == ""
    host.sh("sysctl -qw net.ipv4.ip_forward=0")
    assert hawse({}, "create", "--network", "app", "hostfs", "true").stderr == ""
    hawse({}, "network", "create", "--ipv6", "other")
    assert host.sh(switches) == "1\n1\n"


MTU = "com.docker.network.driver.mtu"
DEFAULTS = {
    "default-network-opts": {
        "bridge": {MTU: "1400", "com.docker.network.bridge.enable_icc": "false"},
        "macvlan": {"macvlan_mode": "private"},
    }
}


def test_default_options_of_networks(host, hawse):
    def options(*argv: str) -> dict[str, str]:
        hawse(DEFAULTS, "network", "create", *argv)
        return json.loads(hawse({}, "network", "inspect", "-f", "{{json .Options}}", argv[-1]).stdout)

    defaults = DEFAULTS["default-network-opts"]["bridge"]
    assert options("-o", "com.docker.network.bridge.name=app0", "app") == {
        **defaults, "com.docker.network.bridge.name": "app0",
    }  # fmt: skip
    assert host.sh("cat /sys/class/net/app0/mtu") == "1400\n"
    hawse({}, "run", "-d", "--name", "web", "--network", "app", "hostfs", "sleep", "1000")
    assert hawse({}, "exec", "web", "cat", "/sys/class/net/eth0/mtu").stdout == "1400\n"
    assert options("-o", f"{MTU}=1300", "mine") == {**defaults, MTU: "1300"}
    assert options("-d", "macvlan", "--config-only", "wire") == {"macvlan_mode": "private"}
    assert options("--config-only", "--subnet", "172.31.0.0/16", "configured") == defaults
    hawse({}, "network", "create", "--config-only", "plain")
    assert options("--config-from", "plain", "copied") == {}
    assert hawse(DEFAULTS, "network", "inspect", "-f", f'{{{{index .Options "{MTU}"}}}}', "bridge").stdout == "1500\n"


@pytest.mark.parametrize("key", ["iptables", "ip6tables"])
def test_a_setting_that_disables_hawses_firewall_is_refused_by_name(hawse, key):
    refused = hawse({key: False}, "network", "ls", check=False)
    assert refused.returncode == 1
    assert f"daemon.json: {key}: false is not supported" in refused.stderr
    assert hawse({key: True}, "network", "ls").returncode == 0


CONFIG = '{{range .IPAM.Config}}{{.Subnet}} {{end}}{{index .Options "com.docker.network.bridge.name"}}'
ADDRESSES = ("hostfs", "ip", "-br", "addr", "show", "eth0")


def test_without_a_default_bridge_containers_have_loopback_only(host, hawse):
    none = {"bridge": "none"}
    names = "{{.Name}}"
    hawse({}, "run", "--rm", "hostfs", "true")
    assert hawse(none, "run", "--rm", "-p", "80:80", "hostfs", "ls", "/sys/class/net").stdout == "lo\n"
    assert hawse(none, "network", "ls", "--format", names).stdout == "host\nnone\n"
    assert host.sh("ip -br link show type bridge") == ""
    missing = hawse(none, "network", "inspect", "bridge", check=False)
    assert missing.stderr == "Error response from daemon: network bridge not found\n"
    hawse(none, "create", "--name", "c1", *ADDRESSES)
    assert "172.17.0.2/16" in hawse({}, "start", "-a", "c1").stdout
    assert hawse({}, "network", "ls", "--format", names).stdout == "bridge\nhost\nnone\n"


def test_a_bridge_of_the_user_is_the_default_bridge(host, hawse):
    mine = {"bridge": "mine0"}
    hawse({}, "run", "--rm", "hostfs", "true")
    missing = hawse(mine, "run", "--rm", "hostfs", "true", check=False)
    assert missing.returncode == 125
    assert (
        'error creating default "bridge" network: bridge device with non default name mine0 must be created manually'
    ) in missing.stderr
    host.sh("ip link add mine0 type bridge; ip addr add 10.77.7.1/24 dev mine0")
    assert "10.77.7.2/24" in hawse(mine, "run", "--rm", *ADDRESSES).stdout
    assert "10.77.7.64/24" in hawse({**mine, "fixed-cidr": "10.77.7.64/26"}, "run", "--rm", *ADDRESSES).stdout
    assert hawse(mine, "network", "inspect", "-f", CONFIG, "bridge").stdout == "10.77.7.0/24 mine0\n"
    assert "172." in hawse({}, "run", "--rm", *ADDRESSES).stdout
    assert host.sh("ip -br -4 addr show mine0").split()[2:] == ["10.77.7.1/24"]
    host.sh("ip link del mine0")


def test_an_empty_bridge_of_the_user_gets_the_default_networks_address(host, hawse):
    mine = {"bridge": "mine0"}
    host.sh("ip link add mine0 type bridge")
    for _ in range(2):
        assert "172.17.0.2/16" in hawse(mine, "run", "--rm", *ADDRESSES).stdout
        assert host.sh("ip -br -4 addr show mine0").split()[2:] == ["172.17.0.1/16"]
    hawse({}, "network", "create", "n1")
    assert host.sh("ip -br -4 addr show mine0").split()[2:] == []
    host.sh("ip link del mine0")


def test_the_default_bridge_gets_changed_addresses_when_no_container_uses_it(host, hawse):
    first, second = {"bip": "10.99.1.1/24"}, {"bip": "10.99.2.5/24", "ipv6": True, "fixed-cidr-v6": "fd00:9::/64"}
    hawse(first, "run", "-d", "--name", "keep", "hostfs", "sleep", "1000")
    assert "10.99.1.3/24" in hawse(second, "run", "--rm", *ADDRESSES).stdout
    hawse(second, "stop", "-t", "0", "keep")
    hawse(second, "start", "keep")
    assert hawse(second, "inspect", "-f", "{{.NetworkSettings.IPAddress}}", "keep").stdout == "10.99.2.1\n"
    assert host.sh("ip -br addr show docker0").split()[2:4] == ["10.99.2.5/24", "fd00:9::1/64"]
    hawse(second, "rm", "-f", "keep")
    third = {**second, "fixed-cidr-v6": "fd00:8::/64"}
    assert "fd00:8::" in hawse(third, "run", "--rm", *ADDRESSES).stdout
    assert hawse(third, "network", "inspect", "-f", CONFIG, "bridge").stdout == "10.99.2.0/24 fd00:8::/64 docker0\n"


def test_the_default_gateway_is_a_router_beside_the_bridge(host, hawse):
    """As in Docker 26.1.5, the bridge keeps its address, and inspect hides the router of an automatic subnet."""
    bip = {"bip": "10.99.1.1/24", "default-gateway": "10.99.1.254"}
    for settings, bridge, router in (
        (bip, "10.99.1.1/24", "10.99.1.254"),
        ({"default-gateway": "172.17.0.250"}, "172.17.0.1/16", "172.17.0.250"),
    ):
        assert f"default via {router} dev eth0" in hawse(settings, "run", "--rm", "hostfs", "ip", "route").stdout
        assert host.sh("ip -br -4 addr show docker0").split()[2:] == [bridge]
        ipam = json.loads(hawse(settings, "network", "inspect", "-f", "{{json .IPAM.Config}}", "bridge").stdout)
        auxiliary = {"AuxiliaryAddresses": {"DefaultGatewayIPv4": router}} if settings is bip else {}
        gateway, _, _ = bridge.partition("/")
        assert ipam == [{"Subnet": ipam[0]["Subnet"], "Gateway": gateway, **auxiliary}]


def test_only_the_host_part_of_a_range_outside_the_default_bridge_counts(hawse):
    """Docker 26.1.5 accepts such a fixed-cidr, and allocates these addresses."""
    for fixed, address in (("10.6.0.0/25", "10.99.1.2/24"), ("10.6.0.128/25", "10.99.1.128/24"),
                           ("10.99.0.0/16", "10.99.1.2/24")):  # fmt: skip
        settings = {"bip": "10.99.1.1/24", "fixed-cidr": fixed}
        assert address in hawse(settings, "run", "--rm", *ADDRESSES).stdout
        assert f'"IPRange":"{fixed}"' in hawse(settings, "network", "inspect", "-f", "{{json .}}", "bridge").stdout


def test_a_default_gateway_outside_the_default_bridge_is_refused(hawse):
    """The error is that of Docker 26.1.5 when dockerd starts."""
    settings = {"bip": "10.99.1.1/24", "default-gateway": "10.6.0.1"}
    assert hawse(settings, "run", "--rm", "hostfs", "true", check=False).stderr.splitlines()[0] == (
        'hawse: Error response from daemon: error creating default "bridge" network: auxiliary address: '
        "(DefaultGatewayIPv4:10.6.0.1) must belong to the master pool: 10.99.1.0/24."
    )


@pytest.mark.parametrize("address", ["10.99.1.0", "10.99.1.255"])
def test_an_address_of_the_default_bridge_that_is_not_free_is_named(hawse, address):
    refused = hawse({"bip": f"{address}/24"}, "run", "--rm", "hostfs", "true", check=False)
    assert refused.stderr.splitlines()[0] == (
        'hawse: Error response from daemon: error creating default "bridge" network: '
        f"failed to allocate gateway ({address}): Address already in use."
    )


def test_fixed_cidr_alone_is_subnet_and_range(hawse):
    """The expected values are those of Docker 26.1.5. An IPv6 subnet has no range."""
    settings = {"fixed-cidr": "10.99.4.0/24", "ipv6": True, "fixed-cidr-v6": "fd00:4::/64"}
    hawse(settings, "network", "create", "any")
    ipam = json.loads(hawse(settings, "network", "inspect", "-f", "{{json .IPAM.Config}}", "bridge").stdout)
    assert {"Subnet": "10.99.4.0/24", "IPRange": "10.99.4.0/24"} in ipam
    assert {"Subnet": "fd00:4::/64"} in ipam


def test_ipv6_addresses_on_the_default_bridge_end_in_the_mac_address(hawse):
    """Docker 26.1.5 derives the addresses from the MAC too, if the prefix has 80 bits or less."""
    v6 = {"ipv6": True, "fixed-cidr-v6": "fd00:2::/64", "default-gateway-v6": "fd00:2::100"}
    shown = ("inspect", "-f", "{{.NetworkSettings.GlobalIPv6Address}} {{.NetworkSettings.IPv6Gateway}}")
    hawse(v6, "run", "-d", "--name", "db", "hostfs", "sleep", "1000")
    assert hawse(v6, *shown, "db").stdout == "fd00:2::242:ac11:2 fd00:2::100\n"
    hawse(v6, "run", "-d", "--name", "web", "--mac-address", "AA:BB:CC:DD:EE:FF", "--link", "db:store", "hostfs",
          "sleep", "1000")  # fmt: skip
    assert hawse(v6, *shown, "web").stdout == "fd00:2::aabb:ccdd:eeff fd00:2::100\n"
    links = [line.split()[:2] for line in hawse(v6, "exec", "web", "cat", "/etc/hosts").stdout.splitlines()[-4:-2]]
    assert links == [["172.17.0.2", "store"], ["fd00:2::242:ac11:2", "store"]]
    hawse(v6, "rm", "-f", "db", "web")
    long = {**v6, "fixed-cidr-v6": "fd00:2::/96"}
    assert "fd00:2::2/96" in hawse(long, "run", "--rm", *ADDRESSES).stdout


def test_a_setting_without_an_address_keeps_the_default_bridges_subnet(hawse):
    hawse({}, "network", "create", "any")
    before = hawse({}, "network", "inspect", "-f", CONFIG, "bridge").stdout
    mtu = hawse({"mtu": 1400}, "run", "--rm", "hostfs", "cat", "/sys/class/net/eth0/mtu").stdout
    assert (mtu, hawse({}, "network", "inspect", "-f", CONFIG, "bridge").stdout) == ("1400\n", before)


def test_a_default_bridge_that_overlaps_a_network_is_refused(hawse):
    hawse({}, "network", "create", "--subnet", "10.98.0.0/16", "other")
    refused = hawse({"bip": "10.98.2.5/24"}, "network", "create", "n1", check=False)
    assert refused.stderr == (
        'Error response from daemon: error creating default "bridge" network: '
        "Pool overlaps with other one on this address space\n"
    )
    hawse({}, "network", "rm", "other")
