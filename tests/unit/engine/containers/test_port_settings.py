"""`unpublish` removes ports from the port settings of a container that published them."""

from __future__ import annotations

from random import Random

import pytest

from cli.options.ports import parse_port_spec
from engine.containers import port_settings
from engine.errors import NotFound
from engine.model import PortRecord, PortSpec
from engine.ports.allocation import HostAddressing, PortConflict, allocate_ports
from tests.unit.engine.ports.test_allocation import Cursor, Kernel

WILDCARDS = ("0.0.0.0", "::")


def settings(*texts: str) -> list[PortSpec]:
    """Return port settings, each given as ``-p`` takes it."""
    return [parse_port_spec(text) for text in texts]


def records(*texts: str, addresses: tuple[str, ...] = WILDCARDS) -> list[PortRecord]:
    """Return the published ports of fixed settings; ``addresses`` are those of a setting without an address."""
    return [
        PortRecord(spec.protocol, address, spec.host_ports[0], spec.host_ports[-1], spec.port, spec.ports[-1])
        for spec in settings(*texts)
        for address in ((spec.host_ip,) if spec.host_ip else addresses)
    ]


def unpublished(specs: list[PortSpec], published: list[PortRecord], *texts: str) -> set[PortSpec]:
    """Return the settings after one ``unpublish`` for each text."""
    for text in texts:
        for requested in port_settings.with_chosen_ports(specs, *settings(text), published):
            specs = list(port_settings.without("web", specs, requested, published))
            published = port_settings.closed(published, requested, specs)[1]
    return set(specs)


def ports(published: list[PortRecord]) -> set[tuple[str, int, int]]:
    """Return the address, the host port and the container port of every published port."""
    return {
        (record.host_ip, record.host_port + offset, record.port + offset)
        for record in published
        for offset in range(record.port_end - record.port + 1)
    }


@pytest.mark.parametrize(
    ("published", "steps"),
    [
        (["8000-8009:80-89"], ["[::]:8002:82", "0.0.0.0:8000-8009:80-89"]),
        (["8000-8009:80-89"], ["[::]:8000:80", "0.0.0.0:8000-8001:80-81"]),
        (["8000-8009:80-89"], ["0.0.0.0:8000:80", "8000-8009:80-89"]),
        (["8000-8009:80-89"], ["0.0.0.0:8003-8004:83-84", "[::]:8004-8005:84-85", "8000:80"]),
        (["8000:80", "0.0.0.0:8001:81"], ["0.0.0.0:8000-8001:80-81"]),
        (["8000:80", "0.0.0.0:9000:80"], ["0.0.0.0::80"]),
        (["8000:80", "127.0.0.1:9000:80"], ["127.0.0.1::80"]),
        (["8000:80", "127.0.0.1:9000:80"], ["0.0.0.0::80", "[::]:8000:80"]),
        (["8000:80", "9000:80"], ["[::]::80", "0.0.0.0:9000:80"]),
    ],
)
def test_the_settings_publish_exactly_the_ports_that_are_left(published, steps):
    specs, held = settings(*published), records(*published)
    for text in steps:
        (requested,) = settings(text)
        specs = list(port_settings.without("web", specs, requested, held))
        held = port_settings.split(held, requested)[1]
        again = [
            PortRecord("tcp", address, s.host_ports[0], s.host_ports[-1], s.port, s.ports[-1])
            for s in specs
            for address in ((s.host_ip,) if s.host_ip else WILDCARDS)
        ]
        assert ports(again) == ports(held)


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("0.0.0.0:9000:80", "0.0.0.0:9000:80"),
        ("127.0.0.1:8000:80", "127.0.0.1:8000:80"),
        ("192.0.2.1:8000:80", "192.0.2.1:8000:80"),
        ("127.0.0.1::80-81", "127.0.0.1:81"),
        ("0.0.0.0:8000-8001:80-81", "0.0.0.0:8000-8001:81"),
        ("[::1]:8000:80", "[::1]:8000:80"),
        ("8000-8010:80", "8000-8010:80"),
    ],
)
def test_a_port_that_is_not_published_at_the_address_is_refused(text, missing):
    published = ["8000:80", "127.0.0.1:9000:80", "8001:82"]
    with pytest.raises(NotFound) as refused:
        port_settings.without("web", settings(*published), *settings(text), records(*published))
    assert str(refused.value) == f"No public port '{missing}/tcp' published for web"


def test_without_published_ports_the_text_of_the_settings_decides():
    specs = settings("8000:80", "127.0.0.1:9000:80", "9000-9010:80", "81")
    left = port_settings.without("web", specs, *settings("9000:80"), [])
    assert left == tuple(settings("8000:80", "9000-9010:80", "81"))
    assert port_settings.without("web", specs, *settings("80"), []) == tuple(settings("81"))
    with pytest.raises(NotFound):
        port_settings.without("web", specs, *settings("0.0.0.0:8000:80"), [])


