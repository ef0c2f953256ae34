"""The addresses that a network reserves, and the numbers of its used and available addresses."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.netns


def test_counts_of_addresses_end_at_the_largest_64_bit_number(host):
    host.hawse("network", "create", "--ipv4=false", "--ipv6", "--subnet", "2001:db8:abcd::/56", "n1")
    shown = host.hawse("network", "inspect", "-v", "-f", "{{json .Status.IPAM.Subnets}}", "n1").stdout
    assert json.loads(shown) == {"2001:db8:abcd::/56": {"IPsInUse": 2, "DynamicIPsAvailable": 2**64 - 1}}
