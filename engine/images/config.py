"""The image configuration (OCI image-spec, Docker's v1.2 format) as a record, and the record as documents."""

from __future__ import annotations

import json
from typing import Any

from engine import timestamps
from engine.errors import InvalidArgument
from engine.model import ImageRecord

_VERSION = "26.1.5"


def plain_config(created: str, size: int) -> bytes:
    """The configuration of an imported root file system, which brings none of its own."""
    document = {"created": created, "architecture": "amd64", "os": "linux", "comment": "Imported from -", "size": size}
    return json.dumps(document, separators=(",", ":")).encode()


def make_record(image_id: str, config: bytes, *, size: int, rootfs: str) -> ImageRecord:
    """The record of an unpacked image, yet without references; raises `InvalidArgument` for a broken configuration."""
    document = parse_config(config)
    inner = document.get("config") or {}
    return ImageRecord(
        id=image_id,
        references=(),
        created=str(document.get("created") or timestamps.NEVER),
        size=size,
        rootfs=rootfs,
        cmd=_strings(inner.get("Cmd")),
        entrypoint=_strings(inner.get("Entrypoint")),
        env=_strings(inner.get("Env")) or (),
        working_dir=str(inner.get("WorkingDir") or ""),
        user=str(inner.get("User") or ""),
        exposed_ports=sorted(inner.get("ExposedPorts") or {}),
        labels={str(k): str(v) for k, v in (inner.get("Labels") or {}).items()},
        stop_signal=str(inner.get("StopSignal") or ""),
    )


def parse_config(config: bytes) -> dict[str, Any]:
    """The configuration's document, its parts of the right types; raises `InvalidArgument`."""
    try:
        document = json.loads(config)
    except ValueError as error:
        raise InvalidArgument(f"image configuration: {error}") from error
    if not isinstance(document, dict) or not isinstance(inner := document.get("config") or {}, dict):
        raise InvalidArgument("image configuration: not an object")
    for key in ("Labels", "ExposedPorts"):
        if not isinstance(inner.get(key) or {}, dict):
            raise InvalidArgument(f"image configuration: {key} is not an object")
    return document


def _strings(value: Any) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise InvalidArgument("image configuration: a list was expected")
    return [str(item) for item in value]


def render_summary(record: ImageRecord, created: int) -> dict[str, Any]:
    """One entry of GET /images/json; ``created`` in Unix seconds."""
    return {
        "Containers": -1,
        "Created": created,
        "Id": record.id,
        "Labels": dict(record.labels) or None,
        "ParentId": "",
        "RepoDigests": [],
        "RepoTags": list(record.references),
        "SharedSize": -1,
        "Size": record.size,
    }


def render_inspect(record: ImageRecord, config: dict[str, Any]) -> dict[str, Any]:
    """The document of GET /images/{name}/json."""
    layers = (config.get("rootfs") or {}).get("diff_ids") or []
    return {
        "Id": record.id,
        "RepoTags": list(record.references),
        "RepoDigests": [],
        "Parent": "",
        "Comment": config.get("comment") or "",
        "Created": record.created,
        "DockerVersion": config.get("docker_version") or "",
        "Author": config.get("author") or "",
        "Config": _render_config(record, config.get("config") or {}),
        "Architecture": config.get("architecture") or "",
        "Os": config.get("os") or "linux",
        "Size": record.size,
        "GraphDriver": {"Data": {"UpperDir": record.rootfs}, "Name": "overlay2"},
        "RootFS": {"Type": "layers", "Layers": layers},
        "Metadata": {"LastTagTime": timestamps.NEVER},
    }


def _render_config(record: ImageRecord, inner: dict[str, Any]) -> dict[str, Any]:
    ports: dict[str, Any] = (
        {"ExposedPorts": {port: {} for port in record.exposed_ports}} if record.exposed_ports else {}
    )
    stop = {"StopSignal": record.stop_signal} if record.stop_signal else {}
    return {
        "Hostname": "",
        "Domainname": "",
        "User": record.user,
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        **ports,
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "Env": list(record.env) or None,
        "Cmd": None if record.cmd is None else list(record.cmd),
        "Image": inner.get("Image") or "",
        "Volumes": inner.get("Volumes"),
        "WorkingDir": record.working_dir,
        "Entrypoint": None if record.entrypoint is None else list(record.entrypoint),
        "OnBuild": inner.get("OnBuild"),
        "Labels": dict(record.labels) or None,
        **stop,
    }
