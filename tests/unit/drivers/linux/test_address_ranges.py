"""hawse reads address lists from the kernel correctly, even if the lists change while they are read."""

from __future__ import annotations

import errno

import pytest

from drivers.errors import KernelError
from drivers.linux import address_ranges, netlink
from drivers.linux.netlink import DUMP_ATTEMPTS


@pytest.fixture
def interruptions(monkeypatch):
    """Return a list of outcomes for the next attempts to read an address list; the test fills the list."""
    outcomes = []

    def answer(*_):
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(address_ranges, "_answer", answer)
    return outcomes


def test_an_interrupted_list_is_read_again(interruptions):
    interruptions += [InterruptedError()] * (10 * DUMP_ATTEMPTS) + [[(1, 2)]]
    assert address_ranges.ranges(4) == [(1, 2)]


def test_a_list_that_is_interrupted_each_time_is_an_error_and_not_empty(interruptions, monkeypatch):
    monkeypatch.setattr(netlink, "DUMP_SECONDS", 0.0)
    interruptions += [InterruptedError()] * DUMP_ATTEMPTS
    with pytest.raises(KernelError, match="list addresses") as caught:
        address_ranges.ranges(4)
    assert caught.value.errno == errno.EINTR
