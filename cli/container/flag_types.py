"""The types of values that the flags of ``run`` and ``create`` take."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from cli.options import address, environment, hosts, limits, mounts
from cli.options.network import parse_network
from cli.pflag import MAP, Kind, list_of, scalar
from engine.golang.strconv import parse_int, parse_uint
from engine.golang.time import parse_duration

_CGROUP_RULE = re.compile(r"[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}")
_BYTES_PER_SECOND = (
    "invalid rate for device: {}. The correct format is <device-path>:<number>[<unit>]. "
    "Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
)
_OPERATIONS = (
    "invalid rate for device: {}. The correct format is <device-path>:<number>. Number must be a positive integer"
)


def _no_text(_: Any) -> str:
    return ""


def _device_setting(text: str, read: Callable[[str], int], problem: str) -> str:
    device, colon, value = text.partition(":")
    if not colon or not device:
        raise ValueError(f"bad format: {text}")
    if not device.startswith("/dev/"):
        raise ValueError(f"bad format for device path: {text}")
    try:
        read(value)
    except ValueError:
        raise ValueError(problem.format(text)) from None
    return text


def _weight(text: str) -> int:
    weight = parse_uint(text, 16, base=10)
    if weight and not 10 <= weight <= 1000:
        raise ValueError(f"out of range: {weight}")
    return weight


def _device_settings(read: Callable[[str], int], problem: str) -> Kind:
    return list_of(lambda text: _device_setting(text, read, problem), show=lambda _: "[]")


def _cgroup_rule(text: str) -> str:
    if not _CGROUP_RULE.fullmatch(text):
        raise ValueError(f"invalid device cgroup format '{text}'")
    return text


def _variable(text: str) -> str:
    # An environment variable without ``=`` gets its value later, from the environment of the ``hawse`` process.
    return environment.env_value(text, {})


ENV = list_of(_variable)
LABEL = list_of(environment.label)
DNS = list_of(address.ip_address)
DNS_SEARCH = list_of(hosts.search_domain)
EXTRA_HOST = list_of(hosts.extra_host)
LINK = list_of(hosts.link)
STREAM = list_of(limits.stream)
NETWORK = list_of(parse_network, "network", show=_no_text)
MOUNT = list_of(mounts.mount, "mount", show=_no_text)
SYSCTL = replace(MAP, fold=lambda pairs, text: MAP.fold(pairs, limits.sysctl(text)))
ULIMIT = list_of(limits.ulimit, "ulimit", show=lambda _: "[]")
BYTES = scalar("bytes", limits.memory_size, 0, show=_no_text)
SWAP = scalar("bytes", limits.swap_size, 0, show=_no_text)
CPUS = scalar("decimal", limits.cpus, 0, show=_no_text)
DURATION = scalar("duration", parse_duration, 0, show=_no_text)
UINT16 = scalar("uint16", lambda text: parse_uint(text, 16), 0)
INT = scalar("int", parse_int, 0)
GPUS = list_of(str, "gpu-request", show=_no_text)
DEVICE_WEIGHT = _device_settings(_weight, "invalid weight for device: {}")
DEVICE_BYTES = _device_settings(limits.memory_size, _BYTES_PER_SECOND)
DEVICE_OPERATIONS = _device_settings(lambda rate: parse_uint(rate, base=10), _OPERATIONS)
CGROUP_RULE = list_of(_cgroup_rule)
