"""No command changes the default routes that a namespace has from another program, even if the command fails."""

import json
import os
import threading

import pytest
from msgspec.structs import replace

from tests.conftest import new_host
from tests.netns.engine.conftest import recorded
from tests.netns.engine.killing import killed

pytestmark = pytest.mark.netns

FAR, FAR6 = "9.9.9.9", "2001:db8:9::9"


def routes(namespace):
    """Return all routes of a namespace, except the local IPv6 link-local routes.

    The kernel adds these link-local routes only a moment after a link is up.
    """
    shown = namespace.sh("ip route; ip -6 route show table all | grep -v 'fe80::.* table local'")
    return shown.replace(" linkdown", "")


def defaults(namespace):
    """Return a namespace's default routes as text, without the words that can differ although the routes are equal."""
    lines = namespace.sh("ip route show default; ip -6 route show default").splitlines()
    return [" ".join(line.removesuffix("pref medium").replace("linkdown", "").split()[1:]) for line in lines]


def route_to(namespace, address=FAR):
    """Return the name of the interface by which packets to ``address`` leave a namespace."""
    words = namespace.run("ip", "route", "get", address).stdout.split()
    return words[words.index("dev") + 1]


def locks(host):
    return sorted(path.name for path in (host.run_dir / "locks").iterdir())


def network(host, name, number):
    host.hawse(
        "network", "create", "--subnet", f"172.{number}.0.0/16", "--ipv6", "--subnet", f"fd00:{number}::/64", name
    )


def next_command(host):
    """Run commands that change the host and leave nothing. The first of them recovers from a killed command."""
    host.hawse("network", "rm", host.hawse("network", "create", "--internal", "any").stdout.strip())


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """A host with the networks app and zoo, for all tests. Each test leaves the host without containers."""
    with new_host(tmp_path_factory.mktemp("routes"), ipv6=True) as host:
        network(host, "app", 30)
        network(host, "zoo", 31)
        yield host


@pytest.fixture
def lab(netns, app):
    """A network namespace that has its own interface eth0 to the outside, with default routes through eth0.

    Programs that build test networks (network labs) create such namespaces.
    """
    app.peer.sh(f"ip link add lab0 type veth peer name eth0 netns {netns.name}; ip link set lab0 master br0 up")
    netns.sh(
        "ip addr add 192.168.99.70/24 dev eth0; ip addr add fd99::70/64 dev eth0 nodad\n"
        "ip link set eth0 addrgenmode none; ip link set eth0 up\n"
        "ip route add default via 192.168.99.99; ip -6 route add default via fd99::99 metric 50"
    )
    yield netns
    app.peer.sh("ip link del lab0")


def test_a_namespace_keeps_its_default_routes_and_ours_come_after_them(app, lab):
    before, reference = routes(lab), f"netns:{lab.name}"
    app.hawse("network", "connect", "app", reference)
    assert defaults(lab) == [
        "via 192.168.99.99 dev eth0",
        "via 172.30.0.1 dev eth1 proto 104 metric 1",
        "via fd99::99 dev eth0 metric 50",
        "via fd00:30::1 dev eth1 proto 104 metric 51",
    ]
    assert (route_to(lab), route_to(lab, FAR6)) == ("eth0", "eth0")
    assert app.run("ping", "-c1", "-W2", "172.30.0.2").returncode == 0
    lab.sh("ip route del default via 192.168.99.99")
    assert route_to(lab) == "eth1"
    lab.sh("ip route add default via 192.168.99.99")
    app.hawse("network", "disconnect", "app", reference)
    assert routes(lab) == before
    assert recorded(app) == []
    assert locks(app) == ["host"]


