"""Check image configurations (OCI image-spec, Docker's v1.2 format), and convert them to records and API documents.

Code that lists images or creates containers relies on valid values in an image record. Therefore this module refuses an
image with values that would make that code fail.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import InvalidArgument, shown
from engine.golang import timestamps
from engine.golang.time import parse_rfc3339
from engine.images.document import DIGEST, list_at, mismatch, object_at, parse_document, text_at, texts_at
from engine.model import ImageRecord
from engine.validate.signals import check_supported, parse_signal

_NAME = "image configuration"
_IN_IMAGE, _IN_CONFIG = "struct field Image.V1Image.", "struct field Config.V1Image.config."
_GO_TIME = re.compile(r"(.{19})(?:[.,]([0-9]+))?(?:Z|([+-]..:..))")
_CONTROL = re.compile(r"[\0-\x1f\x7f-\x9f]")
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp|sctp))?", re.ASCII | re.IGNORECASE)
_FIRST, _LAST = -62135596800, 253402300799  # Unix seconds; start of the year 1 and end of the year 9999, in UTC
_MARGIN = 2 * 86400  # seconds; times this close to _FIRST or _LAST are refused, because time zones shift them
_NANOSECONDS = 10**9
_HIGHEST_PORT, _PORT_LIMIT = 65535, 3 * 65535  # _PORT_LIMIT: maximum exposed ports of an image (tcp, udp, sctp)
_ARGUMENT_LIMIT = 131071  # maximum bytes of an execve(2) argument or environment variable: MAX_ARG_STRLEN minus NUL
_PATH_LIMIT = 4095  # maximum bytes of a path: PATH_MAX without the NUL


def plain_config(created: str, architecture: str, diff_ids: Sequence[str]) -> bytes:
    """Return an image configuration for an imported root file system, whose archive contains no configuration.

    ``created`` is the creation time (RFC 3339). ``diff_ids`` are the hexadecimal digests of the uncompressed layers.
    """
    document = {
        "architecture": architecture,
        "comment": "Imported from -",
        "config": {},
        "created": created,
        "history": [{"created": created, "comment": "Imported from -"}],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}" for diff_id in diff_ids]},
    }
    return json.dumps(document, separators=(",", ":")).encode()


def read_record(image_id: str, config: bytes) -> ImageRecord:
    """Make the record of an image from its configuration, a JSON text; raises `InvalidArgument`.

    The caller adds the names, the root directory and the size to the record.
    """
    document = parse_config(config)
    for key in ("author", "comment"):
        text_at(document.get(key), f"{_IN_IMAGE}{key}")
    for key in ("architecture", "variant", "os", "docker_version"):
        _printable(key, text_at(document.get(key), f"{_IN_IMAGE}{key}"))
    if (system := document.get("os") or "linux").lower() != "linux":
        raise InvalidArgument(f"cannot load {shown(system)} image on linux")
    inner = object_at(document.get("config"), f"{_IN_IMAGE}config", "container.Config")
    _check_unused(inner)
    return ImageRecord(
        id=image_id,
        references=(),
        created=_created(document.get("created")),
        size=0,
        rootfs="",
        cmd=_arguments(inner, "Cmd"),
        entrypoint=_arguments(inner, "Entrypoint"),
        env=tuple(_environment(inner)),
        working_dir=_working_directory(inner),
        user=_short_name(inner, "User"),
        exposed_ports=tuple(_exposed_ports(inner)),
        labels=_labels(inner),
        stop_signal=_stop_signal(inner),
    )


def parse_config(config: bytes) -> dict[str, Any]:
    """Parse an image configuration (JSON); raises `InvalidArgument` if it is no JSON object."""
    document = parse_document(config, _NAME)
    if document is None:
        raise InvalidArgument("invalid image JSON, no RootFS key")
    return object_at(document, "value", "image.Image")


def stored_config(record: ImageRecord) -> dict[str, Any]:
    """Return the image configuration of a stored image; raises OSError if its file cannot be read.

    Raises `InvalidArgument` if the file has no JSON object.
    """
    return parse_config((Path(record.rootfs).parent / "config.json").read_bytes())


def diff_ids_of(document: Mapping[str, Any]) -> list[str]:
    """Return the hexadecimal digests of an image's uncompressed layers, which the image's configuration lists.

    Raises `InvalidArgument` if the configuration has no field ``rootfs``, or if an item of the list is not a SHA-256
    digest.
    """
    if document.get("rootfs") is None:
        raise InvalidArgument("invalid image JSON, no RootFS key")
    rootfs = object_at(document["rootfs"], f"{_IN_IMAGE}rootfs", "image.RootFS")
    diff_ids = []
    for value in list_at(rootfs.get("diff_ids"), "struct field RootFS.rootfs.diff_ids", "[]layer.DiffID"):
        text = text_at(value, "struct field RootFS.rootfs.diff_ids")
        match = DIGEST.fullmatch(text)
        if match is None:
            raise InvalidArgument(f"{_NAME}: {shown(text)} is not a SHA-256 digest")
        diff_ids.append(match[1])
    return diff_ids


def _created(value: object) -> str:
    """Return an image's creation time in UTC (RFC 3339); ``value`` is the field ``created`` of the image configuration.

    If ``value`` is None, the result is the start of the year 1, as in Go. Raises `InvalidArgument` if ``value`` is not
    a time, or is a time outside the years 1 to 9999. The first two and the last two days of this period are refused
    too, because in another time zone the year could be 0 or 10000. The exact start of the year 1 is accepted.
    """
    if value is None:
        return timestamps.NEVER
    if not isinstance(value, str):
        raise InvalidArgument("Time.UnmarshalJSON: input is not a JSON string")
    try:
        moment = parse_rfc3339(value)
    except ValueError as error:
        raise InvalidArgument(str(error)) from error
    if moment != _FIRST * _NANOSECONDS and not _FIRST + _MARGIN < moment // _NANOSECONDS < _LAST - _MARGIN:
        raise InvalidArgument(f"{_NAME}: created {shown(value)} is out of range")
    return timestamps.from_nanoseconds(moment)


def _arguments(inner: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    """Return the arguments in the field ``key`` of an image configuration, or None if the field is missing or null.

    ``inner`` is the object ``config`` in the image configuration. A single string counts as a list of one string.
    Raises InvalidArgument for any other type, and for arguments that execve(2) cannot pass.
    """
    value, where = inner.get(key), f"{_IN_CONFIG}{key}"
    if isinstance(value, str):
        value = [value]
    if value is not None and not (isinstance(value, list) and all(isinstance(item, str | None) for item in value)):
        raise mismatch(value, where, "string")
    arguments = texts_at(value, where)
    _check_arguments(key, arguments or ())
    return None if arguments is None else tuple(arguments)


def _environment(inner: Mapping[str, Any]) -> list[str]:
    variables = texts_at(inner.get("Env"), f"{_IN_CONFIG}Env") or []
    _check_arguments("Env", variables)
    for variable in variables:
        name = variable.partition("=")[0]
        if variable.startswith("="):
            raise InvalidArgument(f"{_NAME}: Env {shown(variable)} has no name")
        _printable("Env", name)
    return variables


def _check_arguments(key: str, values: Iterable[str]) -> None:
    """Check an image's arguments or environment variables; raises InvalidArgument if execve(2) cannot pass one of them.

    ``key`` is their key in the image configuration, for the error message. Newlines and escape characters are allowed,
    because they are common in scripts and prompts.
    """
    for value in values:
        if "\0" in value:
            raise InvalidArgument(f"{_NAME}: {key} {shown(value)} has a NUL")
        if len(value.encode()) > _ARGUMENT_LIMIT:
            raise InvalidArgument(f"{_NAME}: {key} {shown(value)} is longer than {_ARGUMENT_LIMIT} bytes")


def _short_name(inner: Mapping[str, Any], key: str) -> str:
    value = _printable(key, text_at(inner.get(key), f"{_IN_CONFIG}{key}"))
    if len(value.encode()) > _PATH_LIMIT:
        raise InvalidArgument(f"{_NAME}: {key} {shown(value)} is longer than {_PATH_LIMIT} bytes")
    return value


def _printable(key: str, value: str) -> str:
    if _CONTROL.search(value):
        raise InvalidArgument(f"{_NAME}: {key} {shown(value)} has control characters")
    return value


def _working_directory(inner: Mapping[str, Any]) -> str:
    path = _short_name(inner, "WorkingDir")
    if path and not path.startswith("/"):
        raise InvalidArgument(f"the working directory '{shown(path)}' is invalid, it needs to be an absolute path")
    return path


def _exposed_ports(inner: Mapping[str, Any]) -> list[str]:
    where = f"{_IN_CONFIG}ExposedPorts"
    ports, count = set(), 0
    for text, value in object_at(inner.get("ExposedPorts"), where, "nat.PortSet").items():
        object_at(value, where, "struct {}")
        match = _PORTS.fullmatch(text)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= _HIGHEST_PORT:
            raise InvalidArgument(f"{_NAME}: invalid exposed port {shown(text)}")
        ports.add(text.lower())
        count += last - first + 1
    if count > _PORT_LIMIT:
        raise InvalidArgument(f"{_NAME}: more than {_PORT_LIMIT} exposed ports")
    return sorted(ports)


def _labels(inner: Mapping[str, Any]) -> dict[str, str]:
    where = f"{_IN_CONFIG}Labels"
    labels = {}
    for key, value in object_at(inner.get("Labels"), where, "map[string]string").items():
        labels[_printable("the label", key)] = text_at(value, where)
        if "\0" in labels[key]:
            raise InvalidArgument(f"{_NAME}: the label {shown(key)} has a NUL")
    return labels


def _stop_signal(inner: Mapping[str, Any]) -> str:
    text = _short_name(inner, "StopSignal")
    if text:
        check_supported(parse_signal(text))
    return text


def _check_unused(inner: Mapping[str, Any]) -> None:
    """Check the types of those fields of an image configuration that only ``image inspect`` shows.

    ``inner`` is the object ``config`` in the image configuration. Raises InvalidArgument.
    """
    _printable("Image", text_at(inner.get("Image"), f"{_IN_CONFIG}Image"))
    for path, value in object_at(inner.get("Volumes"), f"{_IN_CONFIG}Volumes", "map[string]struct {}").items():
        _printable("Volumes", path)
        object_at(value, f"{_IN_CONFIG}Volumes", "struct {}")
    texts_at(inner.get("OnBuild"), f"{_IN_CONFIG}OnBuild")


def render_summary(record: ImageRecord, created: int) -> dict[str, Any]:
    """Return an image's entry in GET /images/json; ``created`` is its creation time in Unix seconds."""
    return {
        "Containers": -1,
        "Created": created,
        "Id": record.id,
        "Labels": dict(record.labels) or None,
        "ParentId": "",
        "RepoDigests": list(record.digests),
        "RepoTags": list(record.references),
        "SharedSize": -1,
        "Size": record.size,
    }


