"""Checks that Docker's client makes for ``run`` and ``create`` before its request, beyond single flag values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.options.environment import pairs_to_map

Given = Mapping[str, Any]
"""The values of the flags by parameter name."""

PULL_CHOICES = ("always", "missing", "never", "")
HEALTH_NUMBERS = ("health_interval", "health_timeout", "health_retries", "health_start_period", "health_start_interval")


def pull(given: Given) -> None:
    """Check ``--pull``; because hawse cannot pull, "always" raises ValueError."""
    choice = given["pull"]
    if choice not in PULL_CHOICES:
        raise ValueError(f'invalid pull option: \'{choice}\': must be one of "always", "missing" or "never"')
    if choice == "always":
        raise ValueError("--pull always is not supported: hawse has no registry to pull from")


def swappiness(given: Given) -> None:
    """Check the range of ``--memory-swappiness``; raises ValueError."""
    value = given["memory_swappiness"]
    if not -1 <= value <= 100:
        raise ValueError(f"invalid value: {value}. Valid memory swappiness range is 0-100")


def modes(given: Given) -> None:
    """Check the modes of the PID, UTS, user and cgroup namespaces."""
    if given["pid"] not in ("", "host") and not _joins_container(given["pid"]):
        raise ValueError("--pid: invalid PID mode")
    if given["uts"] not in ("", "host"):
        raise ValueError("--uts: invalid UTS mode")
    if given["userns"] not in ("", "host"):
        raise ValueError("--userns: invalid USER mode")
    if given["cgroupns"] not in ("", "private", "host"):
        raise ValueError("--cgroupns: invalid CGROUP mode")


def _joins_container(mode: str) -> bool:
    kind, _, container = mode.partition(":")
    return kind == "container" and bool(container)


def logging(given: Given) -> None:
    """Check ``--log-driver`` together with ``--log-opt``."""
    if given["log_driver"] == "none" and given["log_opt"]:
        raise ValueError("invalid logging opts for driver none")
    pairs_to_map(given["log_opt"])


def storage(given: Given) -> None:
    """Check that each ``--storage-opt`` has the form ``key=value``."""
    if any("=" not in option for option in given["storage_opt"]):
        raise ValueError("invalid storage option")


def health(given: Given) -> None:
    """Check the health flags for conflicts and negative numbers."""
    settings = [given["health_cmd"], *(given[name] for name in HEALTH_NUMBERS)]
    if given["no_healthcheck"] and any(settings):
        raise ValueError("--no-healthcheck conflicts with --health-* options")
    for name in HEALTH_NUMBERS:
        if given[name] < 0:
            raise ValueError(f"--{name.replace('_', '-')} cannot be negative")


def removal(given: Given) -> None:
    """Check that ``--rm`` and ``--restart`` are not used together."""
    if given["rm"] and given["restart"].partition(":")[0] not in ("", "no"):
        raise ValueError("Conflicting options: --restart and --rm")
