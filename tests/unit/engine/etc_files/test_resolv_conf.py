"""Contents of resolv.conf, built from the host's file and the flags, equal the files recorded from dockerd 26.1.5."""

import json
from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.etc_files.resolv_conf import Overrides, Transform, parse, resolv_conf

RECORDED = [
    json.loads(line) for line in (Path(__file__).parent / "docker-26.1.5-resolv-conf.jsonl").read_text().splitlines()
]
TRANSFORMS = {"bridge": Transform.LEGACY, "none": Transform.LEGACY, "host": Transform.NONE}


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: f"{case['host']!r} {' '.join(case['args'])}")
def test_the_file_is_dockers(case):
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


def test_servers_of_the_flags_stay_on_the_default_bridge_even_when_local():
    made = resolv_conf("nameserver 1.1.1.1\n", Transform.LEGACY, Overrides(["127.0.0.1"]), ipv6=False)
    assert made.servers == ["127.0.0.1"]
    assert not made.used_defaults


def test_each_upstream_server_names_the_namespace_that_reaches_it():
    made = resolv_conf("nameserver 127.0.0.53\nnameserver 9.9.9.9\n", Transform.INTERNAL, Overrides(), ipv6=False)
    assert [(u.address, u.on_host) for u in made.upstreams] == [("127.0.0.53", True), ("9.9.9.9", False)]


def test_a_flag_that_is_no_address_is_refused():
    with pytest.raises(EngineError, match=r'^bad nameserver address bogus: ParseAddr\("bogus"\): unable to parse IP$'):
        resolv_conf("", Transform.LEGACY, Overrides(["bogus"]), ipv6=False)


def test_a_directive_without_value_changes_nothing():
    assert parse("search a\nsearch\nnameserver\noptions\n") == parse("search a\n")
