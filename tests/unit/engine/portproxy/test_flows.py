"""The tests check which UDP flow the port proxy drops to make room for a new flow."""

from __future__ import annotations

import socket
from ipaddress import IPv6Address

from engine.eventloop.quota import Claim, Quota
from engine.portproxy.clients import Flows, ProxyFlow
from engine.ports.proxied import Origin

ORIGIN = Origin("udp", IPv6Address("::1"), 53)


class Table:
    """A table of UDP flows for the tests. The sockets of these flows are not connected."""

    def __init__(self, total: int) -> None:
        self.ended: list[object] = []
        self.flows = Flows(Quota(total), lambda flow: self.ended.append(flow.key[0]))
        self.clock = 0.0

    def add(self, client: str, number: int) -> ProxyFlow:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        flow = ProxyFlow((f"{client}{number}", b""), ORIGIN, ("10.0.0.1", 53), (Claim(client),), sock)
        self.use(flow)
        self.flows.add(flow)
        return flow

    def use(self, flow: ProxyFlow) -> None:
        self.clock += 1
        flow.last = self.clock


def test_a_greedy_client_loses_its_own_flows_first():
    table = Table(8)
    other = table.add("other", 0)
    for number in range(20):
        table.add("greedy", number)
    assert table.flows.get(other.key) is other
    assert all(str(key).startswith("greedy") for key in table.ended)
    assert len(table.flows) <= 8
    for flow in table.flows:
        table.flows.remove(flow)


def test_a_used_flow_stays_and_unused_flows_are_removed():
    table = Table(8)
    busy = table.add("greedy", 0)
    for number in range(1, 50):
        table.add("greedy", number)
        table.use(busy)
    assert table.flows.get(busy.key) is busy
    assert busy.socket.fileno() >= 0
    for flow in table.flows:
        table.flows.remove(flow)
    assert busy.socket.fileno() < 0


def test_new_client_is_admitted_when_all_places_are_taken_by_others():
    table = Table(8)
    for number in range(8):
        table.add(f"client{number}-", 0)
    new = table.add("new", 0)
    assert table.ended == ["client0-0"]
    assert table.flows.get(new.key) is new and len(table.flows) == 8
    for flow in table.flows:
        table.flows.remove(flow)