def test_a_fixed_port_with_the_same_difference_does_not_hide_a_chosen_port():
    specs, held = settings("8000:80", "8002-8010:82"), records("8000:80", "8002:82")
    assert unpublished(specs, held, "8002:82") == {specs[0]}
    assert unpublished(specs, held, "8000:80") == {specs[1]}


def test_a_chosen_port_belongs_to_the_setting_whose_range_has_it():
    free, low, high = specs = settings("80", "8000-8010:80", "9000-9010:80")
    held = records("8000:80", "9000:80", "50000:80")
    for setting, text in ((low, "8000:80"), (high, "9000:80"), (free, "50000:80")):
        assert unpublished(specs, held, text) == set(specs) - {setting}
    with pytest.raises(NotFound):
        unpublished(specs, held, "9001:80")


def test_a_range_has_the_lowest_of_the_chosen_ports():
    free, ranged = specs = settings("80", "32000-33000:80")
    held = records("32768:80", "32000:80")
    assert unpublished(specs, held, "32768:80") == {ranged}
    assert unpublished(specs, held, "32000:80") == {free}


@pytest.mark.parametrize(
    ("published", "text", "left"),
    [
        (["8003:80", "8005:80"], "8000-8010:80", ["8005:80"]),
        (["8003:80", "8005:80"], "[::]:8000-8010:80", ["0.0.0.0:8000-8010:80", "8005:80"]),
        ([], "8000-8010:80", ["8005:80"]),
    ],
    ids=["running", "at one address", "stopped"],
)
def test_a_setting_with_a_choice_is_removed_as_it_was_published(published, text, left):
    specs = settings("8000-8010:80", "8005:80")
    assert unpublished(specs, records(*published), text) == set(settings(*left))
    for other in ("8000-8009:80", "8001-8011:80", "127.0.0.1:8000-8010:80"):
        with pytest.raises(NotFound):
            unpublished(specs, records(*published), other)


def test_a_range_that_several_settings_have_means_each_of_them():
    specs = settings("127.0.0.1:8000-8010:80", "127.0.0.2:8000-8010:80", "127.0.0.2:8001:80")
    held = records("127.0.0.1:8001:80", "127.0.0.2:8002:80", "127.0.0.2:8001:80")
    assert unpublished(specs, held, "127.0.0.2:8000-8010:80") == {specs[0], specs[2]}
    assert unpublished(specs, held, "8000-8010:80") == {specs[2]}


def explains(specs: list[PortSpec], published: set[tuple[str, int]]) -> bool:
    """Return whether hawse can have chosen exactly the host ports ``published`` for the settings ``specs``."""
    if not specs:
        return not published
    addresses = (specs[0].host_ip,) if specs[0].host_ip else WILDCARDS
    allowed = {port for _, port in published if not specs[0].host_ports or port in specs[0].host_ports}
    owns = ({(address, port) for address in addresses} for port in allowed)
    return any(own <= published and explains(specs[1:], published - own) for own in owns)


def random_settings(random: Random) -> tuple[list[PortSpec], list[PortRecord]]:
    """Return two to four settings whose ranges overlap, and the published ports.

    hawse has chosen ports from some of the ranges before. Therefore a range may not have its lowest port.
    """
    address, ranges = random.choice(("", "0.0.0.0:", "[::]:")), []
    for _ in range(random.randint(2, 4)):
        first = random.randint(8000, 8005)
        ranges.append(f"{address}{first}-{first + random.randint(1, 5)}:80")
    specs, cursor = settings(*ranges), Cursor()
    for spec in specs[: random.randint(0, 4)]:
        for host_ip in (spec.host_ip,) if spec.host_ip else WILDCARDS:
            cursor.move("tcp", host_ip, spec.host_ports, random.choice(spec.host_ports))
    try:
        return specs, allocate_ports(specs, [], HostAddressing(Kernel()), cursor)
    except PortConflict:  # a range is full
        return random_settings(random)


def test_after_each_unpublish_the_settings_explain_the_ports_that_are_left():
    random = Random(1)
    for _ in range(1000):
        specs, held = random_settings(random)
        while held:
            (requested,) = settings(f"{random.choice(held).host_port}:80")
            specs = list(port_settings.without("web", specs, requested, held))
            held = port_settings.closed(held, requested, specs)[1]
            assert explains(specs, {(port.host_ip, port.host_port) for port in held})


