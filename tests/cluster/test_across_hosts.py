"""The tests send real packets between two hosts of a cluster. They check names, addresses, ports and default routes."""

import json

import pytest

from engine.store.sqlite import SqliteStore
from tests.cluster.conftest import eventually

pytestmark = pytest.mark.netns
GROUP = "239.1.2.3"
IPV6_OFF = "net.ipv6.conf.IFNAME.disable_ipv6=1"
LISTEN = f"""
import socket
listener = socket.socket(type=socket.SOCK_DGRAM)
listener.bind(("", 5000))
index = socket.if_nametoindex("eth0").to_bytes(4, "little")
listener.setsockopt(0, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("{GROUP}") + bytes(4) + index)
print("listening", flush=True)
print(listener.recv(100).decode(), flush=True)
"""
SEND = f"""
import socket
sender = socket.socket(type=socket.SOCK_DGRAM)
sender.setsockopt(0, socket.IP_MULTICAST_IF, bytes(8) + socket.if_nametoindex("eth0").to_bytes(4, "little"))
sender.sendto(b"to the group", ("{GROUP}", 5000))
"""


@pytest.fixture(scope="module")
def pair(cluster):
    a, b = cluster.grow(2)
    a.hawse("network", "create", "-d", "overlay", "--attachable", "app")
    a.start(
        "web",
        "app",
        "--network-alias",
        "site",
        "-p",
        "8080:80",
        command=("busybox", "httpd", "-f", "-p", "80", "-h", "/etc"),
    )
    b.start("box", "app", "--network-alias", "site")
    return a, b


def test_names_aliases_and_addresses_reach_the_other_host_at_once(pair):
    a, b = pair
    assert b.reaches("box", "web") and a.reaches("web", "box") and a.reaches("web", b.ip("box", "app"))
    answers = b.hawse("exec", "box", "busybox", "nslookup", "site", "127.0.0.11").stdout
    assert a.ip("web", "app") in answers and b.ip("box", "app") in answers


def test_an_empty_alias_is_ignored(pair):
    a, b = pair
    a.start("unnamed", "app", "--network-alias", "")
    assert b.reaches("box", "unnamed")
    a.hawse("rm", "-f", "unnamed")


def test_the_mtu_is_1450_and_larger_packets_reach_the_other_host(pair):
    a, b = pair
    assert a.hawse("exec", "web", "cat", "/sys/class/net/eth0/mtu").stdout == "1450\n"
    assert b.hawse("exec", "box", "busybox", "ping", "-c1", "-W5", "-s", "4000", "web").returncode == 0


def test_ports_are_published_only_on_the_containers_host(pair):
    a, b = pair
    assert a.peer.run("busybox", "wget", "-T2", "-qO-", f"http://{a.underlay}:8080/hostname").returncode == 0
    assert a.peer.run("busybox", "wget", "-T2", "-qO-", f"http://{b.underlay}:8080/", check=False).returncode != 0


def test_an_address_that_another_host_uses_is_refused(pair):
    a, b = pair
    taken = a.ip("web", "app")
    refused = b.hawse(
        "run", "-d", "--name", "thief", "--network", "app", "--ip", taken, "hostfs", "sleep", "1", check=False
    )
    assert "attaching to network failed, make sure your network options are correct" in refused.stderr
    b.hawse("rm", "thief")
    assert b.verify("app").stdout == "ok\n"


@pytest.mark.parametrize(
    ("word", "added"),
    [
        ("auto", "default via {} dev eth1 proto 104 metric 1 "),
        ("no", ""),
        ("yes", "0.0.0.0/1 via {} dev eth1 proto 104 "),
    ],
)
def test_a_foreign_namespace_keeps_its_default_route(pair, netns, word, added):
    """Connect a namespace with its own default route to an overlay network.

    The default route of an overlay network goes through the gateway bridge. The flag ``--default-route`` of
    ``network connect`` says whether hawse adds this route.
    """
    a, _ = pair
    netns.sh("ip link add own type bridge; ip addr add 10.9.0.2/24 dev own; ip link set own up")
    netns.sh("ip route add default via 10.9.0.1")
    before = netns.sh("ip route")
    a.hawse("network", "connect", "--default-route", word, "app", f"netns:{netns.name}")
    gateway = json.loads(a.hawse("network", "inspect", "docker_gwbridge").stdout)[0]["IPAM"]["Config"][0]["Gateway"]
    new = set(netns.sh("ip route").splitlines()) - set(before.splitlines())
    assert set(before.splitlines()) <= set(netns.sh("ip route").splitlines())
    assert [line for line in sorted(new) if "via" in line][:1] == ([added.format(gateway)] if added else [])
    a.hawse("network", "disconnect", "app", f"netns:{netns.name}")
    assert netns.sh("ip route") == before


def test_the_used_addresses_are_those_of_all_hosts(pair):
    """Two containers and two hosts have one address each. The network, broadcast and gateway addresses count too."""
    for host in pair:
        document = json.loads(host.hawse("network", "inspect", "-v", "app").stdout)[0]
        (counts,) = document["Status"]["IPAM"]["Subnets"].values()
        assert counts == {"IPsInUse": 7, "DynamicIPsAvailable": 249}


