"""Records that `hawse system check --repair` rescues from a damaged store."""

from __future__ import annotations

from ipaddress import ip_address

from engine.host import pool_key
from engine.model import ContainerConfig, ContainerRecord, EndpointRecord, HostConfig, NetworkRecord, PoolRecord
from engine.recovery import check
from engine.store.sqlite import SqliteStore

IPV4, IPV6 = PoolRecord("10.0.0.0/24"), PoolRecord("fd00::/64")
NETWORK = NetworkRecord("n" * 64, "app", "now", "bridge", pools=(IPV4, IPV6))


def test_an_endpoint_that_is_dropped_reserves_no_address(tmp_path):
    store = SqliteStore(tmp_path / "hawse.db")
    with store.write() as tx:
        tx.put_network(NETWORK)
        tx.put_container(ContainerRecord("c" * 64, "c1", "now", ContainerConfig("bb"), HostConfig()))
        for number in (2, 3):
            endpoint = EndpointRecord(
                str(number) * 64, NETWORK.id, "c" * 64, "", ipv4=f"10.0.0.{number}/24", ipv6="fd00::2/64"
            )
            lines = check._put_endpoint(tx, endpoint)
        assert len(lines) == 1 and lines[0].startswith("dropped the endpoint ")
        tx.reserve_address(pool_key(NETWORK, IPV4), int(ip_address("10.0.0.3")), "another")
