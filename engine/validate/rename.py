"""Check requests to rename a container, with dockerd's texts."""

from __future__ import annotations

from engine.errors import Conflict, InvalidArgument
from engine.model import ContainerRecord
from engine.names import check_container_name, container_name_taken

ALLOCATING = "Error when allocating new name: "


def check_rename_not_empty(name: str) -> None:
    """Check that the new name is not empty; raises InvalidArgument.

    The caller calls this function before it looks up the container.
    """
    if not name:
        raise InvalidArgument("Neither old nor new names may be empty")


def check_rename(record: ContainerRecord, name: str) -> str:
    """Check the new name of a container, and return it without the leading slash.

    Raises `InvalidArgument` if the name is invalid or is the container's current name.
    """
    new = f"/{name.removeprefix('/')}"
    if new == f"/{record.name}":
        raise InvalidArgument("Renaming a container with the same name as its current name")
    try:
        return check_container_name(new)
    except InvalidArgument as error:
        raise InvalidArgument(f"{ALLOCATING}{error}") from None


def rename_conflict(name: str, holder_id: str) -> Conflict:
    """Return the error for renaming a container to a name that the container ``holder_id`` has."""
    return Conflict(f"{ALLOCATING}{container_name_taken(name, holder_id)}")
