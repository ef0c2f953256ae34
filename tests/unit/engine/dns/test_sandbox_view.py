from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.agent.service import Snapshot
from engine.dns import sandbox_view
from engine.dns.sandbox_view import PUBLISHED, Defaults, LinkAlias, SandboxView, Views
from engine.model import (
    ContainerConfig,
    ContainerRecord,
    EndpointRecord,
    EndpointSettings,
    HostConfig,
    NetworkAttachment,
    NetworkRecord,
    PortRecord,
)
from engine.resolv_conf import HostFiles, Upstream

HOST = Defaults(HostFiles("nameserver 192.0.2.1\nnameserver 127.0.0.1\n"))


def network(name: str, *, internal: bool = False, driver: str = "bridge", predefined: bool = False) -> NetworkRecord:
    return NetworkRecord(id=name, name=name, created="", driver=driver, internal=internal, predefined=predefined)


def container(*settings: tuple[str, EndpointSettings], path: str = "/proc/7/ns/net", **host) -> ContainerRecord:
    attachments = [NetworkAttachment(name, s, name) for name, s in settings]
    return ContainerRecord(
        id="c", name="c", created="", config=ContainerConfig(image="i"), host=HostConfig(**host),
        attachments=attachments, sandbox_id="s", sandbox_path=path, pid=7, pid_start=9,
    )  # fmt: skip


def joined(*networks: str, phase: str = "live") -> list[EndpointRecord]:
    return [EndpointRecord(id=n, network_id=n, container_id="c", mac="", phase=phase) for n in networks]


def view(networks: list[NetworkRecord], record: ContainerRecord, defaults: Defaults = HOST) -> SandboxView:
    (result,) = Views().follow(Snapshot(networks, [record], joined(*(n.name for n in networks))), defaults).values()
    assert result.is_named
    return result.view


def plain(*names: str, **host) -> ContainerRecord:
    return container(*((n, EndpointSettings()) for n in names), **host)


def test_networks_are_searched_by_gateway_priority_then_name_internal_ones_last():
    order = [network("b"), network("a"), network("aa", internal=True), network("z")]
    record = container(*((n.name, EndpointSettings(gw_priority=n.name == "z")) for n in order))
    assert view(order, record).networks == ("z", "a", "b", "aa")


def test_a_view_has_path_and_process_of_the_sandbox():
    sandbox = view([network("n")], plain("n"))
    assert (sandbox.id, sandbox.netns_path, sandbox.pid, sandbox.pid_start) == ("s", "/proc/7/ns/net", 7, 9)


@pytest.mark.parametrize(
    ("kind", "host", "expected"),
    [
        ("run", {}, False),
        ("run", {"cap_add": ("SYS_PTRACE",), "cap_drop": ("NET_RAW",)}, False),
        ("run", {"cap_add": ("net_admin",)}, True),
        ("run", {"cap_add": ("CAP_NET_ADMIN",)}, True),
        ("run", {"cap_add": ("ALL",)}, True),
        ("run", {"privileged": True}, True),
        ("adopted", {}, True),
    ],
)
def test_sandboxes_that_hawse_did_not_make_or_with_net_admin_may_have_own_rules(kind, host, expected):
    assert view([network("n")], replace(plain("n", **host), kind=kind)).apart is expected


def test_a_sandbox_in_which_a_privileged_command_was_run_may_have_own_rules():
    assert view([network("n")], replace(plain("n"), administered=True)).apart


@pytest.mark.parametrize(
    ("member", "server", "expected"),
    [
        ({"cap_add": ("NET_ADMIN",)}, "192.0.2.1", "n"),
        ({"privileged": True}, "192.0.2.1", "n"),
        ({}, "192.0.2.1", ""),
        ({"cap_add": ("NET_ADMIN",)}, "127.0.0.1", ""),
    ],
)
def test_a_sandbox_on_a_network_with_own_rules_of_others_is_in_the_group_of_the_network(member, server, expected):
    """A server that only the host reaches is not asked by this network."""
    other = replace(plain("n", **member), id="g", name="g", sandbox_id="g")
    endpoints = [*joined("n"), replace(joined("n")[0], id="o", container_id="g")]
    state = Snapshot([network("n")], [plain("n"), other], endpoints)
    defaults = Defaults(HostFiles(f"nameserver {server}\n"))
    result = Views().follow(state, defaults)["c"].view
    assert (result.apart, result.neighbours) == (False, expected)


