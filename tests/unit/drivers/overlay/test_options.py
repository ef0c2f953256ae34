"""The tests check what the options of an overlay network mean, and which options are refused."""

from __future__ import annotations

import json
from base64 import b64encode
from ipaddress import ip_address, ip_network

import pytest
from msgspec.structs import replace

from drivers.errors import BadOption, Missing, Unsupported
from drivers.model import NetworkSpec, Peer, Pool
from drivers.overlay import OverlayDriver
from drivers.overlay import options as overlay_options

VTEP, VNIS = "com.hawse.overlay.vtep", "com.docker.network.driver.overlay.vxlanid_list"
MTU, WIREGUARD = "com.docker.network.driver.mtu", "com.hawse.overlay.wireguard"
KEY = b64encode(bytes(32)).decode()
PEER = {"public_key": KEY, "endpoint": "192.0.2.2", "address": "10.255.0.2"}
TUNNEL = {"private_key": KEY, "listen_port": 51820, "address": "10.255.0.1", "peers": [PEER]}


def network(*subnets: str, **options: str) -> NetworkSpec:
    pools = [Pool(ip_network(s)) for s in subnets or ("10.0.1.0/24",)]
    return NetworkSpec("ab" * 32, "o1", options, pools)


def peer(vtep: str, tunnel: str) -> Peer:
    return Peer("e", "02:42:00:00:00:01", None, None, ip_address(vtep), ip_address(tunnel))


def with_tunnel(**changes) -> dict[str, str]:
    return {"encrypted": "", WIREGUARD: json.dumps({**TUNNEL, **changes})}


@pytest.mark.parametrize(
    ("vtep", "options", "mtu"),
    [
        ("192.0.2.1", {}, 1450),
        ("2001:db8::1", {}, 1430),
        ("192.0.2.1", {MTU: "9000"}, 8950),
        ("192.0.2.1", with_tunnel(), 1390),
        ("2001:db8::1", with_tunnel(), 1370),
        ("192.0.2.1", with_tunnel(address="fd00::1", peers=[]), 1370),
        ("192.0.2.1", {**with_tunnel(), MTU: "1400"}, 1290),
    ],
)
def test_the_mtu_of_containers_is_that_of_the_underlay_without_the_headers(vtep, options, mtu):
    parsed = overlay_options.complete(network(**{VTEP: vtep, VNIS: "4097", **options}))
    assert parsed.inner_mtu(1500) == mtu


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({VNIS: "4097,x"}, 'invalid vxlan id value "x" passed'),
        ({VNIS: "0"}, 'invalid vxlan id value "0" passed'),
        ({VNIS: "9" * 5000}, f'invalid vxlan id value "{"9" * 5000}" passed'),
        ({VNIS: "16777216"}, 'invalid vxlan id value "16777216" passed'),
        ({VNIS: "5,5"}, f"a vxlan id is given twice in {VNIS}: 5,5"),
        ({MTU: "-1"}, "invalid MTU value: -1"),
        ({VTEP: "host"}, f"failed to parse {VTEP} value: host (nil ip)"),
        ({"encrypted": "", WIREGUARD: "{"}, f"{WIREGUARD}: not valid JSON"),
        ({"encrypted": "", WIREGUARD: "{}"}, f"{WIREGUARD}: listen_port is missing"),
        ({"encrypted": "", WIREGUARD: "[]"}, f"{WIREGUARD}: list indices must be integers or slices, not str"),
        (with_tunnel(listen_port=0), f"{WIREGUARD}: no port number: 0"),
        (with_tunnel(listen_port=True), f"{WIREGUARD}: no port number: True"),
        (with_tunnel(private_key="c2hvcnQ="), f"{WIREGUARD}: a key is not 32 bytes in base64"),
        (with_tunnel(private_key=KEY + "\nPostUp = x"), f"{WIREGUARD}: a key is not 32 bytes in base64"),
        (with_tunnel(address="10.0.1.9"), "tunnel address 10.0.1.9 is in the network's own subnet 10.0.1.0/24"),
        (with_tunnel(address="fd00::1"), "tunnel addresses of two families: fd00::1 and 10.255.0.2"),
    ],
)
def test_wrong_values_are_refused_before_anything_is_made(options, message):
    with pytest.raises(BadOption) as raised:
        OverlayDriver().check_network(network(**options), [])
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ipv4": False}, "IPv4 or IPv6 must be enabled"),
        ({"ipv4": False, "ipv6": True}, "network o1 has no IPv4 and no subnet (give an IPv6 subnet with --subnet)"),
    ],
)
def test_a_network_that_can_get_no_subnet_is_refused(changes, message):
    with pytest.raises(BadOption) as raised:
        OverlayDriver().check_network(replace(network(), pools=(), **changes), [])
    assert str(raised.value) == message
    OverlayDriver().check_network(replace(network("fd00::/64"), ipv4=False, ipv6=True), [])


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({VNIS: "1"}, Missing, f"network o1 has no underlay address on this host ({VTEP})"),
        ({VTEP: "192.0.2.1"}, BadOption, "no VNI provided"),
        ({VTEP: "192.0.2.1", VNIS: "1"}, BadOption, "insufficient vnis(1) passed to overlay"),
        (
            {VTEP: "192.0.2.1", VNIS: "1,2", "encrypted": ""},
            Unsupported,
            f"network o1 is encrypted, and this host was given no keys for it ({WIREGUARD})",
        ),
    ],
)
def test_a_network_whose_cluster_settings_are_missing_cannot_come_up(options, kind, message):
    spec = network("10.0.1.0/24", "10.0.2.0/24", **options)
    OverlayDriver().check_network(spec, [])
    with pytest.raises(kind) as raised:
        overlay_options.complete(spec)
    assert str(raised.value) == message


def test_packets_of_an_encrypted_network_go_to_tunnels_only():
    parsed = overlay_options.complete(network(**{VTEP: "192.0.2.1", VNIS: "1", **with_tunnel()}))
    assert str(parsed.local) == "10.255.0.1"
    assert parsed.remote(peer("192.0.2.2", "10.255.0.2")) == ip_address("10.255.0.2")
    assert parsed.remote(peer("192.0.2.2", "10.255.0.3")) is None, "another host with the same underlay address"
    assert parsed.remote(Peer("e", "02:42:00:00:00:01", None, None, ip_address("192.0.2.2"))) is None
    plain = overlay_options.complete(network(**{VTEP: "192.0.2.1", VNIS: "1"}))
    assert plain.remote(peer("192.0.2.3", "10.255.0.3")) == ip_address("192.0.2.3")


def test_wireguards_configuration_is_in_its_own_syntax_and_the_key_is_not_shown():
    peers = [PEER, {**PEER, "endpoint": "2001:db8::3", "port": 1, "address": "10.255.0.3"}]
    config = overlay_options.parse(network(**with_tunnel(peers=peers))).wireguard
    assert config is not None
    assert config.text() == (
        f"[Interface]\nPrivateKey = {KEY}\nListenPort = 51820\n"
        f"[Peer]\nPublicKey = {KEY}\nEndpoint = 192.0.2.2:51820\nAllowedIPs = 10.255.0.2/32\n"
        f"[Peer]\nPublicKey = {KEY}\nEndpoint = [2001:db8::3]:1\nAllowedIPs = 10.255.0.3/32\n"
    )
    assert "private_key" not in repr(config)
