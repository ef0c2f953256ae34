"""Handle a failed start of a container: undo its finished steps, and record its error and its exit code."""

from __future__ import annotations

from msgspec.structs import replace

from engine.agent.client import announce
from engine.containers import sandbox_links
from engine.containers.finalize import close_sandbox
from engine.endpoints import reservation
from engine.errors import EngineError, KernelFailure, StartFailure, Unavailable
from engine.host import Host
from engine.model import ContainerRecord
from engine.runtime.api import RuntimeFailure
from engine.runtime.errors import NOT_FOUND, PERMISSION
from engine.store.api import IntentKind

EXIT_CODES = {NOT_FOUND: 127, PERMISSION: 126}
UNKNOWN_EXIT = 128  # Docker's exit code for a container that could not start


def start_failure(error: RuntimeFailure) -> EngineError:
    """Return the engine error for a failure of the runtime; it has an exit code if the command cannot be executed."""
    code = EXIT_CODES.get(error.kind)
    return StartFailure(str(error), code) if code else KernelFailure(str(error))


def _past_path(host: Host, record: ContainerRecord) -> str:
    """Return the path of the symbolic link to the container's last sandbox, or "" if it never had a sandbox.

    As in Docker, inspect shows this path as SandboxKey even after a failed start.
    """
    return sandbox_links.path_of(host.run, record.sandbox_id) if record.sandbox_id else ""


def rollback(host: Host, container_id: str) -> None:
    """Undo all steps of a start that failed or was killed; idempotent.

    Works even if the process and its namespace no longer exist.

    If the start was an automatic restart, the container's addresses and ports stay reserved. If the start was killed,
    it will be repeated and needs them. If it failed, it is normally not repeated, and `record_failure` then releases
    them.
    """
    with host.store.read() as reader:
        record = reader.container(container_id)
        waits = (IntentKind.CONTAINER_RESTART, container_id) in {(i.kind, i.object_id) for i in reader.intents()}
    if record is None:
        return
    try:
        reservation.release_endpoints(host, record, keep=waits)
    finally:
        host.runtime.delete(container_id)
        close_sandbox(host, record)
        if record.kind == "adopted":
            ended = replace(record, status="exited", pid=0)
        else:
            ended = replace(record, pid=0, pid_start=0, sandbox_path=_past_path(host, record))
        with host.store.write() as tx:
            tx.put_container(ended)
    announce(host)


def record_failure(host: Host, before: ContainerRecord, error: EngineError) -> None:
    """Record the error and the exit code of a failed start; ``before`` is the container's record before the start.

    A `StartFailure` (the command could not be executed) has the exit code to record. For any other error, the exit code
    of the last run is recorded, or `UNKNOWN_EXIT` if the last run's code is 0.

    The container is not restarted automatically. The addresses and ports that it kept are released, unless ``error`` is
    `Unavailable`.
    """
    code = error.exit_code if isinstance(error, StartFailure) else before.exit_code or UNKNOWN_EXIT
    with host.store.write() as tx:
        record = tx.container(before.id)
        if record is not None:
            status = "exited" if record.status == "restarting" else record.status  # "exited" ends automatic restarts
            tx.put_container(replace(record, status=status, exit_code=code, error=str(error)))
        # If something is unavailable, such as the etcd store, the start may be repeated later (`engine.recovery.boot`).
        # Therefore the container keeps its addresses and ports.
        if not isinstance(error, Unavailable):
            reservation.take_former(tx, before.id)
