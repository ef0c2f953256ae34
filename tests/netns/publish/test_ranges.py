"""A published port range of any length is one record in the store and one element of the firewall.

When one port of the range is unpublished, the record and the element are each split into two.
"""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from drivers.linux import netns as namespaces

pytestmark = pytest.mark.netns
HOST, HOST6 = "192.168.99.11", "fd99::11"
PORTS = (20000, 25000, 25001, 30000)
RECORD_LIMIT = 3000
"""Maximum length of a container's record in bytes. Ten thousand single ports would need more than ten times as many
bytes.
"""


@pytest.fixture(scope="module")
def ranged(world) -> Iterator[dict[str, str]]:
    """A host with a container that publishes a range of ten thousand ports."""
    world.networks(dual=["--ipv6", "--subnet", "172.31.0.0/16", "--subnet", "fd00:31::/64"])
    paths = world.containers(web=["--network", "dual", "-p", "20000-30000:20000-30000"])
    for port in PORTS:
        world.serve(paths["web"], port)
    yield paths


def elements(world) -> dict[str, int]:
    objects = json.loads(world.host.sh("nft -j list table inet hawse"))["nftables"]
    sets = [o[kind] for o in objects for kind in ("set", "map") if kind in o]
    return {o["name"]: len(o["elem"]) for o in sets if "elem" in o}


def records(world) -> list[int]:
    """Return the lengths of the store's container and endpoint records."""
    with closing(sqlite3.connect(f"file:{next(world.host.root.glob('*.db'))}?mode=ro", uri=True)) as store:
        return [
            n
            for (n,) in store.execute(
                "SELECT length(body) FROM containers UNION ALL SELECT length(body) FROM endpoints"
            )
        ]


def test_a_range_is_one_record_and_one_element(world, ranged):
    held = elements(world)
    expected = {"range4": 1, "range6": 1, "relayed": 2, "open_range4": 1, "open_range6": 1}
    assert {name: held[name] for name in expected} == expected
    assert sum(held.values()) < 30
    assert max(records(world)) < RECORD_LIMIT


def test_every_port_of_a_range_is_shown(world, ranged):
    shown = world.hawse("port", "web").splitlines()
    assert len(shown) == 2 * 10_001
    assert shown[:2] == ["20000/tcp -> 0.0.0.0:20000", "20000/tcp -> [::]:20000"]
    document = json.loads(world.hawse("inspect", "web"))[0]
    for ports in (
        document["NetworkSettings"]["Ports"],
        document["HostConfig"]["PortBindings"],
        document["Config"]["ExposedPorts"],
    ):
        assert list(ports) == [f"{port}/tcp" for port in range(20000, 30001)]
    assert document["HostConfig"]["PortBindings"]["25000/tcp"] == [{"HostIp": "", "HostPort": "25000"}]
    assert world.hawse("ps", "--format", "{{.Ports}}") == (
        "0.0.0.0:20000-30000->20000-30000/tcp, :::20000-30000->20000-30000/tcp"
    )


