"""The numbers in the names of a container's interfaces: each prefix has its own."""

from __future__ import annotations

from engine.endpoints.interface_names import PREFIX_OPTION, counted, next_numbers
from engine.model import ContainerConfig, ContainerRecord, HostConfig, NetworkRecord

LAN = NetworkRecord("a", "lan", "", "bridge", options={PREFIX_OPTION: "lan"})
APP = NetworkRecord("b", "app", "", "bridge")
NONE = NetworkRecord("c", "none", "", "null")


def container(**fields) -> ContainerRecord:
    return ContainerRecord("d" * 64, "web", "", ContainerConfig("bb"), HostConfig(), **fields)


def test_each_prefix_has_its_own_numbers():
    assert counted({}, APP, LAN, LAN, NONE) == {"eth": 1, "lan": 2}
    assert counted({"eth": 3}, APP) == {"eth": 4}


def test_a_container_of_an_older_version_continues_with_its_one_number():
    numbers = next_numbers(container(next_interface=2))
    assert counted(numbers, LAN) == {"": 2, "lan": 3}
    assert next_numbers(container(next_interface=2, next_interfaces=counted(numbers, LAN)))["lan"] == 3
    assert next_numbers(container(next_interfaces={"eth": 1})) == {"eth": 1}
