"""Parse ``--volume`` and ``--mount``; only bind mounts are supported, because hawse has no volumes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from cli.pflag.csv import csv_fields
from engine.golang.strconv import parse_bool, quote

_ADVICE = "only bind mounts are supported, as in -v /host/path:/container/path"
_SOURCE = ("source", "src")
_TARGET = ("target", "dst", "destination")
_READ_ONLY = ("readonly", "ro")


def bind(spec: str, absolute: Callable[[str], str] = os.path.abspath) -> str:
    """Parse one ``-v`` value into ``source:target[:options]``; raises ValueError.

    The relative source ``.`` or ``./path`` is made absolute.
    """
    if not spec:
        raise ValueError("invalid empty volume spec")
    parts = spec.split(":")
    for index, part in enumerate(parts):
        if not part:
            raise ValueError(f"invalid spec: {spec}: empty section between colons")
        if index > 2:
            raise ValueError(f"invalid spec: {spec}: too many colons")
    if len(parts) == 1:
        raise ValueError(f"anonymous volume {quote(spec)}: {_ADVICE}")
    source, rest = parts[0], ":".join(parts[1:])
    if source[0] not in "./~":
        raise ValueError(f"named volume {quote(source)}: {_ADVICE}")
    if source == "." or source.startswith("./"):
        source = absolute(source)
    return f"{source}:{rest}"


def mount(value: str, absolute: Callable[[str], str] = os.path.abspath) -> str:
    """Convert one ``--mount type=bind,source=…,target=…[,readonly]`` to the form of a ``-v`` value.

    Raises ValueError.
    """
    fields = dict(_mount_field(entry) for entry in csv_fields(value))
    if (kind := fields.get("type", "volume")) != "bind":
        raise ValueError(f"mount type {quote(kind)} is not supported: use type=bind")
    if not fields.get("target"):
        raise ValueError("target is required")
    source = fields.get("source", "")  # the engine refuses an empty source, as dockerd does
    if source == "." or source.startswith("./"):
        source = absolute(source)
    if ":" in source or ":" in fields["target"]:
        raise ValueError(f"a colon in a mount's path is not supported: {value}")
    return f"{source}:{fields['target']}" + (":ro" if fields.get("readonly") == "true" else "")


def mount_entry(mounted: str) -> str:
    """Return the result of `mount` as the JSON that Docker keeps in HostConfig.Mounts."""
    source, target, *mode = mounted.split(":")
    return json.dumps({"Type": "bind", "Source": source, "Target": target, **({"ReadOnly": True} if mode else {})})


def _mount_field(entry: str) -> tuple[str, str]:
    key, equals, content = entry.partition("=")
    key = key.lower()
    if key in _READ_ONLY:
        return "readonly", "true" if not equals or _flag(key, content) else "false"
    if not equals:
        raise ValueError(f"invalid field '{entry}' must be a key=value pair")
    if key == "type":
        return "type", content.lower()
    if key in _SOURCE:
        return "source", content
    if key in _TARGET:
        return "target", content
    if key == "consistency":  # the key "consistency" has no effect on Linux, neither in Docker nor in hawse
        return key, content
    raise ValueError(f"unexpected key '{key}' in '{entry}'")


def _flag(key: str, content: str) -> bool:
    try:
        return parse_bool(content)
    except ValueError:
        raise ValueError(f"invalid value for {key}: {content}") from None
