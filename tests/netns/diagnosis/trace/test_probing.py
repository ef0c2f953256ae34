"""A trace from ``outside`` sends its probe from an address that a machine at the external interface may have."""

from ipaddress import ip_address

import pytest

from drivers.linux.netns import run_in_netns
from engine.diagnosis.trace.probing import neighbour_outside

pytestmark = pytest.mark.netns


@pytest.mark.parametrize(
    ("held", "client"),
    [
        ("10.9.0.5/24", "10.9.0.1"),
        ("10.9.0.1/24", "10.9.0.2"),
        ("10.9.0.6/31", "10.9.0.7"),
        ("10.9.0.7/31", "10.9.0.6"),
        ("10.9.0.5/32", "10.9.0.4"),
        ("2001:db8:9::5/64", "2001:db8:9::1"),
        ("2001:db8:9::5/128", "2001:db8:9::4"),
    ],
)
def test_a_client_is_invented_for_an_interface_without_a_known_neighbour(netns, held, client):
    netns.sh(f"ip link add eth0 type bridge; ip link set eth0 up; ip addr add {held} dev eth0 nodad")
    target = ip_address(client)
    assert run_in_netns(netns.path, lambda: neighbour_outside("eth0", target))[0] == target
