"""Read all processes of this host from /proc in one pass, for the statistics of containers."""

from __future__ import annotations

import os
from collections.abc import Iterable

from msgspec import Struct

from drivers.linux.process import stat_fields

TICKS = os.sysconf("SC_CLK_TCK")
"""Clock ticks in a second; the unit of the times in /proc/PID/stat."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Indexes into the fields of `stat_fields`: parent, CPU times (of the process, and of its ended children), threads.
_PARENT, _TIMES, _THREADS = 1, slice(11, 15), 17
SECOND = 1_000_000_000  # nanoseconds


class Process(Struct, frozen=True):
    """One process of this host; ``parent`` is the PID of its parent process.

    ``user`` and ``system`` are CPU times in nanoseconds, including children that have ended. ``pid_namespace`` and
    ``net_namespace`` are "" if the caller of `read` is not allowed to read them.
    """

    pid: int
    parent: int
    user: int
    system: int
    threads: int
    pid_namespace: str
    net_namespace: str


def read() -> dict[int, Process]:
    """Return all processes of this host, by PID."""
    numbers = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return {pid: process for pid in numbers if (process := _read(pid)) is not None}


def _read(pid: int) -> Process | None:
    fields = stat_fields(pid)
    if not fields:
        return None
    user, system, reaped_user, reaped_system = (int(field) * SECOND // TICKS for field in fields[_TIMES])
    return Process(
        pid,
        int(fields[_PARENT]),
        user + reaped_user,
        system + reaped_system,
        int(fields[_THREADS]),
        namespace(pid, "pid"),
        namespace(pid, "net"),
    )


def namespace(pid: int | str, kind: str) -> str:
    """Return the type and inode number of a process's namespace (``pid:[4026531836]``), or "" if they are unreadable.

    ``pid`` is a PID, or another name below /proc such as "self". ``kind`` is the type of the namespace, such as "pid".
    """
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return ""


def descendants(processes: dict[int, Process], first: int) -> set[int]:
    """Return the PID ``first`` and the PIDs of all processes that descend from it.

    ``processes`` maps PIDs to processes (see `read`).
    """
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    pids, left = set(), [first]
    while left:
        pid = left.pop()
        if pid in processes and pid not in pids:
            pids.add(pid)
            left += children.get(pid, ())
    return pids


def proportional_memory(pids: Iterable[int]) -> int:
    """Return the sum of the processes' proportional set sizes (PSS), in bytes.

    If N processes share a page, each of them counts 1/N of it.
    """
    return sum(_labelled(f"/proc/{pid}/smaps_rollup", b"Pss:") * 1024 for pid in pids)


def disk_bytes(pids: Iterable[int]) -> tuple[int, int]:
    """Return how many bytes the processes together have read from disks, and how many they have written.

    A process whose numbers are not readable counts 0.
    """
    paths = [f"/proc/{pid}/io" for pid in pids]
    return sum(_labelled(p, b"read_bytes:") for p in paths), sum(_labelled(p, b"write_bytes:") for p in paths)


def _labelled(path: str, label: bytes) -> int:
    """Return the number that follows ``label`` in the file at ``path``.

    The number is in the first line that begins with ``label``. The result is 0 if no line begins with ``label``, or if
    the file cannot be read.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            lines = file.read().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(label)), 0)


def processor_time() -> int:
    """Return the time of all processors of this host since boot, busy and idle together, in nanoseconds."""
    with open("/proc/stat", "rb") as file:
        return sum(map(int, file.readline().split()[1:8])) * SECOND // TICKS


def pid_limit() -> int:
    """Return the maximum number of processes and threads of this host."""
    with open("/proc/sys/kernel/pid_max", encoding="ascii") as file:
        return int(file.read())


def counters(interfaces: Iterable[str]) -> dict[str, dict[str, int]]:
    """Return the traffic counters of each interface, with Docker's keys such as ``rx_bytes``.

    Runs in the calling thread's network namespace. A missing interface is left out.
    """
    names = set(interfaces)
    counts = {}
    with open("/proc/thread-self/net/dev", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            name, colon, rest = line.rpartition(":")
            if colon and name.strip() in names:
                values = list(map(int, rest.split()))
                keys = ("bytes", "packets", "errors", "dropped")
                counts[name.strip()] = {
                    **{f"rx_{key}": value for key, value in zip(keys, values, strict=False)},
                    **{f"tx_{key}": value for key, value in zip(keys, values[8:], strict=False)},
                }
    return counts
