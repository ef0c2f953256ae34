"""hawse parses published and exposed ports, with the error texts of Docker 26.1.5."""

import pytest

from cli.options.ports import exposed_ports, published_ports
from engine.model import PortSpec


@pytest.mark.parametrize(
    ("value", "specs"),
    [
        ("80", [PortSpec("tcp", 80)]),
        ("8080:80", [PortSpec("tcp", 80, "", "8080")]),
        ("8080:80/UDP", [PortSpec("udp", 80, "", "8080")]),
        ("8080:80/", [PortSpec("tcp", 80, "", "8080")]),
        (":80", [PortSpec("tcp", 80)]),
        ("0:80", [PortSpec("tcp", 80, "", "0")]),
        ("127.0.0.1::80", [PortSpec("tcp", 80, "127.0.0.1")]),
        ("[::1]:8080:80", [PortSpec("tcp", 80, "::1", "8080")]),
        ("8000-8001:80-81", [PortSpec("tcp", 80, "", "8000-8001", 81)]),
        ("8000-8010:80", [PortSpec("tcp", 80, "", "8000-8010")]),
        ("90-91", [PortSpec("tcp", 90, port_end=91)]),
        ("published=8086,target=86,protocol=udp", [PortSpec("udp", 86, "", "8086")]),
        ("target=88", [PortSpec("tcp", 88)]),
        ("target=80,published=1,host_ip=::1", [PortSpec("tcp", 80, "::1", "1")]),
    ],
)
def test_one_value_gives_one_spec_however_long_its_range(value, specs):
    assert published_ports([value]) == tuple(specs)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("abc", "Invalid containerPort: abc"),
        ("80:70000", "Invalid containerPort: 70000"),
        ("-1:80", "Invalid hostPort: -1"),
        ("82-80:80", "Invalid hostPort: 82-80"),
        ("80:80:80", "Invalid ip address: 80"),
        ("", "No port specified: <empty>"),
        (":", "No port specified: :<empty>"),
        ("80:", "No port specified: 80:<empty>"),
        ("8080:80/foo", "Invalid proto: foo"),
        ("::1:8080:80", "Invalid ip address ::1: address ::1:: too many colons in address"),
        ("[::1:8080:80", "Invalid ip address [::1: address [::1:: missing ']' in address"),
        ("[::1]]:8080:80", "Invalid ip address [::1]]: address [::1]]:: missing port in address"),
        ("1.2.3.4[:8080:80", "Invalid ip address 1.2.3.4[: address 1.2.3.4[:: unexpected '[' in address"),
        ("80-82:90-91", "Invalid ranges specified for container and host Ports: 90-91 and 80-82"),
        ("published=8087,bogus=1", "No port specified: 8087:/tcp<empty>"),
        ("target=80,x", "invalid publish opts format (should be name=value but got 'x')"),
    ],
)
def test_bad_values_have_dockers_text(value, text):
    with pytest.raises(ValueError) as caught:
        published_ports([value])
    assert str(caught.value) == text


def test_exposed_ports_hold_each_port_once():
    specs = published_ports(["8080:80", "8081:80", "53:53/udp"])
    assert exposed_ports(specs, ["80", "9000-9001", "7/bogus"]) == (
        "80/tcp", "53/udp", "9000-9001/tcp", "7/bogus",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("8080:80", "invalid port format for --expose: 8080:80"),
        (
            "bogus",
            'invalid range format for --expose: bogus, error: strconv.ParseUint: parsing "bogus": invalid syntax',
        ),
        ("80-70", "invalid range format for --expose: 80-70, error: Invalid range specified for the Port: 80-70"),
        ("", "invalid range format for --expose: , error: Empty string specified for ports."),
    ],
)
def test_a_wrong_expose_value_gives_dockers_error(value, text):
    with pytest.raises(ValueError) as caught:
        exposed_ports([], [value])
    assert str(caught.value) == text
