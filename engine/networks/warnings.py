"""What stands in the way of networks on this host, and is not hawse's to move: told to the user as warnings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress

from drivers.api import DriverError, HealthReporter, NetworkSpec
from engine.dispatch.specs import network_spec
from engine.host import Host
from engine.model import NetworkRecord


def warnings_of(host: Host, networks: Iterable[NetworkRecord]) -> list[str]:
    """A warning for each obstacle; what can't be found out is none."""
    by_driver: defaultdict[str, list[NetworkSpec]] = defaultdict(list)
    for network in networks:
        by_driver[network.driver].append(network_spec(network))
    found: list[str] = []
    for name, specs in by_driver.items():
        driver = host.driver(name)
        if isinstance(driver, HealthReporter):
            with suppress(DriverError):
                found += driver.health_warnings(specs)
    return found


def first_use_warnings(host: Host, references: Iterable[str]) -> list[str]:
    """The same of networks that are to be made before they are used, such as the default bridge."""
    with host.store.read() as reader:
        named = [network for reference in references for network in reader.find_networks(reference)]
    return warnings_of(host, [network for network in named if network.phase == "planned"])
