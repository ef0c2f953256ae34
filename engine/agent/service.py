"""What the agent asks of each of its services, and the state it shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.model import ContainerRecord, EndpointRecord, NetworkRecord


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The store's records at one moment; those of an earlier boot tell of kernel state that is gone."""

    networks: Sequence[NetworkRecord] = ()
    containers: Sequence[ContainerRecord] = ()
    endpoints: Sequence[EndpointRecord] = ()
    of_this_boot: bool = True


class Service(Protocol):
    """Something that must be alive between commands."""

    name: str

    def reconcile(self, state: Snapshot) -> None:
        """Become what the state calls for, by difference; idempotent."""

    def needed(self) -> bool:
        """Whether the agent must stay for this service's sake."""

    def close(self) -> None:
        """Release everything."""
