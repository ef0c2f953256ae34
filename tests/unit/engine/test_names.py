"""The tests check names, ids, hardware addresses and the numbers of interface names."""

import re
from ipaddress import IPv4Address

import pytest
from msgspec.structs import replace

from engine import names
from engine.errors import Conflict, InvalidArgument, NotFound
from engine.model import ContainerConfig, ContainerRecord, EndpointSettings, HostConfig, NetworkRecord


def network(name, id_):
    return NetworkRecord(id_, name, "", "bridge")


def container(name="c1", id_="c" * 64, hostname=""):
    return ContainerRecord(id_, name, "", ContainerConfig("bb", hostname=hostname), HostConfig())


def test_a_generated_name_is_a_valid_name():
    for _ in range(50):
        assert re.fullmatch("[a-z]+_[a-z]+", names.check_container_name(names.generate_container_name()))


def test_an_id_is_64_hex_digits_and_its_short_form_not_a_number(monkeypatch):
    numbers = iter([b"\x12" * 32, b"\xab" * 32])
    monkeypatch.setattr("os.urandom", lambda size: next(numbers))
    assert names.generate_id() == "ab" * 32


@pytest.mark.parametrize("full", ["0123456789abcdef", "sha256:0123456789abcdef"])
def test_a_short_id_has_twelve_digits(full):
    assert names.short_id(full) == "0123456789ab"


@pytest.mark.parametrize("name", ["ab", "/ab", "a_.-", "0x", "a" * 300])
def test_docker_takes_these_container_names(name):
    assert names.check_container_name(name) == name.removeprefix("/")


@pytest.mark.parametrize("name", ["x", "-a", "a b", "//ab", "a/b", "é1", "ab\n", "_a", ".a", ""])
def test_docker_refuses_these_container_names(name):
    with pytest.raises(InvalidArgument) as caught:
        names.check_container_name(name)
    assert str(caught.value) == f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"


def test_the_error_for_a_taken_name_names_its_container():
    error = names.container_name_taken("c3", "f" * 64)
    assert isinstance(error, Conflict)
    assert str(error) == (
        f'Conflict. The container name "/c3" is already in use by container "{"f" * 64}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )


def test_the_default_mac_contains_the_ipv4_address():
    assert names.mac_from_ipv4(IPv4Address("172.17.0.2")) == "02:42:ac:11:00:02"


def test_a_random_mac_is_local_and_unicast():
    assert re.fullmatch("02:42(:[0-9a-f]{2}){4}", names.random_mac())


@pytest.mark.parametrize("text", ["02:00:00:00:00:0A", "02-00-00-00-00-0a", "0200.0000.000a"])
def test_a_mac_has_three_notations(text):
    assert names.parse_mac(text) == "02:00:00:00:00:0a"


def test_a_mac_may_have_eight_bytes():
    assert names.is_mac("02:00:00:00:00:01:02:03")


@pytest.mark.parametrize(
    "text", ["bogus", "", "2:0:0:0:0:1", "02:00:00:00:00:0g", "02:00:00:00:00", "02:00-00:00:00:01"]
)
def test_a_malformed_mac_is_refused(text):
    with pytest.raises(InvalidArgument) as caught:
        names.parse_mac(text)
    assert str(caught.value) == f"invalid MAC address {text}"


def test_dns_names_are_name_aliases_short_id_and_host_name_without_repeats():
    record = container("user1", "9b164aa586b9" + "0" * 52, hostname="hh")
    assert names.dns_names(record, EndpointSettings(aliases=["al", "al"])) == ["user1", "al", "9b164aa586b9", "hh"]


@pytest.mark.parametrize(
    ("name", "known"), [("netns:lab", ["lab", "netns:lab"]), ("pid:7", ["pid-7", "pid:7"]), ("store", ["store"])]
)
def test_an_adopted_namespace_has_a_host_name_of_its_own(name, known):
    record = replace(container(name, "9b164aa586b9" + "0" * 52), kind="adopted")
    assert names.dns_names(record, EndpointSettings()) == [*known, "9b164aa586b9"]


def test_the_short_id_is_no_second_name():
    record = container("c1", "9b164aa586b9" + "0" * 52, hostname="9b164aa586b9")
    assert names.dns_names(record, EndpointSettings()) == ["c1", "9b164aa586b9"]


def test_a_missing_network_gives_dockers_text():
    with pytest.raises(NotFound, match=r"^network nosuch not found$"):
        names.pick_network([], "nosuch")


@pytest.mark.parametrize(
    ("inspect", "text"),
    [
        (True, "2 matches found based on ID prefix: network a is ambiguous"),
        (False, "network a is ambiguous (2 matches found based on ID prefix)"),
    ],
)
def test_the_error_for_an_ambiguous_network_depends_on_the_command(inspect, text):
    with pytest.raises(InvalidArgument) as caught:
        names.pick_network([network("x", "a1"), network("y", "a2")], "a", inspect=inspect)
    assert str(caught.value) == text


def test_only_a_network_that_is_present_and_single_is_the_only_network():
    first, second = network("x", "a1"), network("y", "a2")
    assert names.only_network([first]) is first
    assert names.only_network([first, replace(second, phase="creating")]) is first
    assert names.only_network([first, second]) is None
    assert names.only_network([]) is None


@pytest.mark.parametrize(
    ("matches", "reference", "error", "text"),
    [
        ([], "nosuch", NotFound, "No such container: nosuch"),
        ([], "", InvalidArgument, 'invalid name or ID supplied: ""'),
        ([container(), container("c2")], "c", InvalidArgument, "multiple IDs found with provided prefix: c"),
    ],
)
def test_a_missing_or_ambiguous_container_gives_dockers_text(matches, reference, error, text):
    with pytest.raises(error) as caught:
        names.pick_container(matches, reference)
    assert str(caught.value) == text


LAN = NetworkRecord("a", "lan", "", "bridge", options={names.INTERFACE_PREFIX: "lan"})
APP = NetworkRecord("b", "app", "", "bridge")


def test_each_prefix_of_interface_names_has_its_own_numbers():
    none = NetworkRecord("c", "none", "", "null")
    assert names.count_interfaces({}, APP, LAN, LAN, none) == {"eth": 1, "lan": 2}
    assert names.count_interfaces({"eth": 3}, APP) == {"eth": 4}


def test_a_container_of_an_older_version_continues_with_its_one_number():
    older = replace(container(), next_interface=2)
    numbers = names.count_interfaces(names.interface_numbers(older), LAN)
    assert numbers == {"": 2, "lan": 3}
    assert names.interface_numbers(replace(older, next_interfaces=numbers)) == numbers
    assert names.interface_numbers(replace(container(), next_interfaces={"eth": 1})) == {"eth": 1}
