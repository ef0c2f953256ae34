"""The interface of the agent's services, and the snapshot of the local store that the services read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.model import ContainerRecord, EndpointRecord, NetworkRecord


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The records of the local store at one moment.

    The field ``of_this_boot`` is False if the host has booted since the records were written. The kernel state of such
    records no longer exists.
    """

    networks: Sequence[NetworkRecord] = ()
    containers: Sequence[ContainerRecord] = ()
    endpoints: Sequence[EndpointRecord] = ()
    of_this_boot: bool = True


class Service(Protocol):
    """A service of the agent that must run while no command runs, such as DNS."""

    name: str

    def reconcile(self, state: Snapshot) -> None:
        """Make the service match the records in ``state``, changing only what differs; idempotent."""

    def needed(self) -> bool:
        """Return whether the agent must keep running because of this service."""

    def close(self) -> None:
        """Release all resources of the service."""
