"""The redirection of port 53 in a sandbox: the rules that hawse sends are those that the nft program makes."""

from __future__ import annotations

import os
import threading
from ipaddress import IPv4Address

import pytest

from drivers.errors import Busy
from drivers.firewall import resolver_redirect, transaction
from drivers.firewall.resolver_redirect import TABLE
from drivers.linux import netns as namespaces
from engine.dns.resolver import serving_pair
from tests.conftest import until

ADDRESS = IPv4Address("127.0.0.11")


def listed(netns) -> str:
    return netns.run("nft", "list", "table", "ip", TABLE).stdout


@pytest.fixture
def patient(monkeypatch) -> None:
    """Let a change of the rules take longer than usual, because the machine may be busy."""
    monkeypatch.setattr(resolver_redirect, "TIMEOUT_SECONDS", 10.0)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("port", [7, 5353, 65535, resolver_redirect.SAMPLE_PORT])
def test_the_rules_are_those_of_the_script(netns, port):
    netns.run("nft", resolver_redirect.script(ADDRESS, port))
    due = listed(netns)
    netns.run("nft", "delete", "table", "ip", TABLE)
    namespaces.run_in_netns(netns.path, lambda: resolver_redirect.redirect(ADDRESS, port))
    assert listed(netns) == due
    assert f'dport set {port} comment "{port}"' in due


@pytest.mark.usefixtures("patient")
def test_a_redirection_replaces_an_earlier_one_and_can_be_removed(netns):
    def change() -> list[int]:
        ports = []
        for port in (5300, 5301):
            resolver_redirect.redirect(ADDRESS, port)
            assert resolver_redirect.compare(ADDRESS, port) == []
            ports.append(resolver_redirect.bound_port())
        resolver_redirect.remove(5300)  # not the present port
        ports.append(resolver_redirect.bound_port())
        resolver_redirect.remove(5301)
        return [*ports, resolver_redirect.bound_port()]

    assert namespaces.run_in_netns(netns.path, change) == [5300, 5301, 5301, 0]


@pytest.fixture
def released(monkeypatch) -> threading.Event:
    """The event until which the kernel makes no nftables transaction."""
    event, send = threading.Event(), transaction.send

    def send_late(messages) -> None:
        event.wait()
        send(messages)

    monkeypatch.setattr(transaction, "send", send_late)
    monkeypatch.setattr(resolver_redirect, "TIMEOUT_SECONDS", 0.01)
    return event


def test_a_late_removal_does_not_remove_the_rules_of_the_next_resolver(netns, released):
    def serve() -> int:
        udp, tcp = serving_pair()
        with udp, tcp:
            port: int = udp.getsockname()[1]
            return port

    released.set()
    first = namespaces.run_in_netns(netns.path, serve)
    until(lambda: namespaces.run_in_netns(netns.path, resolver_redirect.bound_port) == first)
    assert namespaces.run_in_netns(netns.path, serve) == first  # as after a restart of the agent
    released.clear()
    namespaces.run_in_netns(netns.path, lambda: resolver_redirect.remove(first))
    second = namespaces.run_in_netns(netns.path, serve)
    released.set()
    until(lambda: not namespaces.run_in_netns(netns.path, resolver_redirect._waiting_changes.has_any))
    assert namespaces.run_in_netns(netns.path, resolver_redirect.bound_port) == second


def test_a_late_redirection_does_not_follow_its_removal(netns, released):
    def change() -> None:
        resolver_redirect.redirect(ADDRESS, 5300)
        resolver_redirect.remove(5300)
        resolver_redirect.redirect(ADDRESS, 5301)
        resolver_redirect.remove(5301)

    namespaces.run_in_netns(netns.path, change)
    threads = os.listdir("/proc/self/task")
    released.set()
    until(lambda: len(os.listdir("/proc/self/task")) < len(threads))
    assert netns.run("nft", "list", "tables").stdout == ""


def test_changes_that_wait_take_one_thread_and_are_limited(netns, released):
    def change() -> int:
        before = len(os.listdir("/proc/self/task"))
        with pytest.raises(Busy):
            for port in range(1, 100):
                resolver_redirect.redirect(ADDRESS, port)
        return len(os.listdir("/proc/self/task")) - before

    try:
        assert namespaces.run_in_netns(netns.path, change) <= 1
    finally:
        released.set()
    last = str(resolver_redirect.WAITING_LIMIT)
    until(lambda: f"dport set {last} " in netns.run("nft", "list", "ruleset").stdout)
