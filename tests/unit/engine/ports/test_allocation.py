"""Host ports are allocated with Docker's choice, order and error texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model import PortRecord, PortSpec
from engine.ports.allocation import IN_USE, HostAddressing, PortConflict, allocate_ports


@dataclass
class Kernel:
    """A double of the kernel with a range of ephemeral ports.

    The double refuses to bind the given triples (protocol, address, port).
    """

    ports: Sequence[range] = (range(50000, 50010),)
    refusals: dict[tuple[str, str, int], str] = field(default_factory=dict)
    asked: int = 0

    def ephemeral(self):
        return self.ports

    def candidates(self, ports):
        return sorted({ports[-1], *(port for _, _, port in self.refusals if port in ports)})

    def refusal(self, protocol, address, port):
        self.asked += 1
        return self.refusals.get((protocol, address, port)) or self.refusals.get((protocol, address, 0))


class Cursor(dict):
    """A double of the store's cursors: the host port that hawse last gave from each range of host ports."""

    def last(self, protocol, address, ports):
        return self.get((protocol, address, ports), 0)

    def move(self, protocol, address, ports, port):
        self[protocol, address, ports] = port


def spec(text: str) -> PortSpec:
    """Parse the test notation ``[ip#][host port]>port[-end][/protocol]`` of a published port."""
    rest, _, protocol = text.partition("/")
    host, _, port = rest.partition(">")
    ip, _, host_port = host.rpartition("#")
    port, _, end = port.partition("-")
    return PortSpec(protocol or "tcp", int(port), ip, host_port, int(end or 0))


def shown(records) -> list[str]:
    return [f"{r.protocol} {r.host_ip} {r.host_port}-{r.host_port_end} > {r.port}-{r.port_end}" for r in records]


def by_port(records) -> dict[tuple[str, int], list[tuple[str, int]]]:
    """Return the bindings (address and host port) of each container port, in order."""
    bindings = defaultdict(list)
    for r in records:
        for port in range(r.port, r.port_end + 1):
            bindings[r.protocol, port].append((r.host_ip, r.host_port + port - r.port))
    return bindings


def publish(*specs, taken=(), kernel=None, cursor=None, **host):
    cursor = Cursor() if cursor is None else cursor
    return allocate_ports(map(spec, specs), taken, HostAddressing(kernel or Kernel(), **host), cursor)


def conflict(*specs, **kw):
    with pytest.raises(PortConflict) as raised:
        publish(*specs, **kw)
    return str(raised.value)


def record(host_ip, first, last=0, protocol="tcp"):
    return PortRecord(protocol, host_ip, first, last or first, 80, 80)


@pytest.mark.parametrize(
    ("text", "host", "addresses"),
    [
        ("8080>80", {}, ["0.0.0.0", "::"]),
        ("8080>80", {"default_ip": "0.0.0.0"}, ["0.0.0.0", "::"]),
        ("8080>80", {"ipv6": False}, ["0.0.0.0"]),
        ("8080>80", {"ipv4": False}, ["::"]),
        ("8080>80", {"default_ip": "127.0.0.1"}, ["127.0.0.1"]),
        ("8080>80", {"default_ip": "fd00::1"}, ["fd00::1"]),
        ("8080>80", {"default_ip": "::"}, ["::"]),
        ("0.0.0.0#8080>80", {"default_ip": "127.0.0.1"}, ["0.0.0.0"]),
        ("::#8080>80", {}, ["::"]),
        ("FD00:0::1#8080>80", {}, ["fd00::1"]),
        ("::1#8080>80", {"ipv6": False}, []),
        ("::ffff:127.0.0.1#8080>80", {}, ["127.0.0.1"]),
    ],
)
def test_a_binding_is_published_on_the_expected_host_addresses(text, host, addresses):
    assert [r.host_ip for r in publish(text, **host)] == addresses


def test_consecutive_ports_on_both_sides_become_one_record():
    assert shown(publish("8000>80", "8001>81", "8002>82")) == [
        "tcp 0.0.0.0 8000-8002 > 80-82",
        "tcp :: 8000-8002 > 80-82",
    ]


