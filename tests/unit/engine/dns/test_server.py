"""The tests check the DNS service without a sandbox that it can serve."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from drivers.linux.process import start_time
from drivers.registry import facts
from engine.agent.service import Snapshot
from engine.dns.server import DEFAULT_TTL, DnsService, ttl_from_environment
from engine.eventloop.descriptor_budget import DescriptorBudget
from engine.eventloop.inotify import Inotify
from engine.eventloop.loop import Loop
from engine.model import ContainerConfig, ContainerRecord, EndpointRecord, HostConfig, NetworkRecord
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


def state_of(pid: int, started: int) -> Snapshot:
    """Return a snapshot with one container on a network. The namespace of its sandbox is that of a process."""
    record = ContainerRecord(
        id="c", name="c", created="", config=ContainerConfig(image="i"), host=HostConfig(), sandbox_id="s",
        sandbox_path=f"/proc/{pid}/ns/net", pid=pid, pid_start=started,
    )  # fmt: skip
    network = NetworkRecord(id="n", name="n", created="", driver="bridge")
    return Snapshot([network], [record], [EndpointRecord("e", "n", "c", "", names=["c"], phase="live")])


def test_a_sandbox_is_served_later_when_descriptors_have_run_out(service):
    facts("bridge")  # load the driver, because an import opens files
    with no_descriptor_left():
        service.reconcile(state_of(os.getpid(), start_time(os.getpid())))
    assert service.needed()


def test_a_sandbox_whose_process_has_ended_is_not_served(service):
    service.reconcile(state_of(os.getpid(), start_time(os.getpid()) + 1))
    assert not service.needed()


@pytest.mark.parametrize("text", ["", "five", "-1", "²"])
def test_an_invalid_ttl_is_ignored(monkeypatch, text):
    monkeypatch.setenv("HAWSE_DNS_TTL", text)
    assert ttl_from_environment() == DEFAULT_TTL
