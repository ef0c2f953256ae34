"""What HostConfig.NetworkMode says: which networks are Docker's own, and which mode shares another's sandbox."""

from __future__ import annotations

PREDEFINED_NAMES = frozenset({"bridge", "host", "none", "default"})
CONTAINER_PREFIX = "container:"


def is_container_mode(mode: str) -> bool:
    """Tell whether the mode joins another container's sandbox."""
    return mode.startswith(CONTAINER_PREFIX)


def shared_container(mode: str) -> str:
    """Return the container whose sandbox the mode joins, "" for other modes."""
    return mode.removeprefix(CONTAINER_PREFIX) if is_container_mode(mode) else ""


def is_user_defined(mode: str) -> bool:
    """Tell whether the mode names a network that a user made."""
    return mode not in PREDEFINED_NAMES and not is_container_mode(mode)
