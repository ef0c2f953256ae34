"""Add events to the store, in the transaction that records the change; the attributes are those of dockerd 26.1."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from engine.model import ContainerRecord, Event, ImageRecord, NetworkRecord
from engine.store.api import Transaction

NONE: Mapping[str, str] = MappingProxyType({})


def container(tx: Transaction, record: ContainerRecord, action: str, attributes: Mapping[str, str] = NONE) -> None:
    """Add an event of a container; its labels, image and name are added to the attributes.

    As in Docker, a label replaces an attribute with the same name.
    """
    image = {"image": record.config.image} if record.config.image else {}
    tx.put_event(
        Event("container", action, record.id, {**attributes, **record.config.labels, **image, "name": record.name})
    )


def network(tx: Transaction, record: NetworkRecord, action: str, attributes: Mapping[str, str] = NONE) -> None:
    """Add an event of a network; its name and driver are added to the attributes."""
    tx.put_event(Event("network", action, record.id, {**attributes, "name": record.name, "type": record.driver}))


def connection(tx: Transaction, record: NetworkRecord, action: str, container_id: str) -> None:
    """Add the event that a container joins a network ("connect") or leaves it ("disconnect")."""
    network(tx, record, action, {"container": container_id})


def image(tx: Transaction, image_id: str, action: str, name: str = "", record: ImageRecord | None = None) -> None:
    """Add an event of an image. ``record`` gives the labels; it is None if the image does not exist any more."""
    labels = record.labels if record is not None else {}
    tx.put_event(Event("image", action, image_id, {**labels, **({"name": name} if name else {})}))
