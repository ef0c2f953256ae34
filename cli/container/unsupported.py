"""Docker flags that hawse does not implement: some flags raise an error, other flags are ignored with a warning.

A flag is ignored only if the container still works as intended without the flag. A flag that would change the
container's files, devices or isolation raises an error.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cli.container.checks import FlagValues
from cli.options.environment import pairs_to_map
from engine.errors import InvalidArgument
from engine.validate.logging import IGNORED_OPTIONS, JSON_FILE, OTHER_DRIVERS, check_options

NEVER_HONOURED = ("device", "gpus", "group_add", "tmpfs", "volumes_from")
CONFINEMENT = {"apparmor": "unconfined", "label": "disable"}
"""Maps the names of security options to the only value that hawse accepts for each option.

The options belong to AppArmor and SELinux, which hawse does not use. The accepted value disables them.
"""

IGNORED = (
    "annotation", "blkio_weight", "blkio_weight_device", "cgroup_parent", "cgroupns", "cpu_period", "cpu_quota",
    "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpus", "cpuset_cpus", "cpuset_mems", "detach_keys",
    "device_cgroup_rule", "device_read_bps", "device_read_iops", "device_write_bps", "device_write_iops",
    "health_cmd", "health_interval", "health_retries", "health_start_interval", "health_start_period",
    "health_timeout", "ipc", "isolation", "kernel_memory", "memory", "memory_reservation",
    "memory_swap", "memory_swappiness", "oom_kill_disable", "oom_score_adj", "pids_limit", "runtime",
    "shm_size", "storage_opt", "ulimit", "volume_driver",
)  # fmt: skip
SAME_ANYWAY = {"isolation": "default", "runtime": "runc", "ipc": "private", "oom_kill_disable": False}
"""Maps some of the ignored flags to the value that hawse always uses.

If the user gives exactly this value, no warning is printed.
"""


def refuse(flags: FlagValues) -> None:
    """Check the flags of ``run`` or ``create``; raises ValueError for a flag that hawse lacks and must not ignore."""
    for name in NEVER_HONOURED:
        if flags[name]:
            raise ValueError(f"{_flag(name)} is not supported")
    if flags["uts"] == "host":
        raise ValueError("--uts host is not supported")
    if flags["pid"].startswith("container:"):
        raise ValueError("--pid container:… is not supported")
    for option in flags["security_opt"]:
        key, _, value = option.partition("=") if "=" in option else option.partition(":")
        if CONFINEMENT.get(key, value) != value:
            raise ValueError(f"--security-opt {option} is not supported")


def ignored(values: FlagValues, changed: Collection[str]) -> Sequence[str]:
    """Return the flags to warn about, such as "--cpu-shares": those that the user gave and hawse ignores.

    ``changed`` has the names of the flags that the user gave.
    """
    flags = [_flag(n) for n in IGNORED if n in changed and values[n] != SAME_ANYWAY.get(n)]
    return flags + _ignored_logging(values)


def _ignored_logging(flags: FlagValues) -> list[str]:
    """Return the logging flags to warn about: an unsupported log driver, or options that have no effect.

    Invalid options are not returned, because the engine raises an error for them.
    """
    driver, options = flags["log_driver"] or JSON_FILE, pairs_to_map(flags["log_opt"])
    if driver in OTHER_DRIVERS:
        return ["--log-driver", *["--log-opt"][: len(options)]]
    try:
        check_options(driver, options)
    except InvalidArgument:
        return []
    return [f"--log-opt {option}" for option in options if option in IGNORED_OPTIONS]


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
