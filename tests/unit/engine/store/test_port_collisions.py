"""The published host ports of two endpoints never collide.

Two ports collide if three conditions hold:

- The ports have the same protocol and IP version.
- The port ranges overlap.
- The addresses are equal, or one of the addresses is a wildcard.
"""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.model import EndpointRecord, PortRecord, PortSpec
from engine.ports.allocation import HostAddressing, PortConflict, allocate_ports
from engine.store.api import Taken
from engine.store.sqlite import SqliteStore

ADDRESSES = ["0.0.0.0", "127.0.0.1", "192.0.2.1", "::", "::1", "fd00::1"]


class Free:
    """A double of a host on which no other program listens. It also replaces the store's cursors of port ranges."""

    def ephemeral(self):
        return [range(50000, 50001)]

    def refusal(self, protocol, address, port):
        return None


@st.composite
def bindings(draw):
    first = draw(st.integers(1, 12))
    last = draw(st.integers(first, min(first + 4, 12)))
    return PortRecord(draw(st.sampled_from(["tcp", "udp"])), draw(st.sampled_from(ADDRESSES)), first, last, 1, 1)


def meet(first: PortRecord, second: PortRecord) -> bool:
    """Return whether two port records collide.

    The function applies the rule for collisions to each single port and address. The tests compare the store's answers
    with the results.
    """
    mine, other = ip_address(first.host_ip), ip_address(second.host_ip)
    same_place = mine == other or mine.is_unspecified or other.is_unspecified
    ports = set(range(first.host_port, first.host_port_end + 1)) & set(
        range(second.host_port, second.host_port_end + 1)
    )
    return first.protocol == second.protocol and mine.version == other.version and same_place and bool(ports)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return SqliteStore(tmp_path_factory.mktemp("ports") / "hawse.db")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(first=bindings(), second=bindings())
def test_the_store_refuses_exactly_the_colliding_ports(store, first, second):
    refused = False
    try:
        with store.write() as tx:
            tx.put_endpoint(EndpointRecord("e1", "n", "c", "", ports=(first,)))
            tx.put_endpoint(EndpointRecord("e2", "n", "c", "", ports=(second,)))
            raise EOFError  # this error rolls the transaction back, so the store stays empty
    except Taken:
        refused = True
    except EOFError:
        pass
    assert refused == meet(first, second)


@given(
    taken=bindings(),
    protocol=st.sampled_from(["tcp", "udp"]),
    address=st.sampled_from(ADDRESSES),
    port=st.integers(1, 12),
)
def test_the_allocator_refuses_the_same_ports_as_the_store(taken, protocol, address, port):
    spec = PortSpec(protocol, 80, address, str(port))
    record = PortRecord(protocol, address, port, port, 80, 80)
    if meet(taken, record):
        with pytest.raises(PortConflict):
            allocate_ports([spec], [taken], HostAddressing(Free()), Free())
    else:
        assert allocate_ports([spec], [taken], HostAddressing(Free()), Free()) == [record]
