"""hawse reads Docker's keys from daemon.json, and checks their types. Errors name the file and the key."""

from __future__ import annotations

import json
from ipaddress import ip_network
from pathlib import Path

import pytest

from engine.config import Config, load_config
from engine.errors import EngineError, InvalidArgument, Unavailable
from engine.ipam import DefaultPool


def written(tmp_path, document):
    path = tmp_path / "daemon.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_a_missing_or_empty_file_gives_dockers_defaults(tmp_path):
    assert load_config(tmp_path / "nothing") == Config()
    for document in ("", " \n", "{}"):
        assert load_config(written(tmp_path, document)) == Config()
    assert Config().ip == "0.0.0.0" and Config().icc and Config().ip_masq and not Config().ipv6


def test_the_environment_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("HAWSE_CONFIG", str(written(tmp_path, {"mtu": 1400})))
    assert load_config().mtu == 1400


def test_every_key_is_read_in_canonical_form(tmp_path):
    document = {
        "default-address-pools": [{"base": "10.10.0.0/16", "size": 24}, {"base": "fd00:10::/48", "size": 64}],
        "bip": "192.168.5.1/24",
        "bip6": "FD00:0::1/64",
        "fixed-cidr": "192.168.5.128/25",
        "fixed-cidr-v6": "fd00::/80",
        "default-gateway": "192.168.5.254",
        "default-gateway-v6": "fd00::9",
        "mtu": 1400,
        "dns": ["192.0.2.53", "FD00::53"],
        "dns-search": ["example.test"],
        "dns-opts": ["ndots:2"],
        "icc": False,
        "ip": "127.0.0.1",
        "ip-forward": False,
        "ip-masq": False,
        "iptables": True,
        "ip6tables": True,
        "ipv6": True,
        "host-gateway-ip": "192.0.2.1",
        "default-network-opts": {"bridge": {"com.docker.network.driver.mtu": "1234"}},
        "log-driver": "local",
        "log-opts": {"max-size": "10m"},
        "default-log-limit": "50m",
        "allow-direct-routing": True,
        "bridge-accept-fwmark": "0x10/0xff",
        "heal": False,
        "netns-names": False,
    }
    assert load_config(written(tmp_path, document)) == Config(
        default_address_pools=(
            DefaultPool(ip_network("10.10.0.0/16"), 24),
            DefaultPool(ip_network("fd00:10::/48"), 64),
        ),
        bip="192.168.5.1/24",
        bip6="fd00::1/64",
        fixed_cidr="192.168.5.128/25",
        fixed_cidr_v6="fd00::/80",
        default_gateway="192.168.5.254",
        default_gateway_v6="fd00::9",
        mtu=1400,
        dns=("192.0.2.53", "fd00::53"),
        dns_search=("example.test",),
        dns_opts=("ndots:2",),
        icc=False,
        ip="127.0.0.1",
        ip_forward=False,
        ip_masq=False,
        ipv6=True,
        host_gateway_ip="192.0.2.1",
        default_network_opts={"bridge": {"com.docker.network.driver.mtu": "1234"}},
        log_driver="local",
        log_opts={"max-size": "10m"},
        default_log_limit=50_000_000,
        allow_direct_routing=True,
        bridge_accept_fwmark="16/255",
        heal=False,
        netns_names=False,
    )
    assert load_config(written(tmp_path, {"bridge": "br0"})).bridge == "br0"  # the key bridge excludes the key bip
    keys = {key.replace("-", "_") for key in (*document, "bridge")}
    assert keys - {"iptables", "ip6tables"} == set(Config.__struct_fields__)


def test_null_and_empty_text_mean_that_a_key_is_not_given_as_in_docker_26_1_5(tmp_path):
    addresses = ("bip", "bip6", "fixed-cidr", "fixed-cidr-v6", "default-gateway", "default-gateway-v6")
    keys = [*addresses, "icc", "ip", "mtu", "dns", "iptables", "log-driver", "log-opts", "default-address-pools"]
    assert load_config(written(tmp_path, dict.fromkeys(keys))) == Config()
    assert load_config(written(tmp_path, dict.fromkeys(addresses, ""))) == Config()


