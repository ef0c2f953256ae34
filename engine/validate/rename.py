"""Checks of renaming a container."""

from __future__ import annotations

from engine.errors import Conflict, InvalidArgument
from engine.model import ContainerRecord
from engine.names import check_container_name, container_name_taken

ALLOCATING = "Error when allocating new name: "


def check_rename_given(name: str) -> None:
    """Refuse an empty name; asked before the container is looked up."""
    if not name:
        raise InvalidArgument("Neither old nor new names may be empty")


def check_rename(record: ContainerRecord, name: str) -> str:
    """Return the new name without its slash; raises `InvalidArgument` when it is bad or the present one."""
    new = f"/{name.removeprefix('/')}"
    if new == f"/{record.name}":
        raise InvalidArgument("Renaming a container with the same name as its current name")
    try:
        return check_container_name(new)
    except InvalidArgument as error:
        raise InvalidArgument(f"{ALLOCATING}{error}") from None


def rename_conflict(name: str, holder_id: str) -> Conflict:
    """Make the error for a new name that another container has."""
    return Conflict(f"{ALLOCATING}{container_name_taken(name, holder_id)}")