@pytest.mark.parametrize(
    ("published", "chosen", "text", "left"),
    [
        (["8001-8006:80", "8005-8008:80"], ["8006:80", "8007:80"], "8007:80", "8001-8006:80"),
        (["8005-8009:80", "8003-8008:80"], ["8007:80", "8009:80"], "8007:80", "8005-8009:80"),
        (["8005-8009:80", "0.0.0.0:8005-8008:80"], ["8005:80", "0.0.0.0:8008:80"], "8005:80", "0.0.0.0:8005-8008:80"),
        (["8004-8006:80", "[::]:8003-8005:80"], ["8005:80", "[::]:8004:80"], "8005:80", "[::]:8003-8005:80"),
    ],
)
def test_a_port_is_that_of_a_setting_which_leaves_the_others_a_port(published, chosen, text, left):
    """In each case, a range does not have its lowest port, because hawse chose that port last."""
    assert unpublished(settings(*published), records(*chosen), text) == set(settings(left))


def test_chosen_ports_of_a_range_of_container_ports_are_unpublished_one_by_one():
    specs, held = settings("80-89"), records("32768-32770:80-82", "40000:83", "50005:84")
    assert unpublished(specs, held, "32769:81", "0.0.0.0:40000:83") == set(settings("80", "82", "[::]::83", "84-89"))
    assert unpublished(specs, held, "32769-32770:81-82") == set(settings("80", "83-89"))


def test_equal_settings_are_removed_one_by_one():
    assert port_settings.without(
        "web", settings("80", "80"), *settings("32769:80"), records("32768:80", "32769:80")
    ) == tuple(settings("80"))


def test_a_port_without_a_host_port_comes_from_each_setting():
    """The network's gateway mode for IPv6 is "routed"."""
    held = [*records("8000:80", "8001:80", addresses=("0.0.0.0",)), PortRecord("tcp", "::", 0, 0, 80, 80)]
    assert unpublished(settings("8000:80", "8001:80"), held, "[::]::80") == set(
        settings("0.0.0.0:8000:80", "0.0.0.0:8001:80")
    )


ROUTED = [PortRecord("tcp", address, 0, 0, 80, 80) for address in WILDCARDS]
NAT = records("8080:80", "9090:80", addresses=("0.0.0.0",))


@pytest.mark.parametrize("published", [ROUTED, [*NAT, ROUTED[1]]], ids=["routed", "IPv6 routed"])
def test_a_port_without_a_host_port_stays_open_as_long_as_a_setting_publishes_it(published):
    specs, (requested,) = settings("8080:80", "9090:80"), settings("8080:80")
    left = port_settings.without("web", specs, requested, published)
    assert list(left) == settings("9090:80")
    closed, others = port_settings.closed(published, requested, left)
    assert [port for port in published if not port.host_port] == [port for port in others if not port.host_port]
    assert closed == [port for port in published if port.host_port == 8080]
    (last,) = settings("9090:80")
    assert port_settings.closed(others, last, port_settings.without("web", left, last, others)) == (others, [])


@pytest.mark.parametrize("published", [ROUTED, [NAT[1], ROUTED[1]]], ids=["routed", "IPv6 routed"])
def test_a_host_port_that_no_setting_has_is_refused_without_a_host_port_too(published):
    with pytest.raises(NotFound, match=r"^No public port '8080:80/tcp' published for web$"):
        port_settings.without("web", settings("9090:80"), *settings("8080:80"), published)


def test_a_setting_without_an_address_stays_only_where_it_is_published():
    """Without IPv6, a setting is published at 0.0.0.0 only."""
    held = records("8000-8009:80-89", addresses=("0.0.0.0",))
    assert unpublished(settings("8000-8009:80-89"), held, "0.0.0.0:8000:80") == set(settings("8001-8009:81-89"))
    held = records("8000:80", addresses=("192.0.2.1",))  # the network's default address
    assert unpublished(settings("8000:80"), held, "192.0.2.1:8000:80") == set()


@pytest.mark.parametrize(
    ("setting", "recorded"),
    [("[2001:DB8::1]:8080:80", "2001:db8::1"), ("[::ffff:127.0.0.1]:8080:80", "127.0.0.1")],
)
def test_an_address_is_the_same_in_each_of_its_forms(setting, recorded):
    """Otherwise the setting would be removed, and the port would stay open."""
    published = [PortRecord("tcp", recorded, 8080, 8080, 80, 80)]
    for text in (setting, f"[{recorded}]:8080:80" if ":" in recorded else f"{recorded}:8080:80"):
        (requested,) = settings(text)
        assert port_settings.without("web", settings(setting), requested, published) == ()
        assert port_settings.split(published, requested) == (published, [])
