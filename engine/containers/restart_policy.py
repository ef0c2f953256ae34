"""Restart policies: what becomes of a container whose process has ended, and how long before its next run.

Pure; when a run ends and how the next one begins is the business of others.
"""

from __future__ import annotations

from dataclasses import replace
from signal import SIGKILL

from engine.golang import timestamps
from engine.model import ContainerRecord
from engine.validate.signals import parse_signal

FIRST_BACKOFF, LONGEST_BACKOFF, STEADY_AFTER = 0.1, 60.0, 10.0  # seconds, as Docker's restart monitor


def after_end(record: ContainerRecord) -> ContainerRecord:
    """The record of a container whose process has ended: exited, or counted as about to be restarted."""
    ended = replace(record, status="exited", pid=0)
    if not calls_for_restart(ended):
        return ended
    return replace(ended, status="restarting", restart_count=ended.restart_count + 1)


def calls_for_restart(record: ContainerRecord) -> bool:
    """Tell whether the policy wants another run after this one, which nobody asked to end."""
    policy = record.host.restart_policy
    if record.stopped_by_user:
        return False
    if policy.name == "on-failure":
        limit = policy.maximum_retry_count
        return record.exit_code != 0 and (limit == 0 or record.restart_count < limit)
    return policy.name in ("always", "unless-stopped")


def ends_with(record: ContainerRecord, number: int) -> bool:
    """Tell whether a signal that a user sends is meant to end the container for good."""
    own = record.config.stop_signal
    return not own or number in (SIGKILL, parse_signal(own)) or record.host.restart_policy.name == "unless-stopped"


def backoff(record: ContainerRecord) -> float:
    """Seconds until the next run: twice as many each time, unless the last one was a long one."""
    ran = timestamps.to_seconds(record.finished_at) - timestamps.to_seconds(record.started_at)
    if ran > STEADY_AFTER:
        return FIRST_BACKOFF
    return float(min(FIRST_BACKOFF * 2 ** min(record.restart_count - 1, 20), LONGEST_BACKOFF))