def test_keys_for_other_parts_of_a_container_engine_are_ignored(tmp_path):
    assert load_config(written(tmp_path, {"userland-proxy": False, "log-level": "info"})) == Config()


@pytest.mark.parametrize(("limit", "size"), [("0", 0), (0, 0), (5000, 5000), ("1.5g", 1_500_000_000)])
def test_the_log_limit_is_a_number_of_bytes_or_has_a_unit(tmp_path, limit, size):
    assert load_config(written(tmp_path, {"default-log-limit": limit})).default_log_limit == size


def test_logging_that_docker_accepts_and_hawse_lacks(tmp_path):
    """hawse accepts a daemon.json that was written for Docker.

    If the file names a logging driver that hawse lacks, hawse uses json-file.
    """
    config = load_config(written(tmp_path, {"log-driver": "journald", "log-opts": {"tag": "{{.Name}}"}}))
    assert (config.log_driver, config.log_opts) == ("journald", {"tag": "{{.Name}}"})


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("{", "not valid JSON: Expecting property name"),
        ("[]", "expected an object"),
        pytest.param("[" * 100_000, "not valid JSON: maximum recursion depth exceeded", id="deep"),
        pytest.param(" " * (1 << 20) + "{}", "not valid JSON: the file is larger than 1048576 bytes", id="large"),
        ({"dns-search": ["\ud800"]}, "not valid JSON: 'utf-8' codec can't encode character"),
        ({"bridge": "br\0"}, "bridge: a NUL character is not allowed"),
        ({"mtuu": 1}, "mtuu: no such configuration key (did you mean mtu?)"),
        ({"colour": 1}, "colour: no such configuration key (man hawse-daemon.json lists the keys)"),
        ({"mtu": "1500"}, 'mtu: expected 0 or a number of bytes from 68 to 65535, found "1500"'),
        ({"dns": "1.1.1.1"}, 'dns: expected a list of strings, found "1.1.1.1"'),
        ({"dns-search": "x" * 99}, f'dns-search: expected a list of strings, found "{"x" * 59}…'),
        ({"mtu": True}, "mtu: expected 0 or a number of bytes"),
        ({"mtu": 67}, "mtu: expected 0 or a number of bytes"),
        ({"icc": "no"}, "icc: expected true or false"),
        ({"heal": "no"}, "heal: expected true or false"),
        ({"ip": "localhost"}, "ip: 'localhost' does not appear to be an IPv4 or IPv6 address"),
        ({"ip": 7}, "ip: expected a string"),
        ({"ip": False}, "ip: expected a string"),
        ({"bip": 0}, "bip: expected a string"),
        ({"bip6": []}, "bip6: expected a string"),
        ({"fixed-cidr": False}, "fixed-cidr: expected a string"),
        ({"default-gateway": {}}, "default-gateway: expected a string"),
        ({"mtuu": None}, "mtuu: no such configuration key"),
        ({"bip": "192.168.5.1/24", "bridge": "br0"}, "You specified -b & --bip, mutually exclusive options."),
        ({"fixed-cidr": "fd00::/64"}, "fixed-cidr: expected an IPv4 subnet, found fd00::/64"),
        ({"fixed-cidr-v6": "10.0.0.0/24"}, "fixed-cidr-v6: fixed-cidr-v6 is not an IPv6 subnet"),
        ({"bip": "fd00::1/64"}, "bip: expected an IPv4 address, found fd00::1/64"),
        ({"bip6": "10.1.0.1/24"}, "bip6: expected an IPv6 address, found 10.1.0.1/24"),
        ({"bip": "192.168.5.1"}, "bip: expected an address with its prefix length"),
        ({"bip": "192.168.5.1/33"}, "bip: '192.168.5.1/33' does not appear"),
        ({"dns": "192.0.2.1"}, "dns: expected a list of strings"),
        ({"dns": ["x"]}, "dns: 'x' does not appear"),
        ({"default-address-pools": {}}, "default-address-pools: expected a list"),
        ({"default-address-pools": [{"base": "10.0.0.0/8"}]}, 'default-address-pools: expected {"base"'),
        ({"default-address-pools": [{"base": "10.0.0.0/16", "size": 8}]}, "default-address-pools: 10.0.0.0/16 cannot"),
        ({"default-address-pools": [{"base": "x", "size": 8}]}, "default-address-pools: 'x' does not appear"),
        ({"log-opts": {"foo": "1"}}, "log-opts: unknown log opt 'foo' for json-file log driver"),
        ({"log-driver": "local", "log-opts": {"tag": "x"}}, "log-opts: unknown log opt 'tag' for log driver local"),
        ({"log-opts": {"max-file": 3}}, "log-opts: expected a string"),
        ({"log-opts": ["max-file"]}, "log-opts: expected an object"),
        ({"log-driver": 5}, "log-driver: expected a string"),
        ({"default-log-limit": "x"}, "default-log-limit: invalid size: 'x'"),
        ({"default-log-limit": -1}, "default-log-limit: invalid size: '-1'"),
        ({"default-log-limit": "9" * 99}, "default-log-limit: expected a size"),
        ({"iptables": False}, "iptables: false is not supported: hawse always isolates networks"),
        ({"ip6tables": False}, "ip6tables: false is not supported: hawse always isolates networks"),
        ({"iptables": "no"}, "iptables: expected true or false"),
        ({"ip-forward": 0}, "ip-forward: expected true or false"),
        ({"default-network-opts": {"bridge": []}}, "default-network-opts: expected an object"),
        ({"default-network-opts": {"bridge": {"a": 1}}}, "default-network-opts: expected a string"),
    ],
)
def test_a_mistake_names_file_and_key(tmp_path, document, complaint):
    path = written(tmp_path, document)
    with pytest.raises(InvalidArgument) as raised:
        load_config(path)
    assert str(raised.value).startswith(f"{path}: {complaint}")


