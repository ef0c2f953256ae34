"""/etc/resolv.conf has the contents that were recorded from dockerd 26.1.5."""

import json
import os
from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.names import reaches_stub
from engine.resolv_conf import (
    LIMIT_BYTES,
    SYSTEM,
    HostFiles,
    Overrides,
    Transform,
    Upstream,
    parse_resolv_conf,
    read_host_file,
    read_host_files,
    resolv_conf,
)
from tests.unit.engine.conftest import no_descriptor_left

RECORDED = [
    json.loads(line) for line in (Path(__file__).parent / "docker-26.1.5-resolv-conf.jsonl").read_text().splitlines()
]
TRANSFORMS = {"bridge": Transform.LEGACY, "none": Transform.LEGACY, "host": Transform.NONE}


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: f"{case['host']!r} {' '.join(case['args'])}")
def test_resolv_conf_equals_dockers(case):
    flags = dict(zip(case["args"][::2], case["args"][1::2], strict=True))
    network = flags.get("--network", "bridge")
    overrides = Overrides(
        search=[flags["--dns-search"]] if "--dns-search" in flags else (),
        options=[flags["--dns-option"]] if "--dns-option" in flags else (),
    )
    transform = TRANSFORMS.get(network, Transform.INTERNAL)
    assert resolv_conf(case["host"], transform, overrides, ipv6=network == "n6").text == case["text"]


def test_flags_replace_the_hosts_settings():
    overrides = Overrides(["1.1.1.1", "8.8.8.8", "::1"], ["a.b", "c.d"], ["ndots:3", "timeout:2"])
    made = resolv_conf("nameserver 10.255.255.53\n", Transform.INTERNAL, overrides, ipv6=False)
    assert made.text.splitlines()[4:] == [
        "nameserver 127.0.0.11",
        "search a.b c.d",
        "options ndots:3 timeout:2",
        "",
        "# Based on host file: '/etc/resolv.conf' (internal resolver)",
        "# ExtServers: [1.1.1.1 8.8.8.8 ::1]",
        "# Overrides: [nameservers search options]",
        "# Option ndots from: override",
    ]


@pytest.mark.parametrize("invalid", ["ndots:x", "ndots", "ndots:", "ndots:-1", "ndots:1_0"])
def test_an_ndots_that_is_no_number_is_not_passed_to_a_user_defined_network(invalid):
    """Docker 26.1.5 does the same with options of the flags and with options of the host's file."""
    made = resolv_conf("", Transform.INTERNAL, Overrides(options=[invalid, "rotate"]), ipv6=False)
    assert (made.options, made.ndots_from) == (["rotate", "ndots:0"], "internal")
    made = resolv_conf(f"options {invalid} ndots:+2\n", Transform.INTERNAL, Overrides(), ipv6=False)
    assert (made.options, made.ndots_from) == (["ndots:+2"], "host")
    made = resolv_conf("", Transform.LEGACY, Overrides(options=[invalid]), ipv6=False)
    assert (made.options, made.ndots_from) == ([invalid], "override")


def test_servers_of_the_flags_stay_on_the_default_bridge_even_when_local():
    made = resolv_conf("nameserver 1.1.1.1\n", Transform.LEGACY, Overrides(["127.0.0.1"]), ipv6=False)
    assert made.servers == ["127.0.0.1"]
    assert not made.used_defaults


def test_each_upstream_server_names_the_namespace_that_reaches_it():
    made = resolv_conf("nameserver 127.0.0.53\nnameserver 9.9.9.9\n", Transform.INTERNAL, Overrides(), ipv6=False)
    assert [(u.address, u.on_host) for u in made.upstreams] == [("127.0.0.53", True), ("9.9.9.9", False)]


def test_a_loopback_server_in_ipv6_notation_is_asked_from_the_host():
    """Docker 26.1.5 does the same."""
    made = resolv_conf(
        "nameserver ::ffff:127.0.0.1\nnameserver ::ffff:9.9.9.9\n", Transform.INTERNAL, Overrides(), ipv6=True
    )
    assert [u.on_host for u in made.upstreams] == [True, False]


