"""Checks the age of this host's certificates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from engine.api import OK, Check
from engine.cluster import membership as memberships
from engine.cluster.model import ClusterMembership
from engine.diagnosis.doctor.checks import REPAIR, fault, ok, warning
from engine.errors import in_words

RENEWED_SHARE = 0.25
"""The check warns if less than this share of a certificate's lifetime is left.

The agent renews a certificate after half of its lifetime. If so little is left, the renewal has failed.
"""
FILES = {
    memberships.NODE: "certificate of this node",
    memberships.MANAGER: "certificate of this manager",
    memberships.AUTHORITY: "certificate of the cluster's authority",
}


def check(root: Path, membership: ClusterMembership) -> Iterator[Check]:
    """Yield a result for each certificate of this host: whether it can be read, is valid, and was renewed in time.

    The additional certificate of a manager is checked only on managers.
    """
    directory = memberships.directory(root)
    for file, name in FILES.items():
        if membership.is_manager or file != memberships.MANAGER:
            yield _check(directory / file, name)


def are_stale(root: Path, membership: ClusterMembership) -> bool:
    """Return whether a certificate of this host is unreadable, not valid, or late for its renewal.

    `check` reports each of these as a warning or a fault.
    """
    return any(result.status != OK for result in check(root, membership))


def _check(path: Path, name: str) -> Check:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        return fault(name, f"cannot be read: {in_words(error)}", f"{path} was deleted or changed")
    now, first, last = datetime.now(UTC), certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < first:
        return fault(name, f"is not valid before {first:%F %T} UTC", "this host's clock is slow", "set the clock")
    if now > last:
        cause = "the agent did not renew it: the host was off, or its clock was wrong"
        fix = f"{REPAIR}, or leave the swarm and join again"
        return fault(name, f"has expired at {last:%F %T} UTC", cause, fix)
    if last - now < (last - first) * RENEWED_SHARE and path.name != memberships.AUTHORITY:
        return warning(name, f"expires at {last:%F %T} UTC", "the agent has not renewed it in time", REPAIR)
    days = (last - now).days
    valid = f"is valid for {days} days" if days else f"is valid until {last:%T} UTC"
    return ok(name, valid if path.name == memberships.AUTHORITY else f"{valid}; the agent renews it")
