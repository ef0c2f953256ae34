"""Legacy links, ``name`` or ``name:alias``."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import EngineError, InvalidArgument
from engine.model import ContainerRecord


def parse_link(text: str) -> tuple[str, str]:
    """Split a link into the container's name and its alias, which is the name where none was given."""
    if not text:
        raise EngineError("empty string specified for links")
    parts = text.split(":")
    if len(parts) > 2:
        raise EngineError(f"bad format for links: {text}")
    if len(parts) == 1:
        return text, text
    # dockerd lists a container's own links as /target:/parent/alias
    if parts[0].startswith("/"):
        return parts[0].removeprefix("/"), parts[1].rpartition("/")[2]
    return parts[0], parts[1]


def link_target(matches: Sequence[ContainerRecord], name: str) -> ContainerRecord:
    """Return the container a link on the default bridge names; raises `InvalidArgument` for none or several."""
    if len(matches) == 1 and name:
        return matches[0]
    fault = f"No such container: {name}" if name else 'invalid name or ID supplied: ""'
    raise InvalidArgument(f"could not get container for {name}: {fault}")


def check_link_at_start(target: ContainerRecord, parent: str, alias: str) -> None:
    """Refuse a link to a container that is not on the default bridge, or does not run."""
    if not any(attachment.network == "bridge" for attachment in target.attachments):
        raise EngineError(f"Cannot link to /{target.name}, as it does not belong to the default network")
    if target.status != "running":
        raise EngineError(f"Cannot link to a non running container: /{target.name} AS /{parent}/{alias}")
