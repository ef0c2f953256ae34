"""Finds drivers by network type.

A driver's file is named after its type and holds a class named after it (``drivers/bridge.py``: ``BridgeDriver``).
Packages of others add types through the entry-point group ``hawse.drivers``; a type of our own can't be replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module, util
from importlib.metadata import entry_points

from drivers.api import Driver, Missing

GROUP = "hawse.drivers"
NAME = re.compile("[a-z][a-z0-9]*")
TYPES: Mapping[str, str] = {
    "bridge": "local",
    "host": "local",
    "ipvlan": "local",
    "macvlan": "local",
    "null": "local",
    "overlay": "swarm",
}
"""The types that come with hawse, and their scopes; `available` must not import a driver to know them."""


def load(type_name: str) -> Driver:
    """Make the driver of a network type; raises `Missing` with Docker's text for an unknown one."""
    own = _own(type_name)
    if own is not None:
        return own()
    factory = _entry_point(type_name)
    if factory is None:
        raise Missing(f'plugin "{type_name}" not found')
    driver = factory()
    if not isinstance(driver, Driver):
        raise Missing(f'plugin "{type_name}" is no network driver')
    return driver


def available() -> Mapping[str, str]:
    """Every type that can be loaded, with its scope; others' packages are looked through only when need be."""
    return _Available()


class _Available(Mapping[str, str]):
    def __getitem__(self, type_name: str) -> str:
        if type_name in TYPES:
            return TYPES[type_name]
        factory = _entry_point(type_name)
        if factory is None:
            raise KeyError(type_name)
        return str(getattr(factory, "scope", "local"))

    def __iter__(self) -> Iterator[str]:
        return iter([*TYPES, *sorted(_outsiders())])

    def __len__(self) -> int:
        return len(TYPES) + len(_outsiders())


@cache
def _own(type_name: str) -> Callable[[], Driver] | None:
    """Our driver of this type, which keeps the contract: looking it over takes as long as a message to the kernel."""
    if not NAME.fullmatch(type_name) or util.find_spec(f"drivers.{type_name}") is None:
        return None
    factory = getattr(import_module(f"drivers.{type_name}"), f"{type_name.capitalize()}Driver", None)
    return factory if isinstance(factory, type) else None


def _entry_point(type_name: str) -> type | None:
    for point in entry_points(group=GROUP, name=type_name):
        factory = point.load()
        return factory if isinstance(factory, type) else None
    return None


@cache
def _outsiders() -> frozenset[str]:
    return frozenset(point.name for point in entry_points(group=GROUP)) - set(TYPES)
