"""Settings of a new container that hawse does not implement: some are refused, others are ignored with a warning.

A setting is ignored only if the container still works as intended without it. A setting that would change the
container's files, devices or isolation is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from api.docker.errors import ApiError
from api.docker.fields import Fields
from engine.errors import NotImplementedByHawse
from engine.validate.logging import IGNORED_OPTIONS, OTHER_DRIVERS

_REFUSED = ("Devices", "DeviceRequests", "GroupAdd", "Tmpfs", "VolumesFrom")
_CONFINEMENT = {"apparmor": "unconfined", "label": "disable"}
"""The only value that hawse accepts for these security options, because it uses neither AppArmor nor SELinux."""
MEMORY_LIMIT_BYTES = 6 << 20
"""Smallest memory limit of a container that Docker accepts."""
_IGNORED = (
    "Annotations", "BlkioDeviceReadBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteBps", "BlkioDeviceWriteIOps",
    "BlkioWeight", "BlkioWeightDevice", "CgroupParent", "CpuPeriod", "CpuQuota", "CpuRealtimePeriod",
    "CpuRealtimeRuntime", "CpuShares", "CpusetCpus", "CpusetMems", "DeviceCgroupRules", "KernelMemory",
    "KernelMemoryTCP", "Memory", "MemoryReservation", "MemorySwap", "NanoCpus", "OomKillDisable", "OomScoreAdj",
    "ShmSize", "StorageOpt", "Ulimits", "UsernsMode", "VolumeDriver",
)  # fmt: skip
_SAME_ANYWAY: Mapping[str, Callable[[Any], bool]] = {
    "CgroupnsMode": lambda value: value in ("", "private"),
    "IpcMode": lambda value: value in ("", "private"),
    "Isolation": lambda value: value in ("", "default"),
    "MemorySwappiness": lambda value: value == -1,
    "PidsLimit": lambda value: value in (0, -1),
    "Runtime": lambda value: value in ("", "runc"),
}
"""Maps a setting without effect to a test. The test is true for values that hawse's own behaviour already meets.

Such values need no warning.
"""
_CHECKS: Mapping[str, tuple[Callable[[Any], bool], int, str]] = {
    "CgroupnsMode": (lambda value: value in ("", "private", "host"), 400, "invalid cgroup namespace mode: {}"),
    "IpcMode": (
        lambda value: value in ("", "none", "host", "private", "shareable") or value.startswith("container:"),
        400, "invalid IPC mode: {}",
    ),
    "Isolation": (
        lambda value: value.lower() in ("", "default"), 500,
        "Invalid isolation: \"{}\" - linux only supports 'default'",
    ),
    "Memory": (lambda value: value == 0 or value >= MEMORY_LIMIT_BYTES, 400, "Minimum memory limit allowed is 6MB"),
    "Runtime": (
        lambda value: value in ("", "runc", "io.containerd.runc.v2"), 400, "unknown or invalid runtime name: {}"
    ),
    "ShmSize": (lambda value: value >= 0, 400, "SHM size can not be less than 0"),
    "UTSMode": (lambda value: value in ("", "host"), 400, "invalid UTS mode: {}"),
}  # fmt: skip
"""Maps a setting to the test for values that Docker accepts, and to Docker's status and error text."""
RESOURCES = tuple(name for name in (*_IGNORED, "MemorySwappiness", "PidsLimit") if name != "Annotations")
"""The settings that POST /containers/{id}/update accepts and ignores."""


def check(host: Fields) -> None:
    """Check the values in HostConfig as Docker does, even for settings that hawse ignores; raises ApiError."""
    for name, (is_valid, status, text) in _CHECKS.items():
        if host.has(name) and not is_valid(host.value(name)):
            raise ApiError(status, text.format(host.value(name)))


def refuse(host: Fields) -> None:
    """Raise NotImplementedByHawse if HostConfig has a setting that hawse refuses."""
    for name in host.truthy(*_REFUSED):
        raise NotImplementedByHawse(f"HostConfig.{name} is not supported by hawse")
    if host.text("UTSMode") == "host":
        raise NotImplementedByHawse("HostConfig.UTSMode host is not supported by hawse")
    if host.text("PidMode").startswith("container:"):
        raise NotImplementedByHawse("HostConfig.PidMode container:… is not supported by hawse")
    for option in host.texts("SecurityOpt") or ():
        key, _, value = option.partition("=") if "=" in option else option.partition(":")
        if _CONFINEMENT.get(key, value) != value:
            raise NotImplementedByHawse(f"--security-opt {option} is not supported by hawse")


def ignored(body: Fields, host: Fields) -> list[str]:
    """Return a warning for each setting of a new container that hawse ignores.

    ``body`` is the body of POST /containers/create, and ``host`` is the HostConfig in it.
    """
    names = [*ignored_resources(host, (*_IGNORED, *_SAME_ANYWAY)), *_ignored_logging(host.child("LogConfig"))]
    if (body.child("Healthcheck").texts("Test") or ("NONE",))[0] != "NONE":
        names.append("Healthcheck")
    return [f"hawse ignores {name}" for name in names]


def ignored_resources(host: Fields, names: tuple[str, ...] = RESOURCES) -> list[str]:
    """Return those of ``names`` that the request sets to another value than the default.

    ``names`` are settings in HostConfig that Docker applies and hawse ignores.
    """
    return [name for name in names if host.has(name) and not _is_default(name, host.value(name))]


def _is_default(name: str, value: Any) -> bool:
    test = _SAME_ANYWAY.get(name)
    return test(value) if test is not None else not value


def _ignored_logging(log: Fields) -> Iterator[str]:
    driver, options = log.text("Type"), log.pairs("Config") or {}
    if driver in OTHER_DRIVERS:
        yield f"LogConfig.Type {driver}"
        return
    yield from (f"LogConfig.Config {option}" for option in options if option in IGNORED_OPTIONS)