def test_servers_over_ipv4_are_asked_from_the_host_for_a_sandbox_with_ipv6_only():
    """Docker 28, which has such networks, asks all servers of the host's file from the host."""
    made = resolv_conf(
        "nameserver 9.9.9.9\nnameserver fd00::53\n", Transform.INTERNAL, Overrides(), ipv4=False, ipv6=True
    )
    assert [(u.address, u.on_host) for u in made.upstreams] == [("9.9.9.9", True), ("fd00::53", False)]
    made = resolv_conf("", Transform.INTERNAL, Overrides(["9.9.9.9"]), ipv4=False, ipv6=True)
    assert made.upstreams == [Upstream("9.9.9.9")]


def test_a_flag_that_is_no_address_is_refused():
    with pytest.raises(EngineError, match=r'^bad nameserver address bogus: ParseAddr\("bogus"\): unable to parse IP$'):
        resolv_conf("", Transform.LEGACY, Overrides(["bogus"]), ipv6=False)


def test_a_directive_without_value_changes_nothing():
    assert parse_resolv_conf("search a\nsearch\nnameserver\noptions\n") == parse_resolv_conf("search a\n")


STUB = HostFiles("nameserver 127.0.0.53\nsearch lan\n", "nameserver 192.0.2.7\nsearch behind.test\n")


@pytest.mark.parametrize("mode", ["bridge", "default", "none"])
def test_a_container_that_does_not_reach_the_stub_of_systemd_resolved_has_the_servers_behind_it(mode):
    """Docker 26.1.5 does the same."""
    path, text = STUB.chosen(reaches_stub=reaches_stub(mode))
    made = resolv_conf(text, Transform.LEGACY, Overrides(), source=str(path), ipv6=False)
    assert made.text.splitlines()[4:] == [
        "nameserver 192.0.2.7",
        "search behind.test",
        "",
        "# Based on host file: '/run/systemd/resolve/resolv.conf' (legacy)",
        "# Overrides: []",
    ]


@pytest.mark.parametrize("mode", ["host", "app"])
def test_other_containers_use_the_stub_of_systemd_resolved(mode):
    """Docker 26.1.5 does the same."""
    assert STUB.chosen(reaches_stub=reaches_stub(mode)) == (SYSTEM, STUB.system)


def test_a_second_server_beside_the_stub_of_systemd_resolved_keeps_the_hosts_file():
    files = HostFiles("nameserver 127.0.0.53\nnameserver 192.0.2.1\n", STUB.behind_stub)
    assert files.chosen(reaches_stub=False) == (SYSTEM, files.system)


def test_the_servers_of_the_host_are_those_behind_the_stub():
    assert STUB.servers == ["192.0.2.7"]
    assert HostFiles(STUB.system).servers == ["127.0.0.53"]


def test_the_text_names_no_file_that_is_missing():
    """Docker 26.1.5 does the same."""
    made = resolv_conf("", Transform.LEGACY, Overrides(), source="", ipv6=False)
    assert made.text.splitlines()[7:] == [
        "# Based on host file: '' (legacy)",
        "# Used default nameservers.",
        "# Overrides: []",
    ]


def test_a_missing_resolv_conf_counts_as_empty(tmp_path):
    assert read_host_files(tmp_path / "none", tmp_path / "none") == HostFiles()


def test_a_host_file_that_is_endless_or_a_fifo_neither_fills_the_memory_nor_blocks(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    assert read_host_file(tmp_path / "fifo") == ""
    assert len(read_host_file(Path("/dev/zero"))) == LIMIT_BYTES


def test_a_file_does_not_count_as_empty_without_file_descriptors():
    with no_descriptor_left(), pytest.raises(OSError, match="Too many open files"):
        read_host_file(SYSTEM)
