"""Add events to the store, in the transaction that records the change; the attributes are those of dockerd 26.1."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from signal import SIGKILL
from types import MappingProxyType

from engine.errors import EngineError
from engine.golang.timestamps import to_seconds
from engine.model import ContainerRecord, Event, ImageRecord, NetworkRecord
from engine.store.api import Store, Transaction

KILLED = 128 + SIGKILL
"""The exit code of a process that was ended by SIGKILL."""
NONE: Mapping[str, str] = MappingProxyType({})


def container(tx: Transaction, record: ContainerRecord, action: str, attributes: Mapping[str, str] = NONE) -> None:
    """Add the event ``action`` (such as "start") of a container to the store.

    The container's labels, image and name are added to ``attributes``. As in Docker, a label replaces an attribute with
    the same name.
    """
    image = {"image": record.config.image} if record.config.image else {}
    tx.put_event(
        Event("container", action, record.id, {**attributes, **record.config.labels, **image, "name": record.name})
    )


def killed(tx: Transaction, record: ContainerRecord, number: int) -> None:
    """Add the event that the signal ``number`` is sent to a container's process."""
    container(tx, record, "kill", {"signal": str(int(number))})


def died(tx: Transaction, record: ContainerRecord) -> None:
    """Add the event that a container's process has ended, with its exit code and the whole seconds that it ran."""
    ran = to_seconds(record.finished_at) - to_seconds(record.started_at)
    container(tx, record, "die", {"execDuration": str(max(0, int(ran))), "exitCode": str(record.exit_code)})


def network(tx: Transaction, record: NetworkRecord, action: str, attributes: Mapping[str, str] = NONE) -> None:
    """Add the event ``action`` (such as "create") of a network to the store.

    The network's name and driver are added to ``attributes``.
    """
    driver = "null" if record.config_only else record.driver
    scope = "swarm" if record.scope == "swarm" and action in ("create", "remove") else "local"
    tx.put_event(Event("network", action, record.id, {**attributes, "name": record.name, "type": driver}, scope))


def connection(tx: Transaction, record: NetworkRecord, action: str, container_id: str) -> None:
    """Add the event that a container joins a network (``action`` is "connect") or leaves it ("disconnect")."""
    network(tx, record, action, {"container": container_id})


def image(tx: Transaction, image_id: str, action: str, name: str = "", record: ImageRecord | None = None) -> None:
    """Add the event ``action`` (such as "pull") of an image; ``name`` is its name, or "" for an event without a name.

    The labels in ``record`` are added to the event's attributes. ``record`` is None if the image does not exist any
    more.
    """
    labels = record.labels if record is not None else {}
    tx.put_event(Event("image", action, image_id, {**labels, **({"name": name} if name else {})}))


def pruned(tx: Transaction, kind: str, reclaimed: int) -> None:
    """Add the event that unused objects were removed; ``kind`` is the type of these objects, such as "network".

    ``reclaimed`` is the freed disk space in bytes.
    """
    tx.put_event(Event(kind, "prune", "", {"reclaimed": str(reclaimed)}))


def daemon(tx: Transaction, action: str, attributes: Mapping[str, str]) -> None:
    """Add the event ``action`` of hawse itself, such as "repair".

    The event's actor id and its attribute ``name`` are the host's name.
    """
    name = os.uname().nodename
    tx.put_event(Event("daemon", action, name, {**attributes, "name": name}))


def node(tx: Transaction, node_id: str, name: str, action: str, attributes: Mapping[str, str] = NONE) -> None:
    """Add the event ``action`` of a cluster node: "create", "remove" or "update"; ``name`` is the node's host name.

    For "update", ``attributes`` has the new and the old value of what has changed, such as ``state.new`` and
    ``state.old``.
    """
    tx.put_event(Event("node", action, node_id, {**attributes, "name": name}, scope="swarm"))


def alone(store: Store, add: Callable[[Transaction], None]) -> None:
    """Add events in a transaction of their own, for a caller that writes nothing else to the store.

    ``add`` adds the events to the transaction. If the store cannot be written, for example because the disk is full,
    the events are lost. No error is raised, so that the user's command still succeeds.
    """
    with suppress(EngineError), store.write() as tx:
        add(tx)
