"""The tests check the DNS service without a sandbox that it can serve."""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest.mock import Mock

import pytest
from msgspec.structs import replace

from drivers.linux.process import start_time
from drivers.registry import facts
from engine.agent.service import Snapshot
from engine.dns import server
from engine.dns.sandbox_view import Defaults
from engine.dns.server import DEFAULT_TTL, DnsService, ttl_from_environment
from engine.eventloop.descriptor_budget import DescriptorBudget
from engine.eventloop.inotify import Inotify
from engine.eventloop.loop import Loop
from engine.model import ContainerConfig, ContainerRecord, EndpointRecord, HostConfig, NetworkRecord
from engine.resolv_conf import HostFiles
from tests.unit.engine.conftest import no_descriptor_left


@pytest.fixture
def service() -> Iterator[DnsService]:
    loop = Loop()
    inotify = Inotify(loop)
    made = DnsService(loop, inotify, DescriptorBudget(1024))
    yield made
    made.close()
    inotify.close()
    loop.close()


def state_of(pid: int, started: int, *names: str) -> Snapshot:
    """Return a snapshot with containers on a network. The namespaces of their sandboxes are that of a process."""
    records = [
        ContainerRecord(
            id=name, name=name, created="", config=ContainerConfig(image="i"), host=HostConfig(),
            sandbox_id=f"sandbox-{name}", sandbox_path=f"/proc/{pid}/ns/net", pid=pid, pid_start=started,
        )
        for name in names
    ]  # fmt: skip
    network = NetworkRecord(id="n", name="n", created="", driver="bridge")
    return Snapshot([network], records, [EndpointRecord(f"e{n}", "n", n, "", names=[n], phase="live") for n in names])


def test_a_sandbox_is_served_later_when_descriptors_have_run_out(service):
    facts("bridge")  # load the driver, because an import opens files
    state = state_of(os.getpid(), start_time(os.getpid()), "c")
    with no_descriptor_left():
        service.reconcile(state)
    assert service.needed()


def test_a_sandbox_whose_process_has_ended_is_not_served(service):
    service.reconcile(state_of(os.getpid(), start_time(os.getpid()) + 1, "c"))
    assert not service.needed()


def test_a_sandbox_stays_with_the_thread_of_its_neighbours_until_it_leaves_their_network(service, monkeypatch):
    monkeypatch.setattr(server, "SandboxResolver", lambda *_: Mock(is_closed=True))
    service._defaults = Defaults(HostFiles("nameserver 192.0.2.1\n"))
    state = state_of(os.getpid(), start_time(os.getpid()), "c", "g")
    own, guest = state.containers
    other = replace(state.networks[0], id="m", name="m")
    groups = []
    for kind, network in (("process", "n"), ("adopted", "n"), ("process", "n"), ("process", "m"), ("process", "n")):
        endpoints = [replace(state.endpoints[0], network_id=network), state.endpoints[1]]
        service.reconcile(Snapshot([*state.networks, other], [own, replace(guest, kind=kind)], endpoints))
        groups.append(service._served["sandbox-c"].view.neighbours)
    assert groups == ["", "n", "n", "", ""]
    assert len(service._served["sandbox-c"].former) == 1  # the closed resolver of the first move is forgotten


@pytest.mark.parametrize("text", ["", "five", "-1", "²"])
def test_an_invalid_ttl_is_ignored(monkeypatch, text):
    monkeypatch.setenv("HAWSE_DNS_TTL", text)
    assert ttl_from_environment() == DEFAULT_TTL


def test_an_error_with_one_sandbox_does_not_stop_the_service_of_another(service, monkeypatch):
    """The owner of a sandbox may have made its rules, which the service reads when it opens the sockets."""
    opened = list[int]()

    def resolver(*arguments: object) -> Mock:
        opened.append(len(opened))
        if len(opened) == 1:
            raise ValueError("invalid literal for int()")
        return Mock()

    monkeypatch.setattr(server, "SandboxResolver", resolver)
    service.reconcile(state_of(os.getpid(), start_time(os.getpid()), "bad", "good"))
    assert opened == [0, 1]


def test_the_hosts_name_servers_are_kept_while_its_file_cannot_be_opened(service):
    before = service._defaults
    with no_descriptor_left():
        service._host_changed()
    assert service._defaults is before
