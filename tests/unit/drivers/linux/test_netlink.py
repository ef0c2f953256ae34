"""Netlink's failures as a driver's errors."""

from __future__ import annotations

import errno

import pytest
from pyroute2.netlink.exceptions import NetlinkDumpInterrupted, NetlinkError

from drivers.api import KernelError, NoPermission
from drivers.linux import names
from drivers.linux.netlink import DUMP_ATTEMPTS, doing, dump


def interrupted(times: int):
    left = [times]

    def query():
        left[0] -= 1
        if left[0] >= 0:
            raise NetlinkDumpInterrupted()
        return iter(["lo"])

    return query


def test_an_interrupted_list_is_read_again():
    assert dump("links", interrupted(DUMP_ATTEMPTS - 1)) == ["lo"]


def test_a_list_that_never_holds_still_is_unknown_and_not_empty():
    with pytest.raises(KernelError, match="list links") as caught:
        dump("links", interrupted(DUMP_ATTEMPTS))
    assert caught.value.errno == errno.EINTR


def test_a_refusal_names_operation_object_and_errno():
    with pytest.raises(KernelError) as caught, doing("create bridge", "br0"):
        raise NetlinkError(errno.EBUSY)
    assert str(caught.value) == "create bridge br0: device or resource busy"
    with pytest.raises(NoPermission), doing("create bridge", "br0"):
        raise NetlinkError(errno.EPERM)
    with doing("delete link", "br0", ignore=(errno.ENODEV,)):
        raise NetlinkError(errno.ENODEV)


def test_generated_names_fit_the_kernel():
    identity = "f" * 64
    generated = [names.bridge_name(identity), names.dummy_name(identity), *names.host_end_names(identity)]
    assert all(names.fits(name) and names.valid(name) for name in generated)
    assert len(set(names.host_end_names("0123456789abcdef" * 4))) == 3
