"""The command ``hawse port``."""

from __future__ import annotations

import pytest

BOTH = {
    "80/tcp": [("0.0.0.0", "8080"), ("::", "8080")],
    "443/tcp": [("127.0.0.1", "8443")],
    "53/udp": [("::1", "5353")],
}


@pytest.fixture
def port(cli):
    ports = {name: [{"HostIp": ip, "HostPort": number} for ip, number in at] for name, at in BOTH.items()}
    ports["90/tcp"] = None
    cli.engine.answers["containers"]["inspect"] = {"NetworkSettings": {"Ports": ports}}
    return lambda *argv: cli("port", "c1", *argv)


ALL = """\
53/udp -> [::1]:5353
80/tcp -> 0.0.0.0:8080
80/tcp -> [::]:8080
443/tcp -> 127.0.0.1:8443
"""


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        ([], ALL),
        ([""], ALL),
        (["80"], "0.0.0.0:8080\n[::]:8080\n"),
        (["80/"], "0.0.0.0:8080\n[::]:8080\n"),
        (["53/udp"], "[::1]:5353\n"),
    ],
)
def test_prints_where_ports_are_published(port, arguments, printed):
    assert port(*arguments).out == printed


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("81", "Error: No public port '81' published for c1"),
        ("90", "Error: No public port '90' published for c1"),
        ("53", "Error: No public port '53' published for c1"),
        ("80/bogus", "Error: No public port '80/bogus' published for c1"),
        ("abc", 'Error: invalid port (abc): strconv.ParseUint: parsing "abc": invalid syntax'),
        ("70000", 'Error: invalid port (70000): strconv.ParseUint: parsing "70000": value out of range'),
    ],
)
def test_an_unpublished_or_invalid_port_is_refused(port, argument, text):
    result = port(argument)
    assert (result.code, result.out, result.err) == (1, "", text + "\n")


def test_no_port_at_all_prints_nothing(cli):
    cli.engine.answers["containers"]["inspect"] = {"NetworkSettings": {"Ports": {}}}
    assert cli("port", "c1").out == ""
