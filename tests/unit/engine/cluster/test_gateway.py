import pytest

from engine.cluster.gateway import is_needed
from engine.errors import InvalidArgument
from engine.model import NetworkRecord
from engine.swarm.advertise import split
from engine.swarm.enrollment import parse_manager


def network(driver, name="n", *, internal=False):
    return NetworkRecord(name, name, "now", driver, internal=internal)


@pytest.mark.parametrize(
    ("joined", "needed"),
    [
        ([], False),
        ([network("overlay")], True),
        ([network("overlay", internal=True)], False),
        ([network("overlay"), network("bridge")], False),
        ([network("overlay"), network("bridge", internal=True)], True),
        ([network("overlay"), network("macvlan")], False),
        ([network("overlay"), network("bridge", "docker_gwbridge")], True),
        ([network("bridge")], False),
    ],
)
def test_the_gateway_bridge_is_for_overlays_without_another_way_out(joined, needed):
    assert is_needed(joined) is needed


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("192.0.2.1", "192.0.2.1", 2377),
        ("192.0.2.1:99", "192.0.2.1", 99),
        ("fd99::11", "fd99::11", 2377),
        ("[fd99::11]:99", "fd99::11", 99),
        ("[fd99::11]", "fd99::11", 2377),
    ],
)
def test_addresses_with_and_without_ports(text, host, port):
    assert split(text) == (host, port)
    manager = parse_manager(text)
    assert (manager.host, manager.port) == (host, port)


@pytest.mark.parametrize("text", ["192.0.2.1:", "192.0.2.1:x", "192.0.2.1:70000", "192.0.2.1:0"])
def test_ports_that_are_none_are_refused(text):
    with pytest.raises(InvalidArgument):
        split(text)