def test_a_namespace_on_one_network_changes_the_settings_of_its_members_only(monkeypatch):
    """Otherwise each connect would take 0.3 s with 5000 containers, while the agent answers nothing."""
    computed, views, original = list[str](), Views(), sandbox_view._view
    monkeypatch.setattr(sandbox_view, "_view", lambda *a: computed.append(a[0].id) or original(*a))
    records = [replace(plain(n), id=n, name=n, sandbox_id=n) for n in "nm"]
    endpoints = [replace(joined(n)[0], id=f"e{n}", container_id=n) for n in "nm"]
    guest = replace(plain("n"), id="g", name="g", sandbox_id="g", kind="adopted")
    its = replace(endpoints[0], id="eg", container_id="g")
    networks, defaults = [network("n"), network("m")], Defaults(HostFiles("nameserver 192.0.2.1\n"))
    views.follow(Snapshot(networks, records, endpoints), defaults)
    for state in (Snapshot(networks, [*records, guest], [*endpoints, its]), Snapshot(networks, records, endpoints)):
        computed.clear()
        assert "n" in views.follow(state, defaults)
        assert set(computed) - {"g"} == {"n"}


DNS_PORT = PortRecord("udp", "192.0.2.9", 53, 53, 5353, 5353)


@pytest.mark.parametrize(
    ("host", "ports", "servers", "expected"),
    [
        ({"cap_add": ("NET_ADMIN",)}, DNS_PORT, ["192.0.2.9"], True),
        ({"cap_add": ("NET_ADMIN",)}, DNS_PORT, ["192.0.2.8"], False),
        ({"cap_add": ("NET_ADMIN",)}, DNS_PORT, [], False),
        ({"cap_add": ("NET_ADMIN",)}, replace(DNS_PORT, host_ip="0.0.0.0"), ["192.0.2.8"], True),
        ({"cap_add": ("NET_ADMIN",)}, replace(DNS_PORT, host_ip="::"), ["192.0.2.8"], False),
        ({"cap_add": ("NET_ADMIN",)}, replace(DNS_PORT, host_port=50, host_port_end=60), ["192.0.2.9"], True),
        ({"cap_add": ("NET_ADMIN",)}, replace(DNS_PORT, host_port=54, host_port_end=60), ["192.0.2.9"], False),
        ({}, DNS_PORT, ["192.0.2.9"], False),
    ],
)
def test_a_sandbox_whose_server_is_a_port_of_a_container_with_net_admin_is_in_a_group(host, ports, servers, expected):
    server = replace(plain("m", **host), id="g", name="g", sandbox_id="g")
    published = replace(joined("m")[0], container_id="g", ports=(ports,))
    state = Snapshot([network("n"), network("m")], [plain("n", dns=servers), server], [*joined("n"), published])
    assert (Views().follow(state, HOST)["c"].view.neighbours == PUBLISHED) is expected


@pytest.mark.parametrize(
    ("guest", "expected"),
    [
        ({"network_mode": "container:c", "cap_add": ("NET_ADMIN",)}, True),
        ({"network_mode": "container:c"}, False),
        ({"network_mode": "n", "cap_add": ("NET_ADMIN",)}, False),
    ],
)
def test_a_sandbox_that_a_container_with_net_admin_has_joined_is_served_apart(guest, expected):
    owner = replace(plain("n"), sandbox_inode=5)
    joining = replace(plain(**guest), id="g", name="g", sandbox_id="g", sandbox_inode=5)
    views, networks, endpoints = Views(), [network("n")], joined("n")
    assert not views.follow(Snapshot(networks, [owner], endpoints), HOST)["c"].view.apart
    changed = views.follow(Snapshot(networks, [owner, joining], endpoints), HOST)
    assert ("c" in changed) is expected
    assert views.results["c"].view.apart is expected


def test_only_open_sandboxes_have_a_view():
    for record, endpoints in ((plain("n", path=""), joined("n")), (replace(plain("n"), pid=0), joined("n"))):
        assert Views().follow(Snapshot([network("n")], [record], endpoints), HOST) == {}
    assert Views().follow(Snapshot([network("n")], [plain("n", network_mode="host")], joined("n")), HOST) == {}


def test_only_containers_with_a_live_endpoint_on_a_user_defined_network_have_names():
    for made, endpoints in (
        (network("bridge", predefined=True), joined("bridge")),
        (network("n"), joined("n", phase="reserved")),
        (network("n", driver="host"), joined("n")),
    ):
        (result,) = Views().follow(Snapshot([made], [plain(made.name)], endpoints), HOST).values()
        assert not result.is_named
        assert result.view.networks == ()


