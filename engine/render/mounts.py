"""Render the Mounts list of a container from its binds."""

from __future__ import annotations

from engine.model import HostConfig, Mount
from engine.render import Json
from engine.validate.container import PROPAGATIONS, clean_path


def mounts_document(host: HostConfig) -> list[Json]:
    """Render a container's binds ``source:target[:mode]`` as Docker's list of mount points.

    The last items of ``host.binds`` come from the request's field Mounts (``--mount``). As in Docker, the mode of these
    items is shown as "".
    """
    binds = host.binds or ()
    listed = len(binds) - len(host.mounts)
    return [_mount(bind) if place < listed else {**_mount(bind), "Mode": ""} for place, bind in enumerate(binds)]


def parse_bind(bind: str) -> tuple[Mount, str]:
    """Split a bind ``source:target[:mode]`` into the mount, and the mode as typed ("" if the bind has no mode)."""
    source, _, rest = bind.partition(":")
    target, _, mode = rest.partition(":")
    return Mount(source, clean_path(target), read_only="ro" in mode.split(",")), mode


def _propagation(mode: str) -> str:
    """Return the propagation that the mode of a bind names, or "rprivate" if it names none."""
    return next((word for word in mode.split(",") if word in PROPAGATIONS), "rprivate")


def _mount(bind: str) -> Json:
    mount, mode = parse_bind(bind)
    return {
        "Type": "bind",
        "Source": mount.source,
        "Destination": mount.target,
        "Mode": mode,
        "RW": not mount.read_only,
        "Propagation": _propagation(mode),
    }
