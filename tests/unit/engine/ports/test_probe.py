"""hawse checks whether a host port is free. The tests ask the kernel with real sockets on the loopback interface."""

from __future__ import annotations

import os
import socket

import pytest

from engine.ports.allocation import IN_USE
from engine.ports.probe import BIND_LIMIT, HostProbe, free_ports, listens_on_ipv6
from tests.unit.engine.conftest import no_descriptor_left


@pytest.fixture
def probe():
    return HostProbe(lambda: [range(1, 2)])


def listener(address="127.0.0.1", family=socket.AF_INET, **kw):
    return socket.create_server((address, 0), family=family, **kw)


def port_of(sock):
    return sock.getsockname()[1]


def test_a_listener_refuses_its_address_and_the_wildcard_but_no_other(probe):
    with listener() as sock:
        port = port_of(sock)
        assert probe.refusal("tcp", "127.0.0.1", port) == IN_USE
        assert probe.refusal("tcp", "0.0.0.0", port) == IN_USE
        assert probe.refusal("tcp", "127.0.0.2", port) is None
        assert probe.refusal("udp", "127.0.0.1", port) is None
    assert probe.refusal("tcp", "127.0.0.1", port) is None


def test_a_dual_stack_listener_refuses_ipv4_too(probe):
    with listener("::", socket.AF_INET6, dualstack_ipv6=True) as sock:
        assert probe.refusal("tcp", "0.0.0.0", port_of(sock)) == IN_USE
    with listener("::", socket.AF_INET6) as sock:
        assert probe.refusal("tcp", "::", port_of(sock)) == IN_USE
        assert probe.refusal("tcp", "0.0.0.0", port_of(sock)) is None


def inode_of(sock):
    return os.fstat(sock.fileno()).st_ino


def test_a_port_that_only_the_agent_has_bound_is_free():
    with listener("::", socket.AF_INET6) as sock:
        port = port_of(sock)
        probe = HostProbe(list, read_own=lambda: {inode_of(sock)})
        assert probe.refusal("tcp", "::", port) is None
        assert probe.refusal("tcp", "::1", port) is None
        with socket.create_server(("127.0.0.1", port)):
            assert probe.refusal("tcp", "::", port) == IN_USE
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        probe = HostProbe(list, read_own=lambda: {inode_of(sock)})
        assert probe.refusal("udp", "0.0.0.0", port_of(sock)) is None


def test_a_bound_udp_socket_blocks_its_port(probe):
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        assert probe.refusal("udp", "0.0.0.0", port_of(sock)) == IN_USE
        assert probe.refusal("tcp", "0.0.0.0", port_of(sock)) is None


def test_a_connection_in_time_wait_does_not_block_a_port(probe):
    with listener() as sock:
        port = port_of(sock)
        with socket.create_connection(("127.0.0.1", port)) as client:
            sock.accept()[0].close()  # the server closes first, so the server's port stays in TIME_WAIT
            assert client.recv(1) == b""
    assert probe.refusal("tcp", "127.0.0.1", port) is None


def test_an_address_that_the_host_lacks_cannot_be_bound(probe):
    assert probe.refusal("tcp", "192.0.2.77", 8080) == "cannot assign requested address"
    assert probe.refusal("udp", "2001:db8::77", 8080) == "cannot assign requested address"


def test_sctp_is_refused_by_a_kernel_without_sctp(probe):
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError:
        expected = "protocol not supported"
    else:
        expected = None
    assert probe.refusal("sctp", "127.0.0.1", 8080) == expected


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_listeners_are_seen_in_long_ranges_too(probe, family):
    address, wildcard = ("127.0.0.1", "0.0.0.0") if family == socket.AF_INET else ("::1", "::")
    with listener(address, family) as sock, socket.socket(family, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind((address, 0))
        assert probe.refusal("tcp", wildcard, 0) is probe.refusal("udp", wildcard, 0) is None
        for _ in range(BIND_LIMIT):
            probe.refusal("tcp", wildcard, 0)
        assert probe.refusal("tcp", wildcard, port_of(sock)) == IN_USE
        assert probe.refusal("udp", wildcard, port_of(datagrams)) == IN_USE
        assert probe.refusal("tcp", "192.0.2.77", port_of(sock)) == "cannot assign requested address"


def test_a_long_range_is_not_bound_port_by_port(monkeypatch, probe):
    binds = []
    bind = socket.socket.bind
    monkeypatch.setattr(socket.socket, "bind", lambda sock, address: (binds.append(address), bind(sock, address))[1])
    assert {probe.refusal("tcp", "127.0.0.1", port) for port in range(20000, 21000)} <= {None, IN_USE}
    assert BIND_LIMIT <= len(binds) < 500


def test_the_kernel_tables_may_lack_ipv6(tmp_path):
    (tmp_path / "tcp").write_text("  sl  local_address rem_address\n   0: 0100007F:1F90 00000000:0000 0A\n")
    (tmp_path / "udp").write_text("  sl  local_address rem_address\n")
    assert HostProbe(list, tmp_path)._ports_in_use == {8080}


def test_the_sockets_of_a_kernel_with_sctp_are_seen(tmp_path):
    """The lines are in the format of net/sctp/proc.c. The SCTP files are in a directory of /proc/net."""
    (tmp_path / "sctp").mkdir()
    (tmp_path / "sctp" / "eps").write_text(
        " ENDPT     SOCK   STY SST HBKT LPORT   UID INODE LADDRS\n"
        "       0        0 2   10  8    5000      0 12345 0.0.0.0 \n"
    )
    (tmp_path / "sctp" / "assocs").write_text(
        " ASSOC     SOCK   STY SST ST HBKT ASSOC-ID TX_QUEUE RX_QUEUE UID INODE LPORT RPORT LADDRS <-> RADDRS\n"
        "       0        0 2   1   3  0       1        0        0       0 12346 5001  36000  *10.0.0.1 <-> *10.0.0.2 \n"
    )
    probe = HostProbe(list, tmp_path)
    assert probe._ports_in_use == {5000, 5001}
    assert not probe._is_own("sctp", 5000)


@pytest.mark.parametrize(
    ("reserved", "free"),
    [
        ([], [range(32768, 61000)]),
        ([(40000, 40010), (50000, 50000)], [range(32768, 40000), range(40011, 50000), range(50001, 61000)]),
        ([(50000, 50000), (40000, 40010)], [range(32768, 40000), range(40011, 50000), range(50001, 61000)]),
        ([(1, 32768), (60999, 65535)], [range(32769, 60999)]),
        ([(80, 90), (65000, 65001)], [range(32768, 61000)]),
        ([(1, 65535)], []),
        ([(32768, 50000), (40000, 45000)], [range(50001, 61000)]),
    ],
)
def test_reserved_ports_are_left_out(reserved, free):
    assert free_ports((32768, 60999), reserved) == free


def test_ipv6_support_is_detected():
    assert listens_on_ipv6() is socket.has_ipv6


def test_ipv6_does_not_count_as_missing_without_file_descriptors():
    with no_descriptor_left(), pytest.raises(OSError, match="Too many open files"):
        listens_on_ipv6()
