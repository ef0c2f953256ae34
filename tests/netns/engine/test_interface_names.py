"""Interface names that the user chooses (the option com.docker.network.endpoint.ifname of Docker 28).

The generated names of the container's other interfaces never collide with them.
"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.netns
CHOSEN = "driver-opt=com.docker.network.endpoint.ifname="


@pytest.fixture
def host(shared_host):
    """One host for all tests, with three networks."""
    for number in range(3):
        shared_host.hawse("network", "create", "--subnet", f"172.30.{number}.0/24", f"n{number}")
    return shared_host


def interfaces(host) -> dict[str, str]:
    """Return the interface names of the container, each with the network that the interface is on."""
    lines = host.hawse("exec", "c1", "busybox", "ip", "-o", "-4", "addr", "show", "scope", "global").stdout.splitlines()
    return {line.split()[1]: "n" + line.split()[3].split(".")[2] for line in lines}


def test_generated_names_leave_out_the_chosen_ones(host):
    host.hawse(
        "run", "-d", "--name", "c1", "--network", f"name=n0,{CHOSEN}eth1", "--network", "n1", "hostfs", "sleep", "99"
    )
    assert interfaces(host) == {"eth1": "n0", "eth0": "n1"}
    host.hawse("network", "connect", "n2", "c1")
    assert interfaces(host) == {"eth1": "n0", "eth0": "n1", "eth2": "n2"}
    host.hawse("network", "disconnect", "n1", "c1")
    host.hawse("network", "disconnect", "n2", "c1")
    host.hawse("network", "connect", "n2", "c1")
    assert interfaces(host) == {"eth1": "n0", "eth0": "n2"}
    host.hawse("restart", "-t", "0", "c1")
    assert interfaces(host) == {"eth1": "n0", "eth0": "n2"}


def test_a_name_that_is_chosen_for_the_last_network_is_free_for_it(host):
    host.hawse(
        "run", "-d", "--name", "c1", "--network", "n0", "--network", f"name=n1,{CHOSEN}eth0", "hostfs", "sleep", "99"
    )
    assert interfaces(host) == {"eth1": "n0", "eth0": "n1"}


def test_a_chosen_name_that_another_interface_has_is_refused(host):
    host.hawse("run", "-d", "--name", "c1", "--network", "n0", "hostfs", "sleep", "99")
    refused = host.hawse(
        "network", "connect", "--driver-opt", CHOSEN.partition("=")[2] + "eth0", "n1", "c1", check=False
    )
    assert refused.stderr == "Error response from daemon: the sandbox has an interface eth0 already\n"
    host.hawse("network", "connect", "n1", "c1")
    assert interfaces(host) == {"eth0": "n0", "eth1": "n1"}
