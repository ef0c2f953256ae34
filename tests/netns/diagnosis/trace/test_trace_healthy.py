"""On a healthy host, ``hawse trace`` reports each target as reachable within a time limit, and leaves no objects
behind.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time

import pytest

from drivers.linux import netns as namespaces
from tests.conftest import loaded, until

pytestmark = pytest.mark.netns
YES_SECONDS, NO_SECONDS = 2.0, 5.0
REACHABLE = {
    "db": [
        "shop:80",
        "web:80", "web.app:80", "web", "web:53/udp", "172.31.0.2:80", "172.31.0.2", "[fd31::2]:80", "fd31::2",
        "[fd31::2]:53/udp", "http://web/", "http://172.31.0.2/index.html", "http://[fd31::2]/", "published:8080",
        "published:8080/tcp", "published:8053/udp", "192.168.99.11:8080", "172.31.0.1:8080", "172.31.0.1",
        "192.168.99.99", "192.168.99.99:91", "[fd99::99]:91", "fd99::99", "localhost", "127.0.0.1", "third", "db",
    ],
    "web": ["localhost:81", "web:80", "172.31.0.2:80"],
    "host": [
        "web:80", "web", "db", "web:53/udp", "172.31.0.2:80", "[fd31::2]:80", "published:8080", "published:8081",
        "published:8053/udp", "127.0.0.1:8081", "192.168.99.11:8080", "[fd99::11]:8080", "192.168.99.99:91", "safe:80",
        "lone:80", "192.168.99.11:92", "far:80", "localhost:92",
    ],
    "outside": ["published:8080", "published:8080/tcp", "web:80", "192.168.99.11:8080", "[fd99::11]:8080",
                "published:8053/udp", "192.168.99.11:92", "192.168.99.11", "fd99::11"],
    "outside:ext0": ["published:8080", "http://192.168.99.11:8080/"],
    "safe2": ["safe:80", "safe", "172.33.0.2:53/udp"],
    "far": ["published:8080", "192.168.99.99:91"],
}  # fmt: skip
CASES = [(source, target) for source, targets in REACHABLE.items() for target in targets]


def state(lab) -> list[str]:
    """Return the rules, links, addresses and routes of the host and of three containers."""
    command = "nft list ruleset; ip -d link; ip addr; ip route; ip -6 route; ip rule"
    text = "".join(lab.at(place, command) for place in ("host", "web", "db", "safe"))
    return re.sub(r"(_timer|_lft) +[\d.a-z]+| tentative", "", text).splitlines()


@pytest.mark.parametrize(("source", "target"), CASES)
def test_a_healthy_target_is_reachable(lab, source, target):
    began = time.monotonic()
    traced = lab.trace(source, target)
    assert (traced["reachable"], traced["culprit"], traced["code"]) == (True, None, 0), traced
    assert any(hop["seen"] for hop in traced["hops"])
    assert time.monotonic() - began < loaded(YES_SECONDS)


def test_an_alias_of_two_containers_is_the_address_in_the_hosts_file(lab):
    pair = {"one": "172.31.0.5", "two": "172.31.0.6"}
    run, sleep = ("run", "-d", "--network", "app", "--name"), ("hostfs", "sleep", "1d")
    for name, address in pair.items():
        lab.hawse(*run, name, "--ip", address, "--network-alias", "pair", *sleep)
    try:
        for address in pair.values():
            lab.hawse(*run, "ask", "--add-host", f"pair:{address}", *sleep)
            traced = lab.trace("ask", "pair")
            assert [hop["detail"] for hop in traced["hops"] if hop["what"] == "name pair"] == [address], traced
            lab.hawse("rm", "-f", "ask")
    finally:
        lab.hawse("rm", "-f", "ask", *pair)


@pytest.mark.parametrize(
    ("source", "target"),
    [("db", "web:80"), ("host", "published:8080"), ("outside", "web:80"), ("db", "172.31.0.2:53/udp")],
)
def test_a_healthy_target_is_reachable_without_a_probe(lab, source, target):
    traced = lab.trace("--dry", source, target)
    assert (traced["reachable"], traced["culprit"], traced["code"]) == (True, None, 0), traced
    assert not any(hop["seen"] for hop in traced["hops"])


def test_a_namespace_that_hawse_did_not_make(lab, netns):
    netns.sh(
        "ip link add e0 type veth peer name e1; ip link set e0 up; ip link set e1 up; ip addr add 10.44.0.1/24 dev e0"
    )
    assert lab.trace(f"netns:{netns.name}", "10.44.0.1")["reachable"] is True
    traced = lab.trace(f"netns:{netns.name}", "10.55.0.1:80")
    assert (traced["culprit"]["kind"], traced["code"]) == ("no-route", 1)


def test_an_adopted_namespace_is_a_target(lab, netns):
    name = f"netns:{netns.name}"
    unknown = lab.trace("db", f"{name}:80")["culprit"]
    assert (unknown["kind"], unknown["fix"]) == (
        "no-such-endpoint", f"connect it: hawse network connect NETWORK {name}",
    )  # fmt: skip
    lab.hawse("network", "connect", "app", name)
    try:
        for source in ("db", "host"):
            for target in (name, f"netns:{netns.path}"):
                assert lab.trace(source, target)["reachable"] is True
            assert lab.trace(source, f"{name}:80")["culprit"]["object"] == f"port 80/tcp of {name}"
    finally:
        lab.hawse("network", "disconnect", "app", name)


def test_the_service_sees_no_error(lab):
    """A service that reads what its client sends sees the end of the connection, and not a reset."""
    lab.hawse("run", "-d", "--name", "logged", "--network", "app", "-p", "8088:80",
              "hostfs", "python3", "-u", "-m", "http.server", "80")  # fmt: skip
    try:
        until(lambda: lab.trace("db", "logged:80")["reachable"])
        for argv in (("db", "logged:80"), ("host", "published:8088"), ("outside", "published:8088")):
            assert lab.trace(*argv)["reachable"] is True
        assert lab.host.hawse("logs", "logged").stderr == ""
    finally:
        lab.hawse("rm", "-f", "logged")


def test_the_text_output_ends_with_the_result_and_the_remedy(lab):
    yes = lab.host.hawse("trace", "db", "web:80", check=False)
    assert yes.returncode == 0
    assert "chain inet hawse " in yes.stdout
    assert "hawse_standby" not in yes.stdout
    assert yes.stdout.splitlines()[-1] == "db reaches web:80"
    no = lab.host.hawse("trace", "db", "web:4444", check=False)
    assert no.returncode == 1
    assert no.stdout.splitlines()[-3:] == [
        "db does not reach web:4444",
        "port-not-listening: port 4444/tcp of web: no process in web listens at port 4444/tcp",
        "what to do: start the service in web, or use the port at which it listens",
    ]


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (("nobody", "web:80"), "No such container: nobody"),
        (("db", "web:99999"), "invalid target: web:99999"),
        (("outside:eth77", "web:80"), "no such interface: eth77"),
        (("netns:nowhere-here", "web"), "No such network namespace: nowhere-here"),
    ],
)
def test_invalid_arguments_are_refused_with_a_reason(lab, argv, text):
    done = lab.host.hawse("trace", *argv, check=False)
    assert done.returncode == 2
    assert text in done.stderr


def test_nothing_is_left_behind(lab):
    before = state(lab)
    lab.trace("db", "web:80")
    lab.trace("outside", "published:8080")
    lab.trace("db", "web:4444/udp")
    assert state(lab) == before


def test_nothing_is_left_behind_after_a_kill(lab):
    before = state(lab)
    lab.at(
        "web", "nft 'add table ip foreign; add chain ip foreign c { type filter hook input priority 0; policy drop; }'"
    )
    environment = lab.host.env(HAWSE_WARM="off")
    try:
        for place in ("host", "web"):
            running = subprocess.Popen(
                lab.host.command("trace", "db", "172.31.0.2:80"), env=environment, stdout=subprocess.DEVNULL
            )
            until(lambda place=place: "hawse_trace" in lab.at(place, "nft list tables"), pause=0.005)
            os.kill(running.pid, signal.SIGKILL)
            running.wait()
            until(lambda: not any("hawse_trace" in lab.at(p, "nft list tables") for p in ("host", "web", "db")))
    finally:
        lab.at("web", "nft delete table ip foreign")
    assert state(lab) == before


def test_a_culprit_is_named_in_time(lab):
    lab.at(
        "web", "nft 'add table ip foreign; add chain ip foreign c { type filter hook input priority 0; policy drop; }'"
    )
    try:
        began = time.monotonic()
        assert lab.trace("db", "web:80")["culprit"]["kind"] == "container-firewall"
        assert time.monotonic() - began < loaded(NO_SECONDS)
    finally:
        lab.at("web", "nft delete table ip foreign")


def test_a_healthy_trace_changes_no_record_and_repairs_nothing(lab):
    bridge = lab.bridge("other")
    lab.host.sh(f"ip link set {bridge} down")
    try:
        assert lab.trace("host", "far:80")["culprit"]["kind"] == "bridge-down"
        links = json.loads(namespaces.run_in_netns(lab.host.path, lambda: os.popen(f"ip -j link show {bridge}").read()))
        assert "UP" not in links[0]["flags"]
    finally:
        lab.host.sh(f"ip link set {bridge} up")


@pytest.mark.parametrize("flags", [(), ("--dry",)])
def test_the_external_interface_of_a_cloud_machine_has_a_subnet_of_one_address(lab, flags):
    lab.at("host", "ip addr del 192.168.99.11/24 dev ext0; ip addr add 192.168.99.11/32 dev ext0; "
                   "ip route replace 192.168.99.99 dev ext0; ip route replace default via 192.168.99.99")  # fmt: skip
    try:
        for target in ("web:80", "published:8080"):
            traced = lab.trace(*flags, "outside", target)
            assert traced["reachable"] is True, traced
    finally:
        lab.at("host", "ip addr del 192.168.99.11/32 dev ext0; ip addr add 192.168.99.11/24 dev ext0; "
                       "ip route replace default via 192.168.99.99")  # fmt: skip


def test_the_case_of_a_name_does_not_matter_to_the_host(lab):
    """A URL has its host in lower case. A container without an endpoint is found only by its own name."""
    try:
        lab.containers(Loud=["--network", "bridge"])
        lab.containers(loud=["--network", "bridge"])
        lab.containers(Alone=["--network", "bridge"])
        for name in ("Loud", "loud", "Alone", "alone"):
            traced = lab.trace("host", name)
            target = "Alone" if name == "alone" else name
            assert (traced["reachable"], traced["hops"][1]["what"]) == (True, f"container {target}"), traced
        assert lab.trace("host", "http://Alone:80")["culprit"]["kind"] == "port-not-listening"
        lab.hawse("stop", "-t0", "Alone")
        assert lab.trace("host", "http://Alone:80")["culprit"]["kind"] == "container-stopped"
    finally:
        lab.host.hawse("rm", "-f", "Loud", "loud", "Alone", check=False)
