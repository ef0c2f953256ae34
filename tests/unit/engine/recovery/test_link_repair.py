"""The steps of a comparison, and of the repair of a container, with a double of a driver."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from drivers.errors import KernelError
from drivers.linux.host import boot_identity
from drivers.model import Difference, Settings
from engine.endpoints import boots, sandbox
from engine.endpoints.sandbox import JoinedEndpoint
from engine.model import ContainerConfig, ContainerRecord, EndpointRecord, HostConfig, NetworkRecord
from engine.recovery import link_repair
from engine.recovery.link_repair import CONTAINER, LinkRepair, Subject
from engine.store.locks import locked
from engine.store.sqlite import SqliteStore

LOST = Difference("missing", "address", "10.0.0.2/24 on eth0")


class Driver:
    """A double of a driver. Each endpoint has lost its address."""

    def __init__(self):
        self.repaired = []

    def watched(self, network):
        return "", ""

    def compare_network(self, network, publishing):
        return ()

    def repair_network(self, network, endpoints):
        pass

    def compare_endpoint(self, network, endpoint, sandbox, interface):
        return [LOST]

    def repair_endpoint(self, network, endpoint, sandbox, interface, differences):
        self.repaired += differences


@pytest.mark.parametrize("repairing", [False, True])
def test_differences_are_kept_when_the_routes_cannot_be_read(monkeypatch, tmp_path, repairing):
    def refuse(container, members):
        raise KernelError("list", "routes", errno.ENOBUFS)

    monkeypatch.setattr(sandbox, "lost_routes", refuse)
    driver, repair = Driver(), LinkRepair(None, tmp_path, lambda _: (), lambda _: 0)
    repair._drivers["double"] = driver
    network = NetworkRecord("n", "app", "", "double")
    record = ContainerRecord(id="c", name="web", created="", config=ContainerConfig(image="i"), host=HostConfig())
    members = [JoinedEndpoint(network, EndpointRecord("e", "n", "c", "", ipv4="10.0.0.2/24", interface="eth0"))]
    results = list(repair._compare_parts(record, members, repairing=repairing))
    assert [d for differences, _ in results for d in differences] == [LOST]
    assert [str(f) for _, failures in results for f in failures] == ["list routes: no buffer space available"]
    assert driver.repaired == [LOST] * repairing


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    """Return a store with a running container on a network of the driver "double"."""
    made = SqliteStore(tmp_path / "hawse.db", busy_seconds=0.1)
    with made.write() as tx:
        tx.set_meta(boots.BOOT, boot_identity())
        tx.put_network(NetworkRecord("n", "app", "", "double"))
        tx.put_container(
            ContainerRecord(
                id="c", name="web", created="", config=ContainerConfig(image="i"), host=HostConfig(), status="running",
                sandbox_path="/proc/self/ns/net",
            )
        )  # fmt: skip
        tx.put_endpoint(EndpointRecord("e", "n", "c", "", ipv4="10.0.0.2/24", interface="eth0", phase="live"))
    return made


@pytest.fixture
def repair(store, monkeypatch, tmp_path) -> LinkRepair:
    monkeypatch.setattr(sandbox, "lost_routes", lambda container, members: [])
    made = LinkRepair(store, tmp_path, lambda _: (), lambda _: 0)
    made._drivers["double"] = Driver()
    monkeypatch.setattr(made, "_configure", lambda: None)
    return made


def test_other_commands_write_the_store_during_the_repair_of_a_container(store, repair):
    """Root in a sandbox can make the kernel's lists so long that a repair takes seconds."""
    written = []

    def write(*_arguments: object) -> None:
        with store.write() as tx:
            tx.set_meta("written", "yes")
        written.append(True)

    repair._drivers["double"].repair_endpoint = write
    assert repair.put_right(Subject(CONTAINER, "c")).differences == [LOST]
    assert written == [True]
    with store.read() as reader:
        assert [(e.type, e.action, e.actor) for e in reader.events()] == [("container", "repair", "c")]


def test_a_container_is_not_repaired_while_a_command_holds_its_lock(repair, tmp_path):
    with locked(tmp_path, "container", "c"):
        assert repair.put_right(Subject(CONTAINER, "c")).busy
    assert repair._drivers["double"].repaired == []


class Configured(Driver):
    """A double of a driver that has settings."""

    def configure(self, settings):
        self.settings = settings


def test_a_driver_has_the_default_settings_until_daemon_json_is_valid(store, monkeypatch, tmp_path):
    driver, file = Configured(), tmp_path / "daemon.json"
    monkeypatch.setattr(link_repair, "load", lambda _type: driver)
    monkeypatch.setattr(sandbox, "lost_routes", lambda container, members: [])
    monkeypatch.setenv("HAWSE_CONFIG", str(file))
    repair = LinkRepair(store, tmp_path, lambda _: (), lambda _: 0)
    file.write_text("{")
    assert repair.driver(NetworkRecord("n", "app", "", "double")) is driver
    assert driver.settings == Settings(tmp_path)
    file.write_text('{"ip-forward": false}')
    assert repair.put_right(Subject(CONTAINER, "c")).differences == [LOST]
    assert driver.settings == Settings(tmp_path, forwarding=False)
