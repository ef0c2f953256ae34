"""The statistics of containers: network counters of their interfaces, processor time, memory, disk and processes.

Because hawse enables no cgroup controllers for containers, the values come from /proc. They include the running
processes, and the ended children that these processes have waited for. A container's network counters are those of
its own interfaces, read in its network namespace.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

from drivers.errors import DriverError
from drivers.linux import netns, process_table
from drivers.linux.process_table import Process
from engine.api import Json
from engine.containers import lookup
from engine.containers.processes import pids_of
from engine.golang import timestamps
from engine.host import Host
from engine.model import ContainerRecord
from engine.render.state import STATS_INTERVAL_SECONDS, stats_after
from engine.store.api import Reader

RECURSIVE = (
    "io_serviced_recursive", "io_queue_recursive", "io_service_time_recursive", "io_wait_time_recursive",
    "io_merged_recursive", "io_time_recursive", "sectors_recursive",
)  # fmt: skip
THROTTLING = {"periods": 0, "throttled_periods": 0, "throttled_time": 0}
NO_CPU: Json = {
    "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
    "throttling_data": THROTTLING,
}


def current_stats(host: Host, references: Sequence[str]) -> list[Json]:
    """Return each container's current document of GET /containers/{id}/stats, with zeros in ``precpu_stats``.

    The processes are read only once for all containers, so many containers take little more time than one. The values
    of a container that is not running are 0. Raises NotFound if one of the containers does not exist.
    """
    with host.store.read() as reader:
        containers = [(record, _place(reader, record)) for record in (lookup.find(reader, r) for r in references)]
    records = [(lookup.with_actual_state(host, record), *place) for record, place in containers]
    processes = process_table.read() if any(record.status == "running" for record, *_ in records) else {}
    return [_document(host, record, owner, names, processes) for record, owner, names in records]


def stream(host: Host, reference: str, *, once: bool, one_shot: bool) -> Iterator[Json]:
    """Yield a document of GET /containers/{id}/stats every second, with the processor times of the previous document.

    Raises NotFound when the container is removed. Two parameters limit the result to one document:

    - ``once``: after one second, because a CPU percentage needs two readings. If the container is not running, the
      document is yielded immediately.
    - ``one_shot``: immediately, without processor times of an earlier document.
    """
    (before,) = current_stats(host, [reference])
    if one_shot or (once and before["read"] == timestamps.NEVER):
        yield before
        return
    while True:
        time.sleep(STATS_INTERVAL_SECONDS)
        (now,) = current_stats(host, [before["id"]])
        yield stats_after(before, now)
        if once:
            return
        before = now


def _place(reader: Reader, record: ContainerRecord) -> tuple[ContainerRecord, list[str]]:
    """Return the container that owns the sandbox of ``record``, and the names of the sandbox's interfaces.

    If that container does not exist, returns ``record`` itself and no names.
    """
    owner = lookup.sandbox_owner(reader, record)
    if owner is None:
        return record, []
    return owner, [e.interface for e in reader.endpoints(container_id=owner.id) if e.phase == "live" and e.interface]


def _document(
    host: Host,
    record: ContainerRecord,
    owner: ContainerRecord,
    interfaces: Sequence[str],
    processes: dict[int, Process],
) -> Json:
    running = record.status == "running"
    pids = pids_of(host, record, processes) if running else set()
    members = [processes[pid] for pid in pids]
    document: Json = {
        "read": timestamps.now() if running else timestamps.NEVER,
        "preread": timestamps.NEVER,
        "pids_stats": {"current": sum(p.threads for p in members), "limit": process_table.pid_limit()}
        if running
        else {},
        "blkio_stats": {"io_service_bytes_recursive": _disk(pids), **dict.fromkeys(RECURSIVE)},
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _processors(members) if running else NO_CPU,
        "precpu_stats": NO_CPU,
        "memory_stats": _memory(pids) if running else {},
        "name": f"/{record.name}",
        "id": record.id,
    }
    networks = _networks(owner, interfaces) if running else {}
    return {**document, "networks": networks} if networks else document


def _processors(members: Sequence[Process]) -> Json:
    user, system = sum(p.user for p in members), sum(p.system for p in members)
    return {
        "cpu_usage": {"total_usage": user + system, "usage_in_kernelmode": system, "usage_in_usermode": user},
        "system_cpu_usage": process_table.processor_time(),
        "online_cpus": os.cpu_count() or 1,
        "throttling_data": THROTTLING,
    }


def _memory(pids: set[int]) -> Json:
    limit = os.sysconf("SC_PHYS_PAGES") * process_table.PAGE_BYTES
    return {"usage": process_table.proportional_memory(pids), "stats": {}, "limit": limit}


def _disk(pids: set[int]) -> list[Json] | None:
    if not pids:
        return None
    numbers = zip(("read", "write"), process_table.disk_bytes(pids), strict=True)
    return [{"major": 0, "minor": 0, "op": word, "value": number} for word, number in numbers]


def _networks(owner: ContainerRecord, interfaces: Sequence[str]) -> Json:
    """Return the counters of a sandbox's interfaces, by interface name; empty if the sandbox has ended meanwhile.

    ``owner`` is the container that owns the sandbox. ``interfaces`` are the names of the interfaces.
    """
    if not interfaces:
        return {}
    try:
        return netns.run_in_netns(owner.sandbox_path, lambda: process_table.counters(interfaces), owner.sandbox_inode)
    except (DriverError, OSError):
        return {}