def test_only_a_family_without_default_route_gets_ours_in_its_place(app, lab):
    lab.sh("ip route del default; ip route add default via 192.168.99.99 metric 100; ip -6 route del default")
    before = routes(lab)
    app.hawse("network", "connect", "app", f"netns:{lab.name}")
    assert defaults(lab) == [
        "via 192.168.99.99 dev eth0 metric 100",
        "via 172.30.0.1 dev eth1 proto 104 metric 101",
        "via fd00:30::1 dev eth1 proto 104 metric 1024",
    ]
    assert route_to(lab, FAR6) == "eth1"
    app.hawse("network", "disconnect", "app", f"netns:{lab.name}")
    assert routes(lab) == before


def test_an_unreachable_default_route_stays(app, netns):
    netns.sh("ip route add unreachable default metric 4294967295; ip -6 route add blackhole default metric 7")
    before = routes(netns)
    app.hawse("network", "connect", "app", f"netns:{netns.name}")
    assert netns.run("ip", "route", "get", FAR, check=False).returncode != 0
    assert netns.run("ip", "route", "get", FAR6, check=False).returncode != 0
    app.hawse("network", "disconnect", "app", f"netns:{netns.name}")
    assert routes(netns) == before


def test_default_route_yes_takes_precedence_and_keeps_other_routes(app, lab):
    before = routes(lab)
    app.hawse("network", "connect", "--default-route=yes", "app", f"netns:{lab.name}")
    assert (route_to(lab), route_to(lab, FAR6)) == ("eth1", "eth1")
    assert set(before.splitlines()) <= set(routes(lab).splitlines())
    app.hawse("network", "disconnect", "app", f"netns:{lab.name}")
    assert routes(lab) == before


def test_default_route_no_adds_none_and_auto_is_the_default(app, netns):
    reference = f"netns:{netns.name}"
    app.hawse("network", "connect", "--default-route", "no", "app", reference)
    assert defaults(netns) == []
    app.hawse("network", "connect", "--default-route", "auto", "zoo", reference)
    assert route_to(netns) == "eth1"
    app.hawse("network", "disconnect", "zoo", reference)
    assert defaults(netns) == []
    app.hawse("network", "disconnect", "app", reference)


def test_the_default_route_moves_only_between_networks_of_hawse(app, lab):
    """The first of hawse's networks in the alphabet gets the default route, unless the user chooses another network.

    hawse never replaces a default route that the user added.
    """
    reference, manual = f"netns:{lab.name}", ("via 192.168.99.99 dev eth0", "via fd99::99 dev eth0 metric 50")
    app.hawse("network", "connect", "zoo", reference)
    app.hawse("network", "connect", "app", reference)
    ours = [line for line in defaults(lab) if line not in manual]
    assert ours == ["via 172.30.0.1 dev eth2 proto 104 metric 1", "via fd00:30::1 dev eth2 proto 104 metric 51"]
    app.hawse("network", "disconnect", "app", reference)
    ours = [line for line in defaults(lab) if line not in manual]
    assert ours == ["via 172.31.0.1 dev eth1 proto 104 metric 1", "via fd00:31::1 dev eth1 proto 104 metric 51"]
    app.hawse("network", "connect", "app", reference)
    app.hawse("network", "create", "--subnet", "172.32.0.0/16", "zzz")
    app.hawse("network", "connect", "--default-route=yes", "zzz", reference)
    assert (route_to(lab), route_to(lab, FAR6)) == ("eth3", "eth0")
    app.hawse("network", "disconnect", "zzz", reference)
    assert route_to(lab) == "eth0"
    assert set(manual) < set(defaults(lab))
    for name in ("app", "zoo"):
        app.hawse("network", "disconnect", name, reference)
    app.hawse("network", "rm", "zzz")


CONNECT = (
    "engine.containers.lookup.with_actual_state",
    "engine.endpoints.sandbox.join",
    "drivers.sandbox.configure",
    "engine.cluster.hooks.concerns_gateway",
    "engine.endpoints.sandbox.route",
    "drivers.linux.route.add",
    "engine.containers.port_assignment.move",
    "engine.containers.publish.publish_locked",
    "engine.containers.connect.end_intent",
)


