"""End all containers when the host shuts down, and record them as exited if the shutdown is cancelled.

dockerd does the same at its end. Exit codes and end times are recorded, but the status of these containers stays
"running". Therefore the next boot (`engine.recovery.boot`) starts them by their restart policies, with their addresses.
"""

from __future__ import annotations

import time

from msgspec.structs import replace

from engine.containers import lookup
from engine.containers.finalize import finalize_exit
from engine.containers.stop import stop_request
from engine.endpoints import boots
from engine.host import Host, end_intent
from engine.model import ContainerRecord
from engine.runtime.api import RuntimeFailure
from engine.store.api import IntentKind
from engine.store.locks import locked
from engine.validate.signals import parse_signal

MARGIN_SECONDS = 5.0
"""Seconds after a container's grace period for which `end_all` waits for the end of the process."""


def end_all(host: Host) -> tuple[int, list[str]]:
    """End the processes of all running containers; return the number of ended processes, and a line for each failure.

    `engine.containers.on_exit` starts none of these containers before the next boot. Blocks up to the longest stop
    timeout of a container plus `MARGIN_SECONDS`. Blocks without a limit if a container has a negative stop timeout,
    because such a container gets no SIGKILL.
    """
    with host.store.write() as tx:
        boots.begin_shutdown(tx)
        records = [r for r in tx.containers() if r.kind == "process" and r.status == "running"]
    waits, problems = [], []
    for record in records:
        request = stop_request(record, parse_signal(record.config.stop_signal or "SIGTERM"))
        try:
            host.runtime.request_stop(record.id, request)
            waits.append((record, request.seconds))
        except RuntimeFailure as error:
            problems.append(f"container {record.name}: {error}")
    begin = time.monotonic()
    for record, seconds in waits:
        left = None if seconds is None else max(0.0, begin + seconds + MARGIN_SECONDS - time.monotonic())
        if not _has_ended(host, record.id, left):
            problems.append(f"container {record.name}: the process has not ended after SIGKILL")
        else:
            _keep_end(host, record)
    return len(records) - len(problems), problems


def _has_ended(host: Host, container_id: str, seconds: float | None) -> bool:
    """Wait up to ``seconds`` for the end of a container's process, and return whether it has ended.

    If ``seconds`` is None, the function waits without a limit.
    """
    try:
        return host.runtime.wait(container_id, seconds) is not None
    except RuntimeFailure:
        return True  # the supervisor does not know the process any more


def _keep_end(host: Host, record: ContainerRecord) -> None:
    """Record how a container's process has ended, because a boot deletes the runtime's files.

    The new record keeps the status "running" and has no pid.
    """
    state = host.runtime.state(record.id)
    if not state.finished_at:
        return
    with host.store.write() as tx:
        current = tx.container(record.id)
        if current is not None and current.started_at == record.started_at:
            tx.put_container(replace(lookup.with_end(current, state), pid=0, pid_start=0))


def cancel(host: Host) -> None:
    """Record the containers that `end_all` has ended in this boot as exited; idempotent.

    Waits for containers that are still ending, up to `MARGIN_SECONDS` after their SIGKILL. The containers do not count
    as stopped by the user. Does nothing if `end_all` has not run in this boot.

    If an automatic restart was due during the shutdown, it has been dropped. Therefore this function cancels all
    automatic restarts for which containers still wait. `engine.recovery.boot` then starts these containers.
    """
    with host.store.read() as reader:
        if not boots.is_shutting_down(reader):
            return
        running = [r.id for r in reader.containers() if r.kind == "process" and r.status == "running"]
    for container_id in running:
        deadline = host.runtime.stop_deadline(container_id)
        if deadline is not None:  # `end_all` was killed while it waited for the end of this process
            _has_ended(host, container_id, max(0.0, deadline - time.time()) + MARGIN_SECONDS)
        with locked(host.run, "container", container_id):
            finalize_exit(host, container_id, at_shutdown=True)
    with host.store.write() as tx:
        waiting = [record.id for record in tx.containers() if record.status == "restarting"]
        for container_id in waiting:
            end_intent(tx, IntentKind.CONTAINER_RESTART, container_id)
        boots.cancel_shutdown(tx)
    for container_id in waiting:
        host.runtime.cancel_restart(container_id)
