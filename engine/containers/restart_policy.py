"""Decide by the restart policy whether a container is started again after its process has ended.

This module computes two values: the container's record after the end, and the seconds to wait before the next run. The
module has no side effects: other modules detect the end and start the next run.
"""

from __future__ import annotations

from signal import SIGKILL

from msgspec.structs import replace

from engine.golang import timestamps
from engine.model import ContainerRecord
from engine.validate.signals import parse_signal

# These values are the same as in Docker's restart monitor.
FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS, STEADY_AFTER_SECONDS = 0.1, 60.0, 10.0


def after_end(record: ContainerRecord, *, restart_requested: bool = False) -> ContainerRecord:
    """Return the record of a container, updated for the end of its process.

    The new status is "exited". If the restart policy requires another run, the new status is "restarting", and the
    restart count is higher by one. After a restart that the user requested, the new status is also "restarting", and
    the restart count is 0.
    """
    ended = replace(record, status="exited", pid=0)
    if restart_requested:
        return replace(ended, status="restarting", restart_count=0, stopped_by_user=False)
    if not calls_for_restart(ended):
        return ended
    return replace(ended, status="restarting", restart_count=ended.restart_count + 1)


def calls_for_restart(record: ContainerRecord) -> bool:
    """Return whether the restart policy requires another run; always False if the user stopped the container."""
    policy = record.host.restart_policy
    if record.stopped_by_user:
        return False
    return _failed(record) if policy.name == "on-failure" else policy.name in ("always", "unless-stopped")


def starts_at_boot(record: ContainerRecord) -> bool:
    """Return whether the restart policy requires a start after a boot, as dockerd 26.1 decides at its start.

    ``always`` and ``on-failure`` also start a container that the user stopped. A container that never ran stays as it
    is.
    """
    policy = record.host.restart_policy
    if record.status == "created":
        return False
    if policy.name == "unless-stopped":
        return not record.stopped_by_user
    return _failed(record) if policy.name == "on-failure" else policy.name == "always"


def _failed(record: ContainerRecord) -> bool:
    """Return whether the last run failed and the policy allows another restart.

    If the policy's ``maximum_retry_count`` is 0, the number of restarts has no limit.
    """
    limit = record.host.restart_policy.maximum_retry_count
    return record.exit_code != 0 and (limit == 0 or record.restart_count < limit)


def ends_with(record: ContainerRecord, number: int) -> bool:
    """Return whether the signal ``number``, sent by the user, also prevents an automatic restart of the container.

    This applies to SIGKILL and to the container's stop signal. It applies to every signal if the container has no stop
    signal, or has the restart policy unless-stopped.
    """
    signal = record.config.stop_signal
    return (
        not signal or number in (SIGKILL, parse_signal(signal)) or record.host.restart_policy.name == "unless-stopped"
    )


def backoff(record: ContainerRecord) -> float:
    """Return the seconds to wait before the next run.

    The wait doubles with each restart up to `LONGEST_BACKOFF_SECONDS`. After a run longer than `STEADY_AFTER_SECONDS`
    seconds, the wait is `FIRST_BACKOFF_SECONDS` again. If the restart count is 0, the user has requested the restart,
    and the wait is 0.
    """
    if not record.restart_count:
        return 0.0
    ran = timestamps.to_seconds(record.finished_at) - timestamps.to_seconds(record.started_at)
    if ran > STEADY_AFTER_SECONDS:
        return FIRST_BACKOFF_SECONDS
    return float(min(FIRST_BACKOFF_SECONDS * 2 ** min(record.restart_count - 1, 20), LONGEST_BACKOFF_SECONDS))