def test_a_mac_with_hyphens_is_accepted(pair):
    a, b = pair
    b.start("own", "app", "--mac-address", "02-42-AC-11-00-98")
    assert b.hawse("exec", "own", "cat", "/sys/class/net/eth0/address").stdout == "02:42:ac:11:00:98\n"
    assert a.reaches("web", "own")
    b.hawse("rm", "-f", "own")


def test_a_mac_of_another_host_is_refused_until_it_is_free(pair):
    a, b = pair
    run = ("run", "-d", "--network", "app", "--mac-address", "02:42:ac:11:00:97")
    b.hawse(*run, "--name", "owner", "hostfs", "sleep", "1d")
    refused = a.hawse(*run, "--name", "thief", "hostfs", "sleep", "1d", check=False)
    assert refused.returncode == 125 and "02:42:ac:11:00:97 is of an endpoint of another host" in refused.stderr
    b.hawse("stop", "-t0", "owner")
    b.hawse("start", "owner")
    assert a.reaches("web", "owner")
    b.hawse("rm", "-f", "owner")
    a.hawse("start", "thief")
    assert b.reaches("box", "thief")
    a.hawse("rm", "-f", "thief")


def test_ipamconfig_shows_the_chosen_address_while_the_container_runs(pair):
    _, b = pair
    shown = ("inspect", "-f", "{{json .NetworkSettings.Networks.app.IPAMConfig}}", "shown")
    b.start("shown", "app")
    assert json.loads(b.hawse(*shown).stdout) == {"IPv4Address": b.ip("shown", "app")}
    b.hawse("stop", "-t0", "shown")
    assert b.hawse(*shown).stdout == "null\n"
    b.hawse("rm", "shown")


def test_a_network_that_does_not_exist_gives_docker_s_error(pair):
    _, b = pair
    text = "Could not attach to network nosuch: rpc error: code = NotFound desc = network nosuch not found"
    run = ("run", "-d", "--name", "nobody", "--network", "nosuch", "hostfs", "true")
    assert f"{text}.\n" in b.hawse(*run, check=False).stderr
    assert f"{text}\n" in b.hawse("start", "nobody", check=False).stderr
    assert f"{text}\n" in b.hawse("network", "connect", "nosuch", "box", check=False).stderr
    b.hawse("rm", "nobody")


def test_a_host_port_that_is_taken_gives_docker_s_error(pair):
    a, _ = pair
    refused = a.hawse(
        "run", "-d", "--name", "second", "--network", "app", "-p", "8080:80", "hostfs", "true", check=False
    )
    identity, text = refused.stdout.strip(), refused.stderr
    assert f"container {identity}: endpoint join on GW Network failed: driver failed programming external" in text
    assert "connectivity on endpoint gateway_" in text
    a.hawse("rm", "second")


def test_unused_networks_are_pruned_and_those_of_other_hosts_stay(pair):
    a, b = pair
    for name in ("idle", "away"):
        a.hawse("network", "create", "-d", "overlay", "--attachable", name)
    b.start("user", "away")
    assert b.hawse("network", "prune", "-f").stdout == ""
    assert a.hawse("network", "prune", "-f").stdout == "Deleted Networks:\nidle\n\n"
    b.hawse("rm", "-f", "user")
    a.hawse("network", "rm", "away")


def test_a_container_uses_the_gateway_bridge_only_while_it_is_on_no_bridge_network(pair):
    a, _ = pair
    routes = ("exec", "web", "busybox", "ip", "route", "show", "default")
    assert "via 172.18.0.1 dev eth1" in a.hawse(*routes).stdout
    a.hawse("network", "create", "--subnet", "172.31.0.0/24", "local")
    a.hawse("network", "connect", "local", "web")
    assert "via 172.31.0.1 dev eth2" in a.hawse(*routes).stdout
    assert a.hawse("exec", "web", "ls", "/sys/class/net").stdout.split() == ["eth0", "eth2", "lo"]
    assert a.peer.run("busybox", "wget", "-T2", "-qO-", f"http://{a.underlay}:8080/hostname").returncode == 0
    a.hawse("network", "disconnect", "local", "web")
    assert "via 172.18.0.1 dev eth3" in a.hawse(*routes).stdout
    assert a.peer.run("busybox", "wget", "-T2", "-qO-", f"http://{a.underlay}:8080/hostname").returncode == 0
    a.hawse("network", "rm", "local")


