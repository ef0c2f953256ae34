from __future__ import annotations

from ipaddress import IPv4Address

from engine.dns import wire
from engine.dns.table import EMPTY, Answer, NetworkTable
from engine.model import EndpointRecord


def endpoint(
    name: str, ipv4: str = "", ipv6: str = "", *, aliases: tuple[str, ...] = (), key: str = ""
) -> EndpointRecord:
    return EndpointRecord(
        id=key or name,
        network_id="n",
        container_id="c",
        mac="",
        ipv4=ipv4,
        ipv6=ipv6,
        names=(name, *aliases),
        phase="live",
    )


def question(name: str, kind: int = wire.A) -> bytes:
    encoded = wire.encode_name(name)
    assert encoded is not None
    return wire.question(encoded, kind)


def table(*endpoints: EndpointRecord) -> NetworkTable:
    made = NetworkTable("app", 5)
    made.update(endpoints)
    return made


def addresses(network_table: NetworkTable, name: str) -> set[bytes]:
    answer = network_table.plain.get(question(name))
    return set() if answer is None else {r[-4:] for r in answer.shuffled()}


def test_name_of_one_family_has_an_empty_answer_in_the_other():
    made = table(endpoint("web", "172.30.0.2/24"), endpoint("six", ipv6="fd00::2/64"))
    assert made.plain[question("web", wire.AAAA)] is EMPTY
    assert made.plain[question("six", wire.A)] is EMPTY
    assert made.qualified[question("web.app")].records[-4:] == bytes([172, 30, 0, 2])


def test_an_alias_of_several_endpoints_has_all_their_addresses():
    made = table(endpoint("a", "10.0.0.1/8", aliases=("all",)), endpoint("b", "10.0.0.2/8", aliases=("ALL",)))
    assert addresses(made, "all") == {b"\x0a\0\0\1", b"\x0a\0\0\2"}
    made.update([endpoint("b", "10.0.0.2/8", aliases=("ALL",))])
    assert addresses(made, "all") == {b"\x0a\0\0\2"}


def test_an_update_removes_all_answers_of_removed_endpoints():
    made = table(endpoint("a", "10.0.0.1/8", "fd00::1/64", aliases=("x", "y.z")))
    made.update([])
    assert not made.plain
    assert not made.qualified


def test_the_pointer_of_a_moved_address_names_the_new_container():
    made = table(endpoint("a", "10.0.0.1/8"))
    made.update([endpoint("b", "10.0.0.1/8")])
    pointer = made.plain[question("1.0.0.10.in-addr.arpa", wire.PTR)]
    assert pointer.records.endswith(b"\1b\3app\0")
    assert addresses(made, "a") == set()


def test_rename_of_an_endpoint_is_followed():
    made = table(endpoint("old", "10.0.0.1/8", key="e"))
    made.update([endpoint("new", "10.0.0.1/8", key="e")])
    assert addresses(made, "old") == set()
    assert addresses(made, "new") == {b"\x0a\0\0\1"}


def test_an_update_keeps_the_objects_of_unchanged_answers():
    made = table(endpoint("a", "10.0.0.1/8"))
    before = made.plain[question("a")]
    made.update([endpoint("a", "10.0.0.1/8"), endpoint("b", "10.0.0.2/8")])
    assert made.plain[question("a")] is before


def test_names_that_dns_cannot_carry_are_left_out():
    made = table(endpoint("a" * 64, "10.0.0.1/8", aliases=("ok", "")))
    assert addresses(made, "ok") == {b"\x0a\0\0\1"}


class Written(dict[bytes, Answer]):
    """A table that records which answers were deleted."""

    def __init__(self, content: dict[bytes, Answer]) -> None:
        super().__init__(content)
        self.deleted = set[bytes]()

    def pop(self, key: bytes, *default: object) -> object:
        self.deleted.add(key)
        return super().pop(key, *default)


def test_a_change_never_removes_an_answer_that_still_applies():
    """Another thread may read the table during the change."""
    made = table(endpoint("a", "10.0.0.1/8", "fd00::1/64"), endpoint("b", "10.0.0.2/8"))
    made.plain = plain = Written(made.plain)
    made.qualified = qualified = Written(made.qualified)
    made.update([endpoint("a", "10.0.0.2/8", "fd00::1/64", aliases=("x",)), endpoint("b", "10.0.0.3/8")])
    gone = wire.question(wire.reverse_name(IPv4Address("10.0.0.1")), wire.PTR)
    assert (plain.deleted, qualified.deleted) == ({gone}, set())
    for number, name in ((2, b"\1a"), (3, b"\1b")):
        key = wire.question(wire.reverse_name(IPv4Address(f"10.0.0.{number}")), wire.PTR)
        assert plain[key].records.endswith(name + b"\3app\0")