def test_a_gap_on_one_side_begins_another_record():
    assert shown(publish("9000>80", "9001>81", "9002>83", "9003>84/udp", ipv6=False)) == [
        "udp 0.0.0.0 9003-9003 > 84-84",
        "tcp 0.0.0.0 9002-9002 > 83-83",
        "tcp 0.0.0.0 9000-9001 > 80-81",
    ]


def test_a_port_with_several_bindings_has_its_own_entry():
    """A container port with several bindings has its own entry, apart from the range that contains the port.

    In the output of ``docker inspect``, the last binding of such a port comes first, wherever the port is in its range.
    """
    assert shown(publish("1.1.1.1#9110-9114>9110-9114", "1.1.1.1#9212>9112")) == [
        "tcp 1.1.1.1 9113-9114 > 9113-9114",
        "tcp 1.1.1.1 9212-9212 > 9112-9112",
        "tcp 1.1.1.1 9112-9112 > 9112-9112",
        "tcp 1.1.1.1 9110-9111 > 9110-9111",
    ]
    records = publish("1.1.1.1#8080-8082>80-82", "1.1.1.1#>80-82", "2.2.2.2#80-82>80-82")
    assert [(r.port, r.host_ip, r.host_port // 1000) for r in records] == [
        (port, ip, number) for port in (82, 81, 80) for ip, number in (("2.2.2.2", 0), ("1.1.1.1", 50), ("1.1.1.1", 8))
    ]


def test_of_one_port_the_last_binding_comes_first_as_in_dockers_inspect():
    assert shown(publish("9100>80", "127.0.0.1#9101>80", "9099>80", "9200>70", ipv6=False)) == [
        "tcp 0.0.0.0 9099-9099 > 80-80",
        "tcp 127.0.0.1 9101-9101 > 80-80",
        "tcp 0.0.0.0 9100-9100 > 80-80",
        "tcp 0.0.0.0 9200-9200 > 70-70",
    ]


@pytest.mark.parametrize(
    ("text", "taken", "message"),
    [
        ("8080>80", record("0.0.0.0", 8080), "Bind for 0.0.0.0:8080 failed: port is already allocated"),
        ("8080>80", record("::", 8000, 8100), "Bind for :::8080 failed: port is already allocated"),
        ("127.0.0.1#8080>80", record("127.0.0.1", 8080), "Bind for 127.0.0.1:8080 failed: port is already allocated"),
        (
            "127.0.0.1#8080>80",
            record("0.0.0.0", 8080),
            "Error starting userland proxy: listen tcp4 127.0.0.1:8080: bind: address already in use",
        ),
        (
            "8080>80",
            record("127.0.0.1", 8080),
            "Error starting userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use",
        ),
        (
            "::1#8080>80",
            record("::", 8080),
            "Error starting userland proxy: listen tcp6 [::1]:8080: bind: address already in use",
        ),
    ],
)
def test_a_port_of_another_endpoint_is_refused_in_dockers_words(text, taken, message):
    assert conflict(text, taken=[taken]) == message


@pytest.mark.parametrize(
    ("text", "refused", "message"),
    [
        ("9090>80", ("tcp", "0.0.0.0", IN_USE), "listen tcp4 0.0.0.0:9090: bind: address already in use"),
        ("9090>80", ("tcp", "::", IN_USE), "listen tcp6 [::]:9090: bind: address already in use"),
        ("9090>80/udp", ("udp", "0.0.0.0", IN_USE), "listen udp4 0.0.0.0:9090: bind: address already in use"),
        (
            "1.2.3.4#9090>80",
            ("tcp", "1.2.3.4", "cannot assign requested address"),
            "listen tcp4 1.2.3.4:9090: bind: cannot assign requested address",
        ),
        ("9090>80/sctp", ("sctp", "0.0.0.0", "protocol not supported"), "protocol not supported"),
    ],
)
def test_a_port_that_cannot_be_bound_is_refused_in_dockers_words(text, refused, message):
    protocol, address, reason = refused
    kernel = Kernel(refusals={(protocol, address, 9090): reason})
    assert conflict(text, kernel=kernel) == f"Error starting userland proxy: {message}"


def test_two_bindings_of_one_endpoint_collide_too():
    assert conflict("9000>80", "9000>80") == "Bind for 0.0.0.0:9000 failed: port is already allocated"


@pytest.mark.parametrize(("text", "address"), [("192.0.2.1#8080>80", "192.0.2.1"), ("8080>80", "127.0.0.1")])
def test_a_conflict_names_the_host_address_at_which_another_endpoint_has_the_port(text, address):
    with pytest.raises(PortConflict) as raised:
        publish(text, taken=[record("127.0.0.1", 8080), record("192.0.2.1", 8080)])
    assert (raised.value.protocol, raised.value.address, raised.value.port) == ("tcp", address, 8080)


def test_of_several_conflicts_the_highest_container_port_is_reported():
    taken = [record("0.0.0.0", 9500, 9502)]
    assert conflict("9500>82", "9501>83", taken=taken).startswith("Bind for 0.0.0.0:9501 ")
    assert conflict("9501>82", "9500>83", taken=taken).startswith("Bind for 0.0.0.0:9500 ")
    assert conflict("9501>80", "9500>80", "9502>80", taken=taken).startswith("Bind for 0.0.0.0:9502 ")


def test_a_host_range_gives_its_first_port_that_no_endpoint_has():
    taken = [record("0.0.0.0", 8000), record("::", 8001)]
    assert shown(publish("8000-8003>80", taken=taken)) == ["tcp 0.0.0.0 8002-8002 > 80-80", "tcp :: 8002-8002 > 80-80"]
    assert conflict("8000-8001>80", taken=taken) == "all ports are allocated"


def test_a_host_range_gives_the_port_after_the_last_one_that_it_gave():
    def ports(text: str, **kw) -> set[int]:
        return {r.host_port for r in publish(text, cursor=cursor, **kw)}

    cursor = Cursor()
    taken = [record("0.0.0.0", 8002)]
    assert [ports("8000-8003>80", taken=taken) for _ in range(4)] == [{8000}, {8001}, {8003}, {8000}]
    assert ports("8000-8003>80/udp") == ports("8000-8002>80") == ports("127.0.0.1#8000-8003>80") == {8000}


def test_a_host_range_gives_its_first_port_without_a_foreign_listener():
    kernel = Kernel(refusals={("tcp", "0.0.0.0", 9500): IN_USE, ("tcp", "::", 9501): IN_USE})
    assert {r.host_port for r in publish("9500-9503>80", kernel=kernel)} == {9502}
    text = conflict("9500-9502>80", kernel=kernel, taken=[record("::", 9502)])
    assert "listen tcp4 0.0.0.0:9500: bind: address already in use" in text


def test_fixed_ports_are_allocated_first_and_random_ports_last():
    kernel = Kernel(ports=(range(8000, 8003),))
    got = publish(">82", "8000-8002>80", "8001>79", kernel=kernel, ipv6=False)
    assert {r.port: r.host_port for r in got} == {79: 8001, 80: 8000, 82: 8002}


def test_a_random_port_is_free_in_both_families_and_skips_foreign_listeners():
    kernel = Kernel(refusals={("tcp", "::", port): IN_USE for port in range(50000, 50008)})
    taken = [record("127.0.0.1", 50008)]
    assert shown(publish(">80", taken=taken, kernel=kernel)) == [
        "tcp 0.0.0.0 50009-50009 > 80-80",
        "tcp :: 50009-50009 > 80-80",
    ]


def test_bindings_of_one_port_on_several_addresses_get_the_same_random_port():
    got = publish("127.0.0.1#>80", "192.0.2.1#>80", "fd00::1#0>80")
    assert len({r.host_port for r in got}) == 1 and len(got) == 3


def test_exhausted_random_ports_give_dockers_error_text():
    assert conflict(*[f">{n}" for n in range(80, 91)]) == "all ports are allocated"
    assert conflict(">80", kernel=Kernel(ports=())) == "all ports are allocated"


def test_an_address_that_the_host_lacks_is_tried_only_once():
    kernel = Kernel(ports=(range(32768, 61000),), refusals={("tcp", "1.2.3.4", 0): "cannot assign requested address"})
    assert conflict("1.2.3.4#>80", kernel=kernel).endswith("bind: cannot assign requested address")
    assert kernel.asked == 1


@given(count=st.integers(1, 12), random=st.integers(0, 12))
def test_allocated_ports_never_collide(count, random):
    kernel = Kernel(ports=(range(50000, 50016), range(50020, 50030)))
    records = publish(
        *(f"{8000 + n}>{n + 1}" for n in range(count)), *(f">{n + 1}" for n in range(random)), kernel=kernel
    )
    held = [(r.host_ip, port) for r in records for port in range(r.host_port, r.host_port_end + 1)]
    assert len(held) == len(set(held)) == 2 * (count + random)
    assert {port for _, port in held} <= {*range(8000, 8000 + count), *range(50000, 50016), *range(50020, 50030)}


def test_each_single_port_is_checked_once_per_family():
    kernel = Kernel()
    records = publish(*(f"{10000 + n}>{10000 + n}" for n in range(10_000)), kernel=kernel)
    assert shown(records) == ["tcp 0.0.0.0 10000-19999 > 10000-19999", "tcp :: 10000-19999 > 10000-19999"]
    assert kernel.asked == 20_000


def test_a_whole_range_is_checked_once_per_family():
    kernel = Kernel()
    records = publish("20000-30000>20000-30000", kernel=kernel)
    assert shown(records) == ["tcp 0.0.0.0 20000-30000 > 20000-30000", "tcp :: 20000-30000 > 20000-30000"]
    assert kernel.asked == 2


@pytest.mark.parametrize(
    "specs",
    [
        ["8000-8009>80-89", "9000>84"],
        ["9000>84", "8000-8009>80-89", "9100-9103>87-90"],
        ["8000-8009>80-89", "9000-9009>80-89", "7000-7009>80-89/udp"],
        ["127.0.0.1#8000-8004>80-84", "8005-8009>85-89", "0.0.0.0#8010>90"],
    ],
)
def test_a_range_is_allocated_like_its_single_ports(specs):
    singles = []
    for text in specs:
        entry = spec(text)
        hosts = entry.host_ports
        singles += [PortSpec(entry.protocol, p, entry.host_ip, str(h)) for p, h in zip(entry.ports, hosts, strict=True)]
    assert by_port(publish(*specs)) == by_port(allocate_ports(singles, (), HostAddressing(Kernel()), Cursor()))


def test_the_highest_conflicting_port_of_a_range_is_reported():
    assert conflict("9500-9509>80-89", taken=[record("::", 9400, 9503), record("0.0.0.0", 9501)]) == (
        "Bind for :::9503 failed: port is already allocated"
    )
    kernel = Kernel(refusals={("tcp", "::", 9502): IN_USE})
    assert conflict("9500-9509>80-89", kernel=kernel).endswith("listen tcp6 [::]:9502: bind: address already in use")


def test_a_range_without_host_ports_gets_a_free_one_for_each():
    kernel = Kernel(ports=(range(50000, 50010),))
    got = publish(">80-83", kernel=kernel, taken=[record("0.0.0.0", 50000, 50005)], ipv6=False)
    assert sorted(port for r in got for port in range(r.host_port, r.host_port_end + 1)) == [50006, 50007, 50008, 50009]


def test_an_ip_version_without_nat_uses_no_host_port():
    host = HostAddressing(Kernel(), untranslated=frozenset({6}))
    taken = [PortRecord("tcp", "::", 8080, 8080, 80, 80)]
    assert shown(allocate_ports([spec("8080>80")], taken, host, Cursor())) == [
        "tcp 0.0.0.0 8080-8080 > 80-80",
        "tcp :: 0-0 > 80-80",
    ]


def test_without_nat_nothing_is_asked_of_the_kernel_and_nothing_collides():
    kernel = Kernel()
    host = HostAddressing(kernel, untranslated=frozenset({4, 6}))
    first = allocate_ports([spec("8080-8082>80-82"), spec(">53/udp")], [], host, Cursor())
    assert shown(first) == [
        "tcp 0.0.0.0 0-0 > 80-82", "tcp :: 0-0 > 80-82", "udp 0.0.0.0 0-0 > 53-53", "udp :: 0-0 > 53-53",
    ]  # fmt: skip
    assert allocate_ports([spec("8080-8082>80-82"), spec(">53/udp")], first, host, Cursor()) == first
    assert kernel.asked == 0


def test_an_endpoint_without_ipv4_gets_no_ipv4_host_port():
    host = HostAddressing(Kernel(), ipv4=False)
    assert shown(allocate_ports([spec("8080>80")], [], host, Cursor())) == ["tcp :: 8080-8080 > 80-80"]