def test_a_container_can_change_its_networks_after_its_ports_could_not_return_to_the_gateway_bridge(pair):
    a, _ = pair
    address = ("10.99.99.99/32", "dev", "lo")
    a.run("ip", "addr", "add", *address)
    a.start("moved", "app", "-p", "10.99.99.99:8081:80", command=("busybox", "httpd", "-f", "-p", "80", "-h", "/etc"))
    a.hawse("network", "create", "--subnet", "172.31.0.0/24", "local")
    a.hawse("network", "connect", "local", "moved")
    a.run("ip", "addr", "del", *address)
    failed = a.hawse("network", "disconnect", "local", "moved", check=False)
    assert "bind: cannot assign requested address" in failed.stderr
    a.run("ip", "addr", "add", *address)
    for verb, interfaces in (("connect", ["eth0", "eth4", "lo"]), ("disconnect", ["eth0", "eth5", "lo"])):
        a.hawse("network", verb, "local", "moved")
        assert a.hawse("exec", "moved", "ls", "/sys/class/net").stdout.split() == interfaces
        assert a.run("busybox", "wget", "-T2", "-qO-", "http://10.99.99.99:8081/hostname").returncode == 0
    a.hawse("rm", "-f", "moved")
    a.hawse("network", "rm", "local")
    a.run("ip", "addr", "del", *address)


def test_an_internal_overlay_has_no_way_out(pair):
    a, b = pair
    a.hawse("network", "create", "-d", "overlay", "--attachable", "--internal", "inner")
    a.start("i1", "inner")
    b.start("i2", "inner")
    assert a.reaches("i1", "i2")
    assert a.hawse("exec", "i1", "ls", "/sys/class/net").stdout.split() == ["eth0", "lo"]
    assert a.hawse("exec", "i1", "busybox", "ip", "route", "show", "default").stdout.count("default") == 0


def test_containers_reach_each_other_by_ipv6_addresses_of_the_overlay(pair):
    a, b = pair
    a.hawse(
        "network",
        "create",
        "-d",
        "overlay",
        "--attachable",
        "--ipv6",
        "--subnet",
        "10.54.0.0/24",
        "--subnet",
        "fd00:54::/64",
        "six",
    )
    a.start("s1", "six")
    b.start("s2", "six")
    address = b.hawse("inspect", "-f", "{{.NetworkSettings.Networks.six.GlobalIPv6Address}}", "s2").stdout.strip()
    assert address.startswith("fd00:54::")
    assert a.hawse("exec", "s1", "busybox", "ping", "-6", "-c1", "-W5", address).returncode == 0
    for host, name in ((a, "s3"), (b, "s4")):  # a manager and a worker
        host.start(name, f"name=six,driver-opt=com.docker.network.endpoint.sysctls={IPV6_OFF}")
        shown = "{{with .NetworkSettings.Networks.six}}{{.IPAddress}} {{.GlobalIPv6Address}}{{end}}"
        ipv4, _, ipv6 = host.hawse("inspect", "-f", shown, name).stdout.removesuffix("\n").partition(" ")
        assert (ipv4.startswith("10.54.0."), ipv6) == (True, "")
    assert a.reaches("s3", "s4")


def test_multicast_reaches_a_group_member_on_the_other_host(pair):
    a, b = pair
    b.start("listener", "app", command=("python3", "-c", LISTEN))
    eventually(lambda: "listening" in b.hawse("logs", "listener").stdout)
    a.hawse("exec", "web", "python3", "-c", SEND)
    eventually(lambda: "to the group" in b.hawse("logs", "listener").stdout)


def test_names_and_peers_follow_the_stop_and_start_of_a_container(pair):
    a, b = pair
    b.hawse("stop", "-t0", "box")
    eventually(lambda: not a.reaches("web", "box"))
    assert "app" not in b.hawse("network", "ls").stdout
    b.hawse("start", "box")
    assert a.reaches("web", "box")
    assert a.verify("app").stdout == b.verify("app").stdout == "ok\n"


def test_a_renamed_container_is_found_by_its_new_name(pair):
    a, b = pair
    b.hawse("rename", "box", "crate")
    eventually(lambda: a.reaches("web", "crate"))
    assert not a.reaches("web", "box")
    b.hawse("rename", "crate", "box")


def test_a_renamed_container_has_no_name_on_the_gateway_bridge(pair):
    """Other containers of its host would find the address on the gateway bridge, which they do not reach."""
    a, _ = pair
    a.start("one", "app")
    a.hawse("rename", "one", "two")
    with SqliteStore(a.root / "hawse.db").read() as reader:
        names = [reader.network(e.network_id).name for e in reader.endpoints() if "two" in e.names]
    a.hawse("rm", "-f", "two")
    assert names == ["app"]


def test_several_subnets_over_an_ipv6_underlay(fresh):
    a, b = fresh.add_host(), fresh.add_host()
    a.hawse("swarm", "init", "--advertise-addr", a.address6)
    b.hawse("swarm", "join", "--token", fresh.token(), f"[{a.address6}]:2377")
    subnets = ("--subnet", "10.61.0.0/24", "--subnet", "10.62.0.0/24")
    a.hawse("network", "create", "-d", "overlay", "--attachable", *subnets, "app")
    a.start("near", "app", "--ip", "10.61.0.10")
    b.start("far", "app", "--ip", "10.62.0.10")
    assert a.hawse("exec", "near", "cat", "/sys/class/net/eth0/mtu").stdout == "1430\n"
    largest = ("busybox", "ping", "-c1", "-W5", "-s", str(1430 - 28), "far")
    assert a.hawse("exec", "near", *largest).returncode == 0
    assert b.reaches("far", "near")
    assert a.verify("app").stdout == b.verify("app").stdout == "ok\n"
