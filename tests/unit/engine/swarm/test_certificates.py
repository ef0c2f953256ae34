"""A host renews its certificates in time, even if its clock or a manager's clock was wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engine.cluster import membership as memberships
from engine.cluster.keys import LAYOUT
from engine.cluster.model import MANAGER, ClusterMembership
from engine.swarm import certificates, pki

DAY = timedelta(days=1)


@pytest.fixture
def clock(monkeypatch):
    """Return a function that sets the clock of `pki` and `certificates` to a time relative to now."""

    def set_clock(offset):
        class Clock(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.now(tz) + offset

        monkeypatch.setattr(pki, "datetime", Clock)
        monkeypatch.setattr(certificates, "datetime", Clock)

    return set_clock


@pytest.fixture
def manager(tmp_path):
    directory = memberships.directory(tmp_path)
    directory.mkdir()
    key = pki.new_key()
    memberships.write_private(directory / memberships.AUTHORITY_KEY, key)
    memberships.write_private(directory / memberships.AUTHORITY, pki.new_authority(key))
    membership = ClusterMembership("c", "n", MANAGER, "192.0.2.1", "192.0.2.1", layout=LAYOUT)
    certificates.renew_manager(tmp_path, membership)
    return membership


@pytest.mark.parametrize(("days", "due"), [(0, False), (6.9, False), (7.1, True), (15, True), (-0.9, False)])
def test_a_certificate_is_renewed_after_half_of_its_lifetime(tmp_path, manager, clock, days, due):
    clock(days * DAY)
    assert certificates.is_due(tmp_path) is due


@pytest.mark.parametrize("years", [-50, 12])
def test_a_certificate_issued_under_a_wrong_clock_is_renewed_when_the_clock_is_right(tmp_path, manager, clock, years):
    clock(years * 365 * DAY)
    assert certificates.is_due(tmp_path)
    certificates.renew_manager(tmp_path, manager)
    assert not certificates.is_due(tmp_path)
    clock(0 * DAY)
    assert certificates.is_due(tmp_path)
    certificates.renew_manager(tmp_path, manager)
    assert not certificates.is_due(tmp_path)


def test_the_clock_of_the_host_does_not_decide_when_a_certificate_of_another_host_is_renewed(tmp_path, manager, clock):
    """A manager with the right time issued the certificate, and the host's clock is 8 days fast.

    The dates in the certificate decide, not the time at which the host got it.
    """
    clock(8 * DAY)
    assert certificates.is_due(tmp_path)
    clock(7.5 * DAY)
    assert certificates.is_due(tmp_path), "before the certificate expires"


def test_a_missing_or_damaged_certificate_is_not_due(tmp_path, manager):
    path = memberships.directory(tmp_path) / memberships.NODE
    path.write_text("no certificate")
    assert not certificates.is_due(tmp_path)
    path.unlink()
    assert not certificates.is_due(tmp_path)


def test_a_certificate_is_valid_for_hosts_with_a_hardware_clock_in_local_time():
    key = pki.new_key()
    issued = pki.issue(pki.new_authority(key), key, pki.request(pki.new_key()), "n")
    assert pki.is_fresh(issued, datetime.now(UTC) - timedelta(hours=14))
