"""The flags of ``hawse network create`` become one engine request."""

from __future__ import annotations

from engine.api import Created
from engine.model import IPAMConfig, NetworkCreate


def request(cli, *argv) -> NetworkCreate:
    result = cli("network", "create", *argv)
    assert (result.code, result.out, result.err) == (0, "a" * 64 + "\n", "")
    verb, (sent,), keywords = cli.engine.call
    assert (verb, keywords) == ("create", {})
    return sent


def test_create_without_flags_sends_only_the_name(cli):
    assert request(cli, "n1") == NetworkCreate(name="n1")


def test_create_sends_every_flag(cli):
    sent = request(
        cli, "--attachable", "--config-from", "cfg", "--config-only", "-d", "macvlan", "--ingress", "--internal",
        "--ipam-driver", "null", "--ipam-opt", "k=v", "--ipv4=false", "--ipv6", "--label", "a=1", "--label", "b",
        "--label", "a=2", "-o", "parent=ext0", "-o", "x", "--scope", "swarm", "n1",
    )  # fmt: skip
    assert sent == NetworkCreate(
        name="n1", driver="macvlan", scope="swarm", enable_ipv4=False, enable_ipv6=True, ipam_driver="null",
        ipam_options={"k": "v"}, internal=True, attachable=True, ingress=True, config_only=True, config_from="cfg",
        options={"parent": "ext0", "x": ""}, labels={"a": "2", "b": ""},
    )  # fmt: skip


def test_gateways_ranges_and_addresses_are_assigned_to_their_subnets(cli):
    sent = request(
        cli, "--gateway", "fd00::1,172.30.0.1", "--aux-address", "a=172.30.0.9", "--aux-address", "b=fd00::9",
        "--subnet", "172.30.0.0/16", "--subnet", "fd00::/64", "--ip-range", "172.30.1.0/24", "n1",
    )  # fmt: skip
    assert sent.ipam_config == (
        IPAMConfig("172.30.0.0/16", "172.30.1.0/24", "172.30.0.1", {"a": "172.30.0.9"}),
        IPAMConfig("fd00::/64", "", "fd00::1", {"b": "fd00::9"}),
    )


def test_an_empty_subnet_is_ignored(cli):
    assert request(cli, "--subnet", "", "n1").ipam_config == ()


def test_an_invalid_subnet_alone_is_passed_to_the_engine(cli):
    assert request(cli, "--subnet", "bogus", "n1").ipam_config == (IPAMConfig("bogus"),)


def test_an_ipv4_mapped_subnet_is_ipv4(cli):
    sent = request(cli, "--subnet", "::ffff:10.9.0.0/112", "--gateway", "10.9.0.1", "n1")
    assert sent.ipam_config == (IPAMConfig("::ffff:10.9.0.0/112", gateway="10.9.0.1"),)


def test_warnings_go_to_stderr(cli):
    cli.engine.answers["networks"]["create"] = Created("b" * 64, ("mind the gap",))
    result = cli("network", "create", "n1")
    assert (result.out, result.err) == ("b" * 64 + "\n", "WARNING: mind the gap\n")