def test_only_new_and_different_views_are_returned():
    networks, record, cache = [network("n"), network("m")], plain("n"), Views()
    first = cache.follow(Snapshot(networks, [record], joined("n")), HOST)["c"].view
    assert cache.follow(Snapshot(networks, [record], joined("n")), HOST) == {}
    renamed = replace(record, name="d")
    assert cache.follow(Snapshot(networks, [renamed], joined("n")), HOST) == {}, "an equal view"
    assert cache.follow(Snapshot(networks, [record], joined("n", "m")), HOST)["c"].view.networks == ("m", "n")
    other = cache.follow(Snapshot(networks, [record], joined("n")), Defaults(HostFiles("nameserver 192.0.2.9")))[
        "c"
    ].view
    assert other.upstreams != first.upstreams
    assert cache.results["c"].view is other
    assert cache.follow(Snapshot(networks, [], joined("n")), HOST) == cache.results == {}
    assert cache.follow(Snapshot(networks, [record], joined("n")), HOST)["c"].view == first


def test_a_loopback_server_is_asked_on_the_host_or_in_the_sandbox_that_names_it():
    assert view([network("n")], plain("n")).upstreams == (Upstream("192.0.2.1"), Upstream("127.0.0.1", on_host=True))
    assert view([network("n")], plain("n", dns=["127.0.0.1"])).upstreams == (Upstream("127.0.0.1"),)


def test_at_most_three_servers_are_asked():
    servers = [f"192.0.2.{i}" for i in range(5)]
    assert len(view([network("n")], plain("n", dns=servers)).upstreams) == 3


def test_servers_of_daemon_json_replace_those_of_the_host():
    defaults = Defaults(HOST.host, dns=("198.51.100.1",), options=("ndots:2",))
    sandbox = view([network("n")], plain("n"), defaults)
    assert sandbox.upstreams == (Upstream("198.51.100.1"),)
    assert sandbox.ndots


def test_servers_over_ipv6_are_asked_from_the_host_for_a_sandbox_without_ipv6():
    defaults = Defaults(HostFiles("nameserver 2001:db8::53\n"))
    assert view([network("n")], plain("n"), defaults).upstreams == (Upstream("2001:db8::53", on_host=True),)


@pytest.mark.parametrize(
    ("sysctls", "on_host"),
    [
        ({}, False),
        ({"net.ipv6.conf.all.disable_ipv6": "1"}, True),
        ({"net/ipv6/conf/eth0/disable_ipv6": "1"}, True),
        ({"net.ipv6.conf.eth1.disable_ipv6": "1"}, False),
        ({"net.ipv6.conf.all.disable_ipv6": "0"}, False),
    ],
)
def test_servers_over_ipv6_are_asked_from_the_host_if_sysctls_disable_ipv6(sysctls, on_host):
    """Docker 26.1.5 asks them in the container, which does not reach them."""
    endpoints = [replace(e, ipv4="10.0.0.2/24", ipv6="fd00::2/64", interface="eth0") for e in joined("n")]
    state = Snapshot([network("n")], [plain("n", sysctls=sysctls)], endpoints)
    result = Views().follow(state, Defaults(HostFiles("nameserver 2001:db8::53\n")))["c"]
    assert result.view.upstreams == (Upstream("2001:db8::53", on_host=on_host),)


def test_the_stub_of_systemd_resolved_is_asked_from_the_host_except_for_containers_of_the_default_bridge():
    """Docker 26.1.5 does the same, and so does the text of /etc/resolv.conf."""
    defaults = Defaults(HostFiles("nameserver 127.0.0.53\n", "nameserver 192.0.2.7\n"))
    own = plain("n", network_mode="n")
    assert view([network("n")], own, defaults).upstreams == (Upstream("127.0.0.53", on_host=True),)
    connected = plain("n", network_mode="bridge")
    assert view([network("n")], connected, defaults).upstreams == (Upstream("192.0.2.7"),)


def test_a_container_with_an_invalid_server_has_no_servers():
    assert view([network("n")], plain("n", dns=["nonsense"])).upstreams == ()


def test_on_internal_networks_only_servers_are_asked_that_the_sandbox_reaches_itself():
    defaults = Defaults(HostFiles("nameserver 2001:db8::53\nnameserver 10.0.0.53\n"))
    inside, on_host = Upstream("10.0.0.53"), Upstream("2001:db8::53", on_host=True)
    assert view([network("n", internal=True)], plain("n"), defaults).upstreams == (inside,)
    both = [network("n", internal=True), network("m")]
    assert view(both, plain("n", "m"), defaults).upstreams == (on_host, inside)


def test_links_are_parsed_in_each_notation_of_docker():
    record = container(("n", EndpointSettings(links=["db:store", "web", "/c2:/c1/alias"])))
    assert view([network("n")], record).links == (
        LinkAlias("store", "db", "n"),
        LinkAlias("web", "web", "n"),
        LinkAlias("alias", "c2", "n"),
    )