def test_unpublishing_ports_in_the_middle_of_a_range_does_not_affect_the_others(world, ranged):
    with namespaces.run_in_netns(world.peer.path, lambda: socket.create_connection((HOST, 25001), timeout=5)) as other:
        assert other.recv(100) == b"192.168.99.99"
    talk = namespaces.run_in_netns(world.peer.path, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    listener = namespaces.run_in_netns(ranged["web"], lambda: socket.create_server(("0.0.0.0", 26000)))
    with talk, listener:
        talk.settimeout(5)
        talk.connect((HOST, 26000))
        accepted, _ = listener.accept()
        world.hawse("unpublish", "web", "24999-25000")
        talk.send(b"still here")
        assert accepted.recv(100) == b"still here"
        accepted.close()
    for host in (HOST, HOST6):
        assert world.silent(world.question(world.peer.path, host, 25000))
        assert all(world.reaches(world.peer.path, host, port) for port in (20000, 25001, 30000))
    assert world.hawse("ps", "--format", "{{.Ports}}") == (
        "0.0.0.0:20000-24998->20000-24998/tcp, :::20000-24998->20000-24998/tcp, "
        "0.0.0.0:25001-30000->25001-30000/tcp, :::25001-30000->25001-30000/tcp, 24999-25000/tcp"
    )
    assert elements(world)["range4"] == 2


@pytest.mark.parametrize("address", ["", f"{HOST}:"])
def test_ranges_with_common_container_ports_do_not_stop_later_commands(world, ranged, address):
    """A network with a trusted interface also has elements for ports on one host address."""
    world.networks(trusting=["-o", "com.docker.network.bridge.trusted_host_interfaces=ext0"])
    flags = (
        ["-p", f"{address}8000-8010:8000-8010", "-p", f"{address}:8005"] if address else ["-p", "8000-8010:8000-8010"]
    )
    paths = world.containers(both=["--network", "trusting", *flags])
    world.serve(paths["both"], 8012)
    world.hawse("publish", "both", f"{address}9005-9012:8005-8012")
    assert world.reaches(world.peer.path, HOST, 9012)
    world.hawse("unpublish", "both", f"{address}9006:8006")
    world.host.sh("nft flush ruleset")
    world.hawse("network", "create", "later")
    assert world.reaches(world.peer.path, HOST, 9012)
    assert world.silent(world.question(world.peer.path, HOST, 9006))
    world.hawse("rm", "-f", "both")
    world.hawse("network", "rm", "later", "trusting")


def test_one_of_several_host_ports_of_a_port_is_unpublished(world, ranged):
    world.hawse("publish", "web", "1234:90", "127.0.0.1:1235:90", "91")
    chosen = world.hawse("port", "web", "91").rpartition(":")[2].strip()
    for text in ("7777:90", "7777:91", "127.0.0.2:1235:90"):
        refused = world.host.hawse("unpublish", "web", "1234:90", text, check=False)
        assert f"No public port '{text}/tcp'" in refused.stderr
    assert "90/tcp -> 0.0.0.0:1234" in world.hawse("port", "web")  # a refused command unpublishes no port
    world.hawse("unpublish", "web", "1234:90", f"{chosen}:91")
    assert world.hawse("port", "web", "90") == "127.0.0.1:1235"
    assert "\n91/tcp" not in world.hawse("port", "web")
    world.hawse("unpublish", "-p", "127.0.0.1:1235:90", "web")
    assert not world.hawse("port", "web").startswith("90/tcp")
    assert "\n90/tcp" not in world.hawse("port", "web")


def test_a_setting_with_a_choice_is_unpublished_as_it_was_published(world, ranged):
    settings = ["--network", "dual", "-p", "8400-8410:80"]
    world.containers(first=settings)
    world.containers(second=[*settings, "-p", "8409:80"])
    assert "80/tcp -> 0.0.0.0:8401" in world.hawse("port", "second")
    world.hawse("unpublish", "second", "-p", "8400-8410:80")
    assert world.hawse("port", "second").splitlines() == ["80/tcp -> 0.0.0.0:8409", "80/tcp -> [::]:8409"]
    assert world.silent(world.question(world.peer.path, HOST, 8401))
    world.hawse("stop", "-t", "0", "first")
    world.hawse("unpublish", "first", "8400-8410:80")
    assert world.hawse("inspect", "-f", "{{.HostConfig.PortBindings}}", "first") == "map[]"
    world.hawse("rm", "-f", "first", "second")


def test_a_restart_publishes_the_ports_that_were_not_unpublished(world, ranged):
    """The container has two ranges for one port, and two equal settings for another."""
    settings = ["-p", "8100-8110:80", "-p", "9100-9110:80", "-p", "81", "-p", "81"]
    world.containers(several=["--network", "dual", *settings])
    chosen = world.hawse("port", "several", "81").splitlines()[0].rpartition(":")[2]
    world.hawse("unpublish", "several", "9100:80", f"{chosen}:81")
    world.hawse("restart", "-t", "0", "several")
    kept = [int(line.rpartition(":")[2]) for line in world.hawse("port", "several", "80").splitlines()]
    assert len(kept) == 2 and all(8100 <= port <= 8110 for port in kept)
    assert len(world.hawse("port", "several", "81").splitlines()) == 2
    world.hawse("rm", "-f", "several")


def test_an_unpublished_port_of_all_exposed_ports_stays_unpublished(world, ranged):
    world.containers(exposing=["--network", "dual", "-P", "--expose", "80-81", "-p", "8300:82"])
    world.hawse("unpublish", "exposing", "80", "82")
    world.hawse("restart", "-t", "0", "exposing")
    assert [line.split()[0] for line in world.hawse("port", "exposing").splitlines()] == ["81/tcp", "81/tcp"]
    world.hawse("rm", "-f", "exposing")


def test_one_address_of_the_listing_is_unpublished(world, ranged):
    world.containers(listed=["--network", "dual", "-p", "8200:80", "-p", "0.0.0.0:8201:80"])
    world.hawse("unpublish", "listed", "0.0.0.0::80")
    for after in ("unpublish", "restart"):
        if after == "restart":
            world.hawse("restart", "-t", "0", "listed")
        world.serve(world.paths("listed")["listed"], 80)
        assert world.hawse("port", "listed") == "80/tcp -> [::]:8200"
        assert world.reaches(world.peer.path, HOST6, 8200)
        assert world.silent(world.question(world.peer.path, HOST, 8200))
    world.hawse("unpublish", "listed", "[::]:8200:80")
    assert world.hawse("port", "listed") == ""
    world.hawse("rm", "-f", "listed")