@pytest.mark.parametrize("where", CONNECT)
def test_a_connect_that_is_killed_leaves_nothing_after_the_next_command(app, lab, where):
    before = routes(lab)
    ports = () if where.endswith("end_intent") else ("-p", "8080:80")
    killed(app, where, "network", "connect", *ports, "app", f"netns:{lab.name}")
    next_command(app)
    assert routes(lab) == before
    assert "eth1" not in lab.sh("ip -br link")
    assert recorded(app) == []
    assert locks(app) == ["host"]


def test_a_connect_that_is_killed_after_it_has_recorded_its_port_is_finished(app, lab):
    before, reference = routes(lab), f"netns:{lab.name}"
    killed(app, "engine.endpoints.sandbox.publish", "network", "connect", "-p", "8080:80", "app", reference)
    next_command(app)
    assert "tcp . 8080 :" in app.sh("nft list table inet hawse")
    app.hawse("network", "disconnect", "app", reference)
    assert "8080" not in app.sh("nft list table inet hawse")
    assert routes(lab) == before
    assert recorded(app) == []


@pytest.mark.parametrize("where", ["engine.endpoints.reservation.release_endpoint", "engine.endpoints.sandbox.route"])
def test_a_disconnect_that_is_killed_is_finished_by_the_next_command(app, lab, where):
    before, reference = routes(lab), f"netns:{lab.name}"
    app.hawse("network", "connect", "app", reference)
    killed(app, where, "network", "disconnect", "app", reference)
    next_command(app)
    assert routes(lab) == before
    assert recorded(app) == []


@pytest.mark.parametrize("where", ["drivers.subinterface._finish", "drivers.sandbox.configure"])
def test_an_unnamed_sub_interface_of_a_killed_connect_is_removed(host, netns, where):
    host.hawse("network", "create", "-d", "macvlan", "-o", "parent=ext0", "--subnet", "192.168.99.0/24", "lan")
    killed(host, where, "network", "connect", "lan", f"netns:{netns.name}")
    host.hawse("network", "create", "any")
    assert [line.split()[0] for line in netns.sh("ip -br link").splitlines()] == ["lo"]
    assert recorded(host) == []


def failing(app):
    """Return pairs of arguments for ``network connect`` and the expected error text.

    Each of these connects must fail. Each connect fails at a later step than the connect before it in the list.
    """
    app.hawse("run", "-d", "--name", "web", "-p", "8080:80", "--network", "app", "hostfs", "sleep", "1d")
    named = "com.docker.network.endpoint.ifname=eth0"
    wrong = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.nosuch=1"
    return (
        (("nosuch",), "network nosuch not found"),
        (("--ip", "172.30.0.2", "app"), "Address already in use"),
        (("--driver-opt", named, "app"), "the sandbox has an interface eth0 already"),
        (("--driver-opt", wrong, "app"), "write sysctl net/ipv4/conf/eth1/nosuch: no such file or directory"),
        (("-p", "8080:80", "app"), "port is already allocated"),
    )


def test_a_connect_that_fails_leaves_no_record_and_no_route_behind(app, lab):
    before = routes(lab)
    ways = failing(app)
    known = recorded(app)
    for arguments, text in ways:
        done = app.hawse("network", "connect", *arguments, f"netns:{lab.name}", check=False)
        assert (done.returncode, text in done.stderr) == (1, True), done
        assert routes(lab) == before
        assert "eth1" not in lab.sh("ip -br link")
        assert recorded(app) == known
    assert locks(app) == ["host"]
    app.hawse("rm", "-f", "web")


def test_a_failed_connect_takes_nothing_from_another_network(app, lab):
    reference = f"netns:{lab.name}"
    app.hawse("network", "connect", "zoo", reference)
    before, ways, known = routes(lab), failing(app), recorded(app)
    for arguments, _ in ways:
        assert app.hawse("network", "connect", *arguments, reference, check=False).returncode == 1
    assert routes(lab) == before
    assert [replace(r, next_interfaces={"eth": 1}) if r.id == known[0].id else r for r in recorded(app)] == known
    app.hawse("network", "disconnect", "zoo", reference)
    app.hawse("rm", "-f", "web")


