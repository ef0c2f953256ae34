"""Checks the store of records, the disks of hawse's directories, and the configuration file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from engine.api import Check
from engine.diagnosis.doctor.checks import REPAIR, fault, ok, warning
from engine.host import Host
from engine.recovery import check as checks
from engine.store.store_file import NAME

FULL_BYTES = 1 << 20
"""If fewer bytes are free, the check reports a full disk, because the store's log may grow to this size."""
LOW_BYTES = 16 << 20
FEW_FILES = 64
DELETE = "delete files: hawse system df, hawse system prune"


def check(host: Host) -> Iterator[Check]:
    """Yield the results for the store, for HAWSE_ROOT and HAWSE_RUN, and for daemon.json."""
    yield from _integrity(host)
    yield _space("HAWSE_ROOT", host.root)
    if _mount(host.run) != _mount(host.root):
        yield _space("HAWSE_RUN", host.run)
    heals = "" if host.config.heal else "; the agent repairs nothing (heal: false)"
    yield ok("daemon.json", f"is valid{heals}")


def _integrity(host: Host) -> list[Check]:
    """Return the faults that ``hawse system check`` finds, or one result `OK`."""
    cause = "the file was damaged, deleted or cut by another program or by the disk"
    fix = f"{REPAIR} (or: hawse system check --repair)"
    faults = [fault("store", problem, cause, fix) for problem in checks.check(host, host.root / NAME).problems]
    return faults or [ok("store", "the database is sound")]


def repair(host: Host) -> list[str]:
    """Replace a damaged store by a repaired store, and keep the old file; return a line of text for each change."""
    return list(checks.repair(host, host.root / NAME).done)


def _space(name: str, directory: Path) -> Check:
    try:
        disk = os.statvfs(directory)
    except OSError:
        return ok(name, f"{directory} does not exist yet")
    free, inodes = disk.f_bavail * disk.f_frsize, disk.f_favail if disk.f_files else FEW_FILES
    text = f"{directory} has {free >> 20} MiB free"
    if disk.f_flag & os.ST_RDONLY:
        fix = f"mount -o remount,rw {directory}"
        return fault(name, f"{directory} is read-only", "the disk is mounted read-only", fix)
    if free < FULL_BYTES or not inodes:
        what = f"the disk of {directory} is full" if inodes else f"the disk of {directory} has no free inodes"
        return fault(name, what, "commands cannot record what they do", DELETE)
    if free < LOW_BYTES or inodes < FEW_FILES:
        return warning(name, text, "the disk is almost full", DELETE)
    return ok(name, text)


def _mount(directory: Path) -> tuple[int, int]:
    """Return the device number of a directory's file system, and a flag that is not 0 if its mount is read-only.

    One device can have read-only and writable mounts at the same time. Returns (0, 0) if the directory is missing.
    """
    try:
        return os.stat(directory).st_dev, os.statvfs(directory).f_flag & os.ST_RDONLY
    except OSError:
        return 0, 0