def test_an_unreadable_file_gives_one_clear_error_line(tmp_path):
    with pytest.raises(Unavailable, match=r": is a directory$"):
        load_config(tmp_path)
    path = written(tmp_path, "{}")
    path.write_bytes(b"\xff")
    with pytest.raises(EngineError, match="not valid JSON"):
        load_config(path)
    with pytest.raises(EngineError, match="the file is larger than 1048576 bytes"):
        load_config(Path("/dev/zero"))


# Some values come from moby 28.5 (TestValidateAcceptFwMarkMark in daemon/config/config_linux_test.go). All other values
# are forms that Go's ParseUint allows.
MARKS = {
    "": "", "1": "1", "0x1": "1", "1/2": "1/2", "0x1/0x2": "1/2", "010/0xff": "8/255", "0b11/0o17": "3/15",
    "0": "0", "1_0/0x_f": "10/15", "4294967295": "4294967295",
}  # fmt: skip
BAD_MARKS = {
    "hello/0x2": 'invalid firewall mark "hello/0x2": strconv.ParseUint: parsing "hello": invalid syntax',
    "1/hello": 'invalid firewall mask "1/hello": strconv.ParseUint: parsing "hello": invalid syntax',
    "1+hello": 'invalid firewall mark "1+hello": strconv.ParseUint: parsing "1+hello": invalid syntax',
    "1/": 'invalid firewall mask "1/": strconv.ParseUint: parsing "": invalid syntax',
    "-1": 'invalid firewall mark "-1": strconv.ParseUint: parsing "-1": invalid syntax',
    "09": 'invalid firewall mark "09": strconv.ParseUint: parsing "09": invalid syntax',
    "1/0x100000000": 'invalid firewall mask "1/0x100000000": strconv.ParseUint: parsing "0x100000000": '
    "value out of range",
    "9" * 5000: f'invalid firewall mark "{"9" * 5000}": strconv.ParseUint: parsing "{"9" * 5000}": value out of range',
}


@pytest.mark.parametrize("text", MARKS)
def test_a_firewall_mark_is_read_as_docker_reads_it(tmp_path, text):
    assert load_config(written(tmp_path, {"bridge-accept-fwmark": text})).bridge_accept_fwmark == MARKS[text]


@pytest.mark.parametrize("text", BAD_MARKS)
def test_a_wrong_firewall_mark_is_refused_in_dockers_words(tmp_path, text):
    with pytest.raises(InvalidArgument) as refused:
        load_config(written(tmp_path, {"bridge-accept-fwmark": text}))
    assert str(refused.value).endswith(f"daemon.json: bridge-accept-fwmark: {BAD_MARKS[text]}")
