"""Registry of drivers by network type.

A driver's file is named after its type, and so is the class in that file (``drivers/bridge.py``: ``BridgeDriver``).
Third-party packages add types through the entry-point group ``hawse.drivers``. Such a package cannot replace one of
hawse's own types.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module, util
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from drivers.api import Driver, examine
from drivers.errors import Missing
from drivers.model import DriverFacts

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

GROUP = "hawse.drivers"
NAME = re.compile("[a-z][a-z0-9]*")


def load(type_name: str) -> Driver:
    """Return a driver of a network type; raises `Missing` with Docker's error text for an unknown type."""
    driver_class = _own(type_name)
    if driver_class is not None:
        made: Driver = driver_class()  # without an isinstance() check, which would take as long as a netlink request
        return made
    factory = _entry_point(type_name)
    if factory is None:
        raise Missing(f'plugin "{type_name}" not found')
    driver = factory()
    if not isinstance(driver, Driver):
        raise Missing(f'plugin "{type_name}" is no network driver')
    return driver


def prepare() -> None:
    """Fill the cache of isinstance() results for hawse's own drivers, so that later calls are fast."""
    for type_name in _own_types():
        examine(load(type_name))


@cache
def facts(type_name: str) -> DriverFacts:
    """Return the properties (`DriverFacts`) of a network type.

    A type that is not installed has the default properties.
    """
    factory = _own(type_name) or _entry_point(type_name)
    return _declared(factory) if factory is not None else DriverFacts()


def available() -> Mapping[str, DriverFacts]:
    """Return a mapping from every installed network type to its properties (`DriverFacts`).

    A look-up of one of hawse's own types does not search third-party packages.
    """
    return _Available()


class _Available(Mapping[str, DriverFacts]):
    def __getitem__(self, type_name: str) -> DriverFacts:
        if _own(type_name) is None and _entry_point(type_name) is None:
            raise KeyError(type_name)
        return facts(type_name)

    def __iter__(self) -> Iterator[str]:
        return iter([*_own_types(), *sorted(_outsiders())])

    def __len__(self) -> int:
        return len(_own_types()) + len(_outsiders())


def _declared(factory: type) -> DriverFacts:
    """Return the `DriverFacts` that the driver class ``factory`` itself declares, otherwise the default `DriverFacts`.

    In the default `DriverFacts`, ``scope`` is the attribute ``scope`` of the class, if the class has this attribute.
    The ``facts`` of a base class are ignored, because they do not describe the derived driver.
    """
    declared = vars(factory).get("facts")
    return declared if isinstance(declared, DriverFacts) else DriverFacts(str(getattr(factory, "scope", "local")))


@cache
def _own(type_name: str) -> type | None:
    if not NAME.fullmatch(type_name) or util.find_spec(f"drivers.{type_name}") is None:
        return None
    factory = getattr(import_module(f"drivers.{type_name}"), f"{type_name.capitalize()}Driver", None)
    return factory if isinstance(factory, type) else None


@cache
def _own_types() -> tuple[str, ...]:
    """Return hawse's own network types: those with a driver class in a module of `drivers`."""
    return tuple(m.name for m in iter_modules([str(Path(__file__).parent)]) if _own(m.name) is not None)


def _entry_point(type_name: str) -> type | None:
    for point in _points():
        if point.name == type_name:
            factory = point.load()
            return factory if isinstance(factory, type) else None
    return None


@cache
def _outsiders() -> frozenset[str]:
    return frozenset(point.name for point in _points()) - set(_own_types())


def _points() -> EntryPoints:
    from importlib.metadata import entry_points

    return entry_points(group=GROUP)
