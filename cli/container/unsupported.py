"""Flags that Docker honours and hawse does not: what is refused, what is ignored with a word about it.

A flag may be ignored only where the container still does what it should; what would change its files, its devices or
its isolation is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from cli.options.environment import pairs_to_map
from engine.errors import InvalidArgument
from engine.validate.logging import IGNORED_OPTIONS, JSON_FILE, OTHER_DRIVERS, check_options

NEVER_HONOURED = ("device", "gpus", "group_add", "tmpfs", "volumes_from")
CONFINEMENT = {"apparmor": "unconfined", "label": "disable"}
"""Security options for modules of the kernel that hawse does not use, and the value that asks for what is so anyway."""

IGNORED = (
    "annotation", "blkio_weight", "blkio_weight_device", "cgroup_parent", "cgroupns", "cpu_period", "cpu_quota",
    "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpus", "cpuset_cpus", "cpuset_mems", "detach_keys",
    "device_cgroup_rule", "device_read_bps", "device_read_iops", "device_write_bps", "device_write_iops",
    "health_cmd", "health_interval", "health_retries", "health_start_interval", "health_start_period",
    "health_timeout", "ipc", "isolation", "kernel_memory", "memory", "memory_reservation",
    "memory_swap", "memory_swappiness", "oom_kill_disable", "oom_score_adj", "pids_limit", "platform", "runtime",
    "shm_size", "storage_opt", "ulimit", "volume_driver",
)  # fmt: skip
SAME_ANYWAY = {"isolation": "default", "runtime": "runc", "ipc": "private"}
"""Values that name what hawse does anyway, so that nothing is said."""


def refuse(given: Mapping[str, Any]) -> None:
    """Raise for what hawse cannot do and must not leave out."""
    for name in NEVER_HONOURED:
        if given[name]:
            raise ValueError(f"{_flag(name)} is not supported")
    if given["uts"] == "host":
        raise ValueError("--uts host is not supported")
    if given["pid"].startswith("container:"):
        raise ValueError("--pid container:… is not supported")
    for option in given["security_opt"]:
        key, _, value = option.partition("=") if "=" in option else option.partition(":")
        if CONFINEMENT.get(key, value) != value:
            raise ValueError(f"--security-opt {option} is not supported")


def ignored(given: Mapping[str, Any], changed: Collection[str]) -> Sequence[str]:
    """Name the flags that were given and have no effect here."""
    flags = [_flag(n) for n in IGNORED if n in changed and given[n] != SAME_ANYWAY.get(n)]
    return flags + _ignored_logging(given)


def _ignored_logging(given: Mapping[str, Any]) -> list[str]:
    """Name a logging driver that there is not, or options without effect; none of those that the engine refuses."""
    driver, options = given["log_driver"] or JSON_FILE, pairs_to_map(given["log_opt"])
    if driver in OTHER_DRIVERS:
        return ["--log-driver", *["--log-opt"][: len(options)]]
    try:
        check_options(driver, options)
    except InvalidArgument:
        return []
    return [f"--log-opt {option}" for option in options if option in IGNORED_OPTIONS]


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
