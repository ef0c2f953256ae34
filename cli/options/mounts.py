"""Parse ``--volume`` and ``--mount``; only bind mounts are supported, because hawse has no volumes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping

from cli.pflag.csv import csv_fields
from engine.errors import InvalidArgument
from engine.golang.strconv import parse_bool, quote

_ADVICE = "only bind mounts are supported, as in -v /host/path:/container/path"
_SOURCE = ("source", "src")
_TARGET = ("target", "dst", "destination")
_READ_ONLY = ("readonly", "ro")
_TYPES = ("bind", "volume", "tmpfs")
_UNKNOWN = "type="
_PROPAGATION = "bind-propagation"
_SWITCHES = ("volume-nocopy", "bind-nonrecursive")
_OPTIONS = (
    _PROPAGATION, "bind-recursive", "volume-subpath", "volume-label", "volume-driver", "volume-opt", "tmpfs-size",
    "tmpfs-mode", *_SWITCHES,
)  # fmt: skip
"""The keys of ``--mount`` that belong to one type, which is the word before the hyphen."""


def bind(spec: str) -> str:
    """Parse one ``-v`` value into ``source:target[:options]``; raises ValueError."""
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
    return f"{_absolute(source)}:{rest}"


def mount(value: str) -> str:
    """Convert one ``--mount type=bind,source=…,target=…[,readonly]`` to the form of a ``-v`` value; raises ValueError.

    For a type that Docker does not have, such as ``type=nfs``, the result is the text ``type=nfs``. `check_types` later
    raises an error for this result.
    """
    fields = dict(_mount_field(entry) for entry in csv_fields(value))
    kind = fields.get("type", "volume")
    _check_fields(kind, fields)
    if kind not in _TYPES:
        return f"{_UNKNOWN}{kind}"
    if kind != "bind":
        raise ValueError(f"mount type {quote(kind)} is not supported: use type=bind")
    source = _absolute(fields.get("source", ""))  # the engine refuses an empty source, as dockerd does
    if ":" in source or ":" in fields["target"]:
        raise ValueError(f"a colon in a mount's path is not supported: {value}")
    modes = ["ro" if fields.get("readonly") == "true" else "", fields.get(_PROPAGATION, "")]
    return ":".join(filter(None, (f"{source}:{fields['target']}", ",".join(filter(None, modes)))))


def check_types(mounts: Iterable[str]) -> None:
    """Raise InvalidArgument with dockerd's text if a ``--mount`` has a type that Docker does not have.

    ``mounts`` contains the results of `mount`, one for each ``--mount``.
    """
    for mounted in mounts:
        if mounted.startswith(_UNKNOWN):
            kind = quote(mounted.removeprefix(_UNKNOWN))
            raise InvalidArgument(f"invalid mount config for type {kind}: mount type unknown")


def mount_entry(mounted: str) -> str:
    """Convert one ``--mount`` to the JSON text that Docker keeps in HostConfig.Mounts.

    ``mounted`` is a result of `mount`: the ``--mount`` value in the form of a ``-v`` value.
    """
    source, target, modes = [*mounted.split(":"), "", ""][:3]
    propagation = next((mode for mode in modes.split(",") if mode not in ("", "ro")), "")
    entry = {"Type": "bind", "Source": source, "Target": target, "ReadOnly": "ro" in modes.split(",")}
    options = {"BindOptions": {"Propagation": propagation}} if propagation else {}
    return json.dumps({key: content for key, content in entry.items() if content or key == "Source"} | options)


def _absolute(source: str) -> str:
    """Return the source of a mount, made absolute if it is ``.`` or ``./path``."""
    return os.path.abspath(source) if source == "." or source.startswith("./") else source


def _check_fields(kind: str, fields: Mapping[str, str]) -> None:
    """Check the fields of one ``--mount`` in the order in which Docker checks them; raises ValueError.

    ``kind`` is the mount's type. The error says that a field is missing, belongs to another type, or is not supported.
    """
    for name, content in (("type", kind), ("target", fields.get("target"))):
        if not content:
            raise ValueError(f"{name} is required")
    for owner in ("volume", "bind", "tmpfs"):
        options = [key for key in fields if key.startswith(f"{owner}-")]
        if options and kind != owner:
            raise ValueError(f"cannot mix '{owner}-*' options with mount type '{kind}'")
        if options and kind == "bind" and options != [_PROPAGATION]:
            raise ValueError(f"the option {next(key for key in options if key != _PROPAGATION)} is not supported")


def _mount_field(entry: str) -> tuple[str, str]:
    key, equals, content = entry.partition("=")
    key = key.lower()
    if key in _READ_ONLY:
        return "readonly", "true" if not equals or _flag(key, content) else "false"
    if not equals and key not in _SWITCHES:
        raise ValueError(f"invalid field '{entry}' must be a key=value pair")
    if key == "type":
        return "type", content.lower()
    if key in _SOURCE:
        return "source", content
    if key in _TARGET:
        return "target", content
    if key == "consistency":  # the key "consistency" has no effect on Linux, neither in Docker nor in hawse
        return key, content
    if key not in _OPTIONS:
        raise ValueError(f"unexpected key '{key}' in '{entry}'")
    return key, content.lower()


def _flag(key: str, content: str) -> bool:
    try:
        return parse_bool(content)
    except ValueError:
        raise ValueError(f"invalid value for {key}: {content}") from None
