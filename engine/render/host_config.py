"""Render the HostConfig document of a container: hawse's settings, and Docker's defaults for unused fields."""

from __future__ import annotations

import json
from collections.abc import Sequence

from engine.model import ContainerRecord
from engine.names import is_user_defined, parse_link
from engine.render import Json, copied_list
from engine.render.ports import bindings_document
from engine.runtime.rootfs import MASKED_PATHS, READ_ONLY_PATHS
from engine.validate.logging import JSON_FILE

NULLABLE = (
    "PortBindings",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "BlkioWeightDevice",
    "BlkioDeviceReadBps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteIOps",
    "Devices",
    "Ulimits",
)
"""Fields that docker's command line always sends. If another client does not send them, Docker shows null."""
SHOWN_IF_EMPTY = ("Binds", "GroupAdd", "DeviceRequests", "VolumesFrom")
"""Fields that Docker shows as [] if the client sent an empty list, and as null if the client sent no list."""
SHM_SIZE = 64 * 1024 * 1024  # bytes; Docker's default size of /dev/shm


def host_config_document(record: ContainerRecord) -> Json:
    """Render the HostConfig part of GET /containers/{id}/json."""
    host = record.host
    return {
        **_placement(record),
        "CapAdd": copied_list(host.cap_add),
        "CapDrop": copied_list(host.cap_drop),
        "CgroupnsMode": "private",
        "Dns": list(host.dns),
        "DnsOptions": list(host.dns_options),
        "DnsSearch": list(host.dns_search),
        "ExtraHosts": copied_list(host.extra_hosts),
        "GroupAdd": None,
        "IpcMode": "private",
        "Cgroup": "",
        "Links": _links(record),
        "OomScoreAdj": 0,
        "PidMode": host.pid_mode,
        "Privileged": host.privileged,
        "PublishAllPorts": host.publish_all_ports,
        "ReadonlyRootfs": host.readonly_rootfs,
        "SecurityOpt": _security_options(record),
        "UTSMode": "",
        "UsernsMode": "",
        "ShmSize": SHM_SIZE,
        **({"Sysctls": dict(sorted(host.sysctls.items()))} if host.sysctls else {}),
        "Runtime": "runc",
        "Isolation": "",
        **_resources(record),
        **({"Mounts": [json.loads(entry) for entry in host.mounts]} if host.mounts else {}),
        "MaskedPaths": _paths(record, MASKED_PATHS),
        "ReadonlyPaths": _paths(record, READ_ONLY_PATHS),
        **({} if host.init is None else {"Init": host.init}),
        **dict.fromkeys(host.null_fields),
        **{name: [] for name in host.empty_fields},
    }


def _security_options(record: ContainerRecord) -> list[str] | None:
    host = record.host
    unlabelled = ["label=disable"] if host.privileged or host.pid_mode == "host" else []
    return [*(host.security_opt or ()), *unlabelled] or copied_list(host.security_opt)


def _paths(record: ContainerRecord, hidden: Sequence[str]) -> list[str] | None:
    """Return the container's value of MaskedPaths or ReadonlyPaths; ``hidden`` is Docker's default for this field.

    Returns [] if the user gave ``--security-opt systempaths=unconfined``, and None for a privileged container.
    """
    if record.host.system_paths:
        return []
    return None if record.host.privileged else list(hidden)


def _placement(record: ContainerRecord) -> Json:
    host = record.host
    binds = copied_list(host.binds)
    return {
        "Binds": (binds or [])[: -len(host.mounts)] or None if host.mounts else binds,
        "ContainerIDFile": host.container_id_file,
        "LogConfig": {"Type": host.log_driver or JSON_FILE, "Config": dict(sorted(host.log_options.items()))},
        "NetworkMode": host.network_mode,
        "PortBindings": bindings_document(record),
        "RestartPolicy": {
            "Name": host.restart_policy.name,
            "MaximumRetryCount": host.restart_policy.maximum_retry_count,
        },
        "AutoRemove": host.auto_remove,
        "VolumeDriver": "",
        "VolumesFrom": None,
        "ConsoleSize": list(host.console_size),
    }


def _resources(record: ContainerRecord) -> Json:
    zeros = dict.fromkeys(("CpuShares", "Memory", "NanoCpus"), 0)
    devices: Json = {f"BlkioDevice{direction}{unit}": [] for unit in ("Bps", "IOps") for direction in ("Read", "Write")}
    periods = dict.fromkeys(("CpuPeriod", "CpuQuota", "CpuRealtimePeriod", "CpuRealtimeRuntime"), 0)
    return {
        **zeros,
        "CgroupParent": "",
        "BlkioWeight": 0,
        "BlkioWeightDevice": [],
        **devices,
        **periods,
        "CpusetCpus": "",
        "CpusetMems": "",
        "Devices": [],
        "DeviceCgroupRules": None,
        "DeviceRequests": None,
        "MemoryReservation": 0,
        "MemorySwap": 0,
        "MemorySwappiness": None,
        "OomKillDisable": False if record.status == "created" and not record.error else None,
        "PidsLimit": None,
        "Ulimits": [],
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
    }


def _links(record: ContainerRecord) -> list[str] | None:
    """Return the container's legacy links, or None on a user-defined network or without links.

    Links on a user-defined network are part of the endpoint settings instead.
    """
    links = record.host.links
    if not links or is_user_defined(record.host.network_mode):
        return None
    return [_canonical_link(record.name, link) for link in links]


def _canonical_link(name: str, link: str) -> str:
    target, alias = parse_link(link)
    return f"/{target}:/{name}/{alias}"
