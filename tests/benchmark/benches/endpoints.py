"""Bench: compare the times to connect the first and the last endpoints of a network with many endpoints."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.runtime import syscalls
from tests.benchmark.products import Hawse, products
from tests.benchmark.results import Row, Settings, Table

SAMPLES = 15


def run(settings: Settings, state: Path) -> list[Table]:
    """Connect many network namespaces, one after another, to the same network, and measure the time of each connect."""
    number = settings.pick(1000, 100)
    with products(state, Hawse) as (_, [hawse]), namespaces(number + 1) as pids:
        hawse("network", "create", "--subnet", "10.200.0.0/16", "crowd")
        hawse("network", "connect", "crowd", f"pid:{pids[0]}")  # not measured: the first connect also sets up the host
        times = [connect(hawse, pid) for pid in pids[1:]]
        leaving = [disconnect(hawse, pid) for pid in pids[-SAMPLES:]]
        for pid in pids[SAMPLES:-SAMPLES]:
            os.kill(pid, signal.SIGKILL)
    row = Row("network connect", {"first": times[:SAMPLES], "last": times[-SAMPLES:]}, target=2.5)
    last = Row("network disconnect", {"last": leaving})
    title = f"{number:,} endpoints on one network: hawse, the first {SAMPLES} and the last {SAMPLES}"
    return [Table("endpoints", title, "ms", ("first", "last"), [row, last], ratio=("last", "first"))]


def connect(hawse: Hawse, pid: int) -> float:
    return hawse("network", "connect", "crowd", f"pid:{pid}").seconds * 1000


def disconnect(hawse: Hawse, pid: int) -> float:
    return hawse("network", "disconnect", "crowd", f"pid:{pid}").seconds * 1000


@contextmanager
def namespaces(number: int) -> Iterator[list[int]]:
    """Yield the pids of ``number`` idle processes, each in its own network namespace."""
    pids = [in_namespace() for _ in range(number)]
    try:
        yield pids
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)  # the pid is not reused before this program reaps the process
            os.waitpid(pid, 0)


def in_namespace() -> int:
    """Start a process in a new network namespace. Return the process's pid as soon as the namespace exists."""
    before = os.stat("/proc/self/ns/net").st_ino
    pid = os.fork()
    if pid == 0:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        while True:
            signal.pause()
    while os.stat(f"/proc/{pid}/ns/net").st_ino == before:
        time.sleep(0.0005)
    return pid