def test_many_commands_on_one_namespace_leave_one_record_and_its_own_routes(app, lab):
    before, reference = routes(lab), f"netns:{lab.name}"

    def at_once(*commands):
        done = []
        threads = [
            threading.Thread(target=lambda c=c: done.append(app.hawse("network", *c, check=False).returncode))
            for c in commands
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return done

    assert at_once(*[("connect", name, reference) for name in ("app", "zoo", "nosuch")]).count(0) == 2
    assert len(app.hawse("ps", "-q").stdout.split()) == 1
    members = [json.loads(app.hawse("network", "inspect", name).stdout)[0]["Containers"] for name in ("app", "zoo")]
    assert [m["Name"] for of in members for m in of.values()] == [reference] * 2
    at_once(("disconnect", "app", reference), ("disconnect", "zoo", reference), ("connect", "nosuch", reference))
    assert routes(lab) == before
    assert recorded(app) == []


def test_a_new_namespace_with_an_old_name_is_not_taken_for_the_old_one(app, netns):
    """A network namespace was connected to a network and then deleted. A new namespace gets the same name.

    No command runs between deletion and creation. The first command on the new namespace must not take the new
    namespace for the old one.
    """
    reference = f"netns:{netns.name}"
    app.hawse("network", "connect", "app", reference)
    kept = netns.popen("sleep", "1000")  # keeps the old namespace alive, so that the kernel does not reuse its inode
    try:
        while os.stat(f"/proc/{kept.pid}/ns/net").st_ino != os.stat(netns.path).st_ino:
            pass
        netns.delete()
        netns.__init__(netns.name)
        app.hawse("network", "connect", "zoo", reference)
        assert "172.31.0.2/16" in netns.sh("ip -br addr show eth0")
        document = json.loads(app.hawse("inspect", reference).stdout)[0]
        assert list(document["NetworkSettings"]["Networks"]) == ["zoo"]
        assert "eth0" not in app.sh(f"nsenter -t {kept.pid} -n ip -br link")
        app.hawse("network", "disconnect", "zoo", reference)
    finally:
        kept.kill()
        kept.wait()


def pid_of(host, name):
    return json.loads(host.hawse("inspect", name).stdout)[0]["State"]["Pid"]


def test_a_container_keeps_a_default_route_that_it_has_set_itself(app):
    app.hawse("run", "-d", "--name", "web", "--network", "zoo", "hostfs", "sleep", "1d")
    inside = f"nsenter -t {pid_of(app, 'web')} -n "
    app.sh(inside + "ip route replace default via 172.31.0.99")
    app.hawse("network", "connect", "app", "web")
    assert "via 172.31.0.99 dev eth0" in app.sh(inside + f"ip route get {FAR}")
    app.hawse("network", "disconnect", "app", "web")
    assert "via 172.31.0.99 dev eth0" in app.sh(inside + f"ip route get {FAR}")
    app.hawse("rm", "-f", "web")


def test_the_user_may_choose_the_network_of_the_default_route(app):
    app.hawse("run", "-d", "--name", "web", "--network", "app", "hostfs", "sleep", "1d")
    app.hawse("network", "connect", "--default-route", "yes", "zoo", "web")
    app.hawse("network", "create", "aaa")
    app.hawse("network", "connect", "--default-route", "no", "aaa", "web")
    for _ in range(2):
        route = app.sh(f"nsenter -t {pid_of(app, 'web')} -n ip route show default")
        assert route.split()[:3] == ["default", "via", "172.31.0.1"]
        assert "proto" not in route
        app.hawse("restart", "-t0", "web")
    app.hawse("rm", "-f", "web")
    app.hawse("network", "rm", "aaa")
