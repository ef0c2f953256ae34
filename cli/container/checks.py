"""Checks that Docker's client makes after it has parsed all flags of ``run`` or ``create``.

Each check raises ValueError. The client makes these checks before it sends the request to the daemon.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FlagValues = Mapping[str, Any]
"""Maps the name of each flag to the flag's value. For example, the name of ``--log-driver`` is ``log_driver``."""

PULL_CHOICES = ("always", "missing", "never", "")
HEALTH_NUMBERS = ("health_interval", "health_timeout", "health_retries", "health_start_period", "health_start_interval")


def pull(flags: FlagValues) -> None:
    """Check the value of ``--pull``."""
    choice = flags["pull"]
    if choice not in PULL_CHOICES:
        raise ValueError(f'invalid pull option: \'{choice}\': must be one of "always", "missing" or "never"')


def swappiness(flags: FlagValues) -> None:
    """Check that ``--memory-swappiness`` is from -1 to 100; -1 means "not given"."""
    value = flags["memory_swappiness"]
    if not -1 <= value <= 100:
        raise ValueError(f"invalid value: {value}. Valid memory swappiness range is 0-100")


def modes(flags: FlagValues) -> None:
    """Check the values of ``--pid``, ``--uts``, ``--userns`` and ``--cgroupns``."""
    kind, _, container = flags["pid"].partition(":")
    if flags["pid"] not in ("", "host") and not (kind == "container" and container):
        raise ValueError("--pid: invalid PID mode")
    if flags["uts"] not in ("", "host"):
        raise ValueError("--uts: invalid UTS mode")
    if flags["userns"] not in ("", "host"):
        raise ValueError("--userns: invalid USER mode")
    if flags["cgroupns"] not in ("", "private", "host"):
        raise ValueError("--cgroupns: invalid CGROUP mode")


def logging(flags: FlagValues) -> None:
    """Check that no ``--log-opt`` is given together with the log driver "none"."""
    if flags["log_driver"] == "none" and flags["log_opt"]:
        raise ValueError("invalid logging opts for driver none")


def storage(flags: FlagValues) -> None:
    """Check that each ``--storage-opt`` has the form ``key=value``."""
    if any("=" not in option for option in flags["storage_opt"]):
        raise ValueError("invalid storage option")


def health(flags: FlagValues) -> None:
    """Check that the health flags do not conflict and have no negative numbers."""
    settings = [flags["health_cmd"], *(flags[name] for name in HEALTH_NUMBERS)]
    if flags["no_healthcheck"] and any(settings):
        raise ValueError("--no-healthcheck conflicts with --health-* options")
    for name in HEALTH_NUMBERS:
        if flags[name] < 0:
            raise ValueError(f"--{name.replace('_', '-')} cannot be negative")


def removal(flags: FlagValues) -> None:
    """Check that ``--rm`` is given only with the restart policy "no"."""
    if flags["rm"] and flags["restart"].partition(":")[0] not in ("", "no"):
        raise ValueError("Conflicting options: --restart and --rm")
