from ipaddress import ip_network

import pytest

from engine.ipam import Usage, usage

GATEWAY = int(ip_network("10.0.0.0/24").network_address) + 1


@pytest.mark.parametrize(
    ("subnet", "used", "ip_range", "expected"),
    [
        ("10.0.0.0/24", [GATEWAY], None, Usage(3, 253)),
        ("10.0.0.0/24", [GATEWAY, GATEWAY + 1], None, Usage(4, 252)),
        ("10.0.0.0/24", [GATEWAY], "10.0.0.128/25", Usage(3, 127)),
        ("10.0.0.0/31", [], None, Usage(0, 2)),
        ("fd00::/64", [], None, Usage(1, 2**64 - 1)),
    ],
)
def test_a_pool_counts_used_and_free_addresses(subnet, used, ip_range, expected):
    assert usage(ip_network(subnet), used, ip_network(ip_range) if ip_range else None) == expected
