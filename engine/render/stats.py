"""What the command line and the Docker API share to render the statistics of a container."""

from __future__ import annotations

from engine.api import Json

INTERVAL_SECONDS = 1.0
"""Seconds between two documents of a container."""


def after(before: Json, now: Json) -> Json:
    """Return the document ``now`` with the time and the processor times of the document ``before``.

    Clients compute CPU percentages from the differences.
    """
    return {**now, "preread": before["read"], "precpu_stats": before["cpu_stats"]}
