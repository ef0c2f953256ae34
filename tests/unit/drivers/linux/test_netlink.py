"""hawse encodes netlink messages as bytes, and converts netlink failures to driver errors."""

from __future__ import annotations

import errno
import socket
import struct

import pytest

from drivers.errors import KernelError, NoPermission
from drivers.linux import attributes, names, netlink
from drivers.linux.errors import kernel_errors
from drivers.linux.netlink import DUMP_ATTEMPTS, DUMP_INTERRUPTED, Message, Session

LINK, LIST = 16, 18


@pytest.fixture
def kernel(monkeypatch):
    """Yield the other end of the netlink session's socket, on which the test answers as the kernel would."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    monkeypatch.setattr(netlink.socket, "socket", lambda *_: ours)
    for call in ("setsockopt", "connect"):
        monkeypatch.setattr(ours.__class__, call, lambda *_: None)
    theirs.settimeout(5)
    yield theirs
    theirs.close()


def say(kernel, number, *parts):
    """Send a reply to the request ``number`` as the kernel would.

    The reply is one datagram. Each part is one message of the datagram: (kind, flags, body).
    """
    kernel.send(
        b"".join(struct.pack("=IHHII", 16 + len(body), kind, flags, number, 0) + body for kind, flags, body in parts)
    )


def code(number=0):
    return struct.pack("=i", -number)


def test_a_request_returns_the_messages_before_the_acknowledgement(kernel):
    say(kernel, 1, (LINK, 0, b"body"))
    say(kernel, 1, (netlink.ERROR, 0, code()))
    assert Session().request(LIST, b"ask") == [b"body"]
    assert kernel.recv(100) == struct.pack("=IHHII", 19, LIST, 0x5, 1, 0) + b"ask"


def test_a_refusal_is_an_oserror(kernel):
    say(kernel, 1, (netlink.ERROR, 0, code(errno.EEXIST)))
    with pytest.raises(FileExistsError):
        Session().request(LINK, b"")


def test_answers_to_other_requests_are_ignored(kernel):
    say(kernel, 7, (LINK, 0, b"late"), (netlink.ERROR, 0, code(errno.EPERM)))
    say(kernel, 1, (netlink.ERROR, 0, code()))
    assert Session().request(LINK, b"") == []


def test_an_interrupted_list_is_read_again(kernel):
    for number in range(1, DUMP_ATTEMPTS):
        say(kernel, number, (LINK, DUMP_INTERRUPTED, b"half"), (netlink.DONE, 0, code()))
    say(kernel, DUMP_ATTEMPTS, (LINK, 0, b"whole"))
    say(kernel, DUMP_ATTEMPTS, (netlink.DONE, 0, code()))
    assert Session().dump(LIST, b"") == [b"whole"]


def test_a_list_that_is_interrupted_each_time_is_an_error_and_not_empty(kernel, monkeypatch):
    monkeypatch.setattr(netlink, "DUMP_SECONDS", 0.0)
    for number in range(1, DUMP_ATTEMPTS + 1):
        say(kernel, number, (netlink.DONE, DUMP_INTERRUPTED, code()))
    with pytest.raises(KernelError, match="list links") as caught, kernel_errors("list", "links"):
        Session().dump(LIST, b"")
    assert caught.value.errno == errno.EINTR


def test_a_batch_returns_the_error_of_each_refused_message(kernel):
    say(kernel, 2, (netlink.ERROR, 0, code(errno.EEXIST)))
    say(kernel, 3, (netlink.ERROR, 0, code()))
    batch = [Message(LINK, 0, b"1234"), Message(LINK, 0, b"5678"), Message(LINK, 0, b"last")]
    assert Session().request_each(batch) == [(1, errno.EEXIST)]


def test_a_refusal_names_operation_object_and_errno():
    with pytest.raises(KernelError) as caught, kernel_errors("create bridge", "br0"):
        raise OSError(errno.EBUSY, "")
    assert str(caught.value) == "create bridge br0: device or resource busy"
    with pytest.raises(NoPermission), kernel_errors("create bridge", "br0"):
        raise OSError(errno.EPERM, "")
    with kernel_errors("delete link", "br0", ignore=(errno.ENODEV,)):
        raise OSError(errno.ENODEV, "")


def test_attributes_are_padded_and_read_back():
    first, second = attributes.text(3, "eth0"), attributes.attribute(4, b"\xdc\5\0\0")
    assert first == b"\x09\x00\x03\x00eth0\0\0\0\0" and len(second) == 8
    both = attributes.nested(18, first, second)
    inner = attributes.read(attributes.read(b"head" + both, 4)[18])
    assert (attributes.read_text(inner[3]), inner[4]) == ("eth0", b"\xdc\5\0\0")


@pytest.mark.parametrize("data", [b"\x03\0\x01\0", b"\x00\0\x01\0abcd", b"\x08", b""])
def test_damaged_attributes_end_the_reading(data):
    assert attributes.read(data) == {}


def test_generated_names_fit_the_kernel():
    identity = "f" * 64
    generated = [names.bridge_name(identity), names.dummy_name("macvlan", identity), *names.host_end_names(identity)]
    assert all(names.fits(name) and names.valid(name) for name in generated)
    assert len(set(names.host_end_names("0123456789abcdef" * 4))) == 3