def render_inspect(record: ImageRecord, config: dict[str, Any]) -> dict[str, Any]:
    """Return the document of GET /images/{name}/json for an image; ``config`` is the image configuration."""
    layers = (config.get("rootfs") or {}).get("diff_ids") or []
    return {
        "Id": record.id,
        "RepoTags": list(record.references),
        "RepoDigests": list(record.digests),
        "Parent": "",
        "Comment": config.get("comment") or "",
        "Created": _created_as_go_writes(config, record),
        "DockerVersion": config.get("docker_version") or "",
        "Author": config.get("author") or "",
        "Config": _render_config(record, config.get("config") or {}),
        "Architecture": config.get("architecture") or "",
        **({"Variant": config["variant"]} if config.get("variant") else {}),
        "Os": config.get("os") or "linux",
        "Size": record.size,
        "GraphDriver": {"Data": _layer(record.rootfs), "Name": "overlay2"},
        "RootFS": {"Type": "layers", "Layers": layers},
        "Metadata": {"LastTagTime": timestamps.NEVER},
    }


def _layer(rootfs: str) -> dict[str, str]:
    """Return the directories of an image's only layer in the form of Docker's inspect document.

    ``rootfs`` is the image's root directory. As in Docker, the directories ``MergedDir`` and ``WorkDir`` do not exist.
    """
    directory = os.path.dirname(rootfs)
    return {
        "MergedDir": os.path.join(directory, "merged"), "UpperDir": rootfs, "WorkDir": os.path.join(directory, "work"),
    }  # fmt: skip


def _created_as_go_writes(config: dict[str, Any], record: ImageRecord) -> str:
    """Return the image's creation time as Go prints it, or "" if the image configuration has no creation time.

    The result is in the time zone that the image configuration uses. If the time has an unusual form, the result is
    ``record.created``, in UTC.
    """
    match = _GO_TIME.fullmatch(str(config.get("created") or ""))
    if match is None:
        return "" if config.get("created") is None else record.created
    fraction = f".{match[2] or ''}"[:10].rstrip("0").rstrip(".")
    return match[1] + fraction + ("Z" if match[3] in (None, "+00:00", "-00:00") else match[3])


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
