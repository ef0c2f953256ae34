"""A container's State document, and its Status text ("Up 3 seconds") as lists show it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from engine.model import ContainerRecord

Json = dict[str, Any]

NEVER = "0001-01-01T00:00:00Z"
ALIVE = frozenset({"running", "restarting", "paused"})


def state_document(record: ContainerRecord) -> Json:
    """Render the State part of GET /containers/{id}/json."""
    return {
        "Status": record.status,
        "Running": record.status in ALIVE,
        "Paused": record.status == "paused",
        "Restarting": record.status == "restarting",
        "OOMKilled": False,
        "Dead": record.status == "dead",
        "Pid": record.pid,
        "ExitCode": record.exit_code,
        "Error": record.error,
        "StartedAt": record.started_at,
        "FinishedAt": record.finished_at,
    }


def status_text(record: ContainerRecord, now: float) -> str:
    """Word the state for people; ``now`` in Unix seconds."""
    if record.status == "running":
        return f"Up {human_duration(now - unix_time(record.started_at))}"
    if record.status == "paused":
        return f"Up {human_duration(now - unix_time(record.started_at))} (Paused)"
    if record.status == "removing":
        return "Removal In Progress"
    if record.status == "dead":
        return "Dead"
    if record.started_at == NEVER:
        return "Created"
    word = "Restarting" if record.status == "restarting" else "Exited"
    return f"{word} ({record.exit_code}) {human_duration(now - unix_time(record.finished_at))} ago"


def unix_time(text: str) -> float:
    """Parse RFC 3339 with up to nanoseconds into Unix seconds."""
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(seconds).replace(tzinfo=UTC).timestamp() + float(f"0.{fraction or 0}")


def human_duration(seconds: float) -> str:
    """Round a duration to one unit in Docker's words (go-units HumanDuration)."""
    whole, minutes, hours = int(seconds), int(seconds / 60), int(seconds / 3600 + 0.5)
    if whole < 1:
        return "Less than a second"
    if whole < 60:
        return "1 second" if whole == 1 else f"{whole} seconds"
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    days = hours // 24
    for limit, unit, name in ((14, 1, "days"), (60, 7, "weeks"), (730, 30, "months")):
        if hours < limit * 24:
            return f"{days // unit} {name}"
    return f"{int(seconds / 3600) // 24 // 365} years"
