"""Render a container's State document, and the Status text ("Up 3 seconds") that lists show."""

from __future__ import annotations

from engine.golang.timestamps import NEVER, to_seconds
from engine.golang.units import human_duration
from engine.model import ContainerRecord
from engine.render import Json

ALIVE = frozenset({"running", "restarting", "paused"})

STATS_INTERVAL_SECONDS = 1.0
"""Seconds between two documents with the statistics of a container."""


def state_document(record: ContainerRecord) -> Json:
    """Render the State part of GET /containers/{id}/json."""
    return {
        "Status": record.status,
        "Running": record.status in ALIVE,
        "Paused": record.status == "paused",
        "Restarting": record.status == "restarting",
        "OOMKilled": record.oom_killed,
        "Dead": record.status == "dead",
        "Pid": record.pid,
        "ExitCode": record.exit_code,
        "Error": record.error,
        "StartedAt": record.started_at,
        "FinishedAt": record.finished_at,
    }


def status_text(record: ContainerRecord, now: float) -> str:
    """Return the Status text of a container ("Up 3 seconds"); ``now`` is in Unix seconds."""
    if record.status == "running":
        return f"Up {human_duration(now - to_seconds(record.started_at))}"
    if record.status == "paused":
        return f"Up {human_duration(now - to_seconds(record.started_at))} (Paused)"
    if record.status == "removing":
        return "Removal In Progress"
    if record.status == "dead":
        return "Dead"
    if record.started_at == NEVER:
        return "Created"
    word = "Restarting" if record.status == "restarting" else "Exited"
    return f"{word} ({record.exit_code}) {human_duration(now - to_seconds(record.finished_at))} ago"


def stats_after(before: Json, now: Json) -> Json:
    """Return the document ``now`` with two more fields, from which clients compute CPU percentages.

    ``before`` and ``now`` are an earlier and a later document with the statistics of one container. The new fields are
    preread (the time of ``before``) and precpu_stats (its processor times). The arguments are not changed.
    """
    return {**now, "preread": before["read"], "precpu_stats": before["cpu_stats"]}
