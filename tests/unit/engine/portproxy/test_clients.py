"""The port proxy has several limits for a client, such as one for its address and one for its /64 network.

The tests check which limits two clients have in common.
"""

from __future__ import annotations

from ipaddress import IPv6Address

from engine.portproxy.clients import claims
from engine.ports.proxied import Origin

WEB, API = (Origin("tcp", IPv6Address("::1"), port) for port in (80, 81))
TARGET = ("172.30.0.2", 80)


def shared(first: tuple, second: tuple) -> int:
    """Return how many limits two clients have in common.

    The function also checks that the common limits are the last ones in the list. The last limits cover the most
    clients.
    """
    same = [a == b for a, b in zip(claims(*first), claims(*second), strict=True)]
    assert same == sorted(same)
    return sum(same)


def test_each_group_limit_is_twice_the_limit_of_the_smaller_group():
    assert [claim.share for claim in claims("fd00::1", WEB, TARGET)] == [1, 2, 4, 8]


def test_clients_share_the_limits_of_their_common_groups():
    first = ("fd00::1", WEB, TARGET)
    assert shared(first, first) == 4
    assert shared(first, ("fd00::1", API, TARGET)) == 3
    assert shared(first, ("fd00::2", WEB, TARGET)) == 2
    assert shared(first, ("fd00:0:0:1::1", WEB, TARGET)) == 1
    assert shared(first, ("fd00:0:0:1::1", WEB, ("172.30.0.3", 80))) == 0
    assert shared(("fe80::1%eth0", WEB, TARGET), ("fe80::1%eth1", WEB, TARGET)) == 2


def test_address_of_a_client_is_not_taken_for_a_target():
    holders = [claim.holder for claim in (*claims("fd00::9", WEB, TARGET), *claims("fd00::1", WEB, ("fd00::9", 80)))]
    assert len(set(holders)) == len(holders) - 1  # the two clients have only the limit of their /64 in common
