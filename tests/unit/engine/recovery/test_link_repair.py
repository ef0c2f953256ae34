"""If the kernel refuses one step of a comparison, the results of the other steps are kept."""

from __future__ import annotations

import errno

import pytest

from drivers.errors import KernelError
from drivers.model import Difference
from engine.endpoints import sandbox
from engine.endpoints.sandbox import JoinedEndpoint
from engine.model import ContainerConfig, ContainerRecord, EndpointRecord, HostConfig, NetworkRecord
from engine.recovery.link_repair import LinkRepair

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
    results = list(repair._compare_members(record, members, repairing=repairing))
    assert [d for differences, _ in results for d in differences] == [LOST]
    assert [str(f) for _, failures in results for f in failures] == ["list routes: no buffer space available"]
    assert driver.repaired == [LOST] * repairing
