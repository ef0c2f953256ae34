"""Compares the kernel objects of all networks and containers with the records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address

from drivers.api import Repairer
from drivers.errors import DriverError, Missing
from drivers.firewall import resolver_redirect
from drivers.linux import netns
from drivers.model import Difference
from engine.api import Check
from engine.containers.lookup import is_alive
from engine.diagnosis.doctor.checks import REPAIR, Examined, fault, not_compared, of_differences, ok, warning
from engine.dns.resolver import ADDRESS
from engine.endpoints import shared_state
from engine.errors import EngineError, in_words
from engine.host import Host, orphaned_intents
from engine.model import ContainerRecord, NetworkRecord
from engine.recovery import recover
from engine.recovery.link_repair import CONTAINER, NETWORK, LinkRepair, Subject
from engine.store.api import Reader

HOST_PLACE = "forwarding"
"""The place (`Difference.place`) of differences that concern the whole host and not one network."""


def check(examined: Examined, reader: Reader) -> Iterator[Check]:
    """Yield the results for the firewall, each network and each container of this host."""
    compare = comparison(examined.host, examined.containers)
    yield from _shared(examined, reader)
    of_host: dict[Difference, str] = {}
    for network in examined.networks:
        yield from _network(examined, reader, compare, network, of_host)
    for difference, cause in of_host.items():
        yield fault("host", f"IP forwarding is off: {difference.what}", cause)
    for container in examined.containers:
        yield from _container(examined, reader, compare, container)


def comparison(host: Host, containers: Sequence[ContainerRecord]) -> LinkRepair:
    """Return the object that compares and repairs networks and containers as the agent does.

    It also repairs objects whose automatic repair the user has disabled. ``containers`` must have all containers that
    will be compared, because the redirection of their DNS queries is compared too.
    """
    by_sandbox = {container.sandbox_id or container.id: container for container in containers}
    return LinkRepair(
        host.store,
        host.run,
        lambda _: (),
        lambda sandbox_id: _resolver_port(by_sandbox, sandbox_id),
        on_request=True,
    )


def _resolver_port(by_sandbox: Mapping[str, ContainerRecord], sandbox_id: str) -> int:
    """Return the agent's DNS port in a sandbox, to which port 53 must be redirected.

    ``by_sandbox`` maps the ids of sandboxes to their containers. Returns 0 if the sandbox needs no redirect, is unknown
    or has ended.
    """
    container = by_sandbox.get(sandbox_id)
    if container is None:
        return 0
    try:
        return netns.run_in_netns(
            container.sandbox_path,
            lambda: resolver_redirect.serving_port(IPv4Address(ADDRESS)),
            container.sandbox_inode,
        )
    except DriverError:
        return 0


def _shared(examined: Examined, reader: Reader) -> Iterator[Check]:
    """Yield the results for the firewall's rules and elements, which all networks of a driver share."""
    for name in sorted({network.driver for network in examined.networks}):
        driver = examined.host.driver(name)
        if not isinstance(driver, Repairer):
            continue
        try:
            differences = list(driver.compare(shared_state.of(reader, name)))
        except DriverError as error:
            yield not_compared("firewall", error)
            continue
        faults = list(of_differences("firewall", differences, examined.cause()))
        yield from faults or [ok("firewall", f"rules and elements of the {name} networks are as recorded")]


def _network(
    examined: Examined, reader: Reader, compare: LinkRepair, network: NetworkRecord, of_host: dict[Difference, str]
) -> Iterator[Check]:
    name = f"network {network.name}"
    try:
        compared = compare.compare(reader, Subject(NETWORK, network.id))
    except DriverError as error:
        yield not_compared(name, error)
        return
    if compared.busy:
        yield ok(name, "a command is changing it now")
        return
    if compared.has_peers or not compared.name:
        return  # the cluster's check compares overlay networks; host and none have no kernel objects
    cause = examined.cause(network)
    of_network = [difference for difference in compared.differences if difference.place != HOST_PLACE]
    of_host.update({d: cause for d in compared.differences if d.place == HOST_PLACE})
    faults = list(of_differences(name, of_network, cause))
    examined.damaged.update(check.object for check in faults)
    yield from faults or [ok(name, "links, addresses, routes, sysctls are as recorded")]


def _container(examined: Examined, reader: Reader, compare: LinkRepair, container: ContainerRecord) -> Iterator[Check]:
    name = f"container {container.name}"
    if not is_alive(container):
        yield _ended(name, container)
        return
    try:
        compared = compare.compare(reader, Subject(CONTAINER, container.id))
    except Missing:
        yield warning(name, "has ended during this check")
        return
    except DriverError as error:
        yield not_compared(name, error)
        return
    if compared.busy:
        yield ok(name, "a command is changing it now")
        return
    networks = [n for e in reader.endpoints(container_id=container.id) if (n := reader.network(e.network_id))]
    faults = list(of_differences(name, compared.differences, examined.cause(container, *networks)))
    faults += [fault(name, str(failure), "the kernel refused the comparison", "") for failure in compared.failures]
    examined.damaged.update(check.object for check in faults)
    yield from faults or [ok(name, "interfaces, addresses, routes are as recorded")]


def _ended(name: str, container: ContainerRecord) -> Check:
    if container.kind == "process":
        return fault(name, "is recorded as running, but its process has ended", "no process recorded its end")
    fix = f"hawse network disconnect -f NETWORK {container.name}, or make the namespace again"
    return warning(name, "its namespace no longer exists", "the program that made the namespace has ended it", fix)


def unfinished(reader: Reader) -> Iterator[Check]:
    """Yield a warning for each object on which a killed command has left unfinished work."""
    for intent in orphaned_intents(reader.intents()):
        what = f"a killed command left work undone: {intent.kind}"
        yield warning(f"object {intent.object_id[:12]}", what, "the command was killed", REPAIR)


def repair(examined: Examined) -> list[Check]:
    """Repair the differences of the firewall, then of the networks, then of the containers.

    Then repair the firewall again. The firewall drops router advertisements from some bridge ports (muted ports). Which
    ports are muted depends on sysctls of the bridges, and the repair of a network may change these sysctls. Returns a
    fault for each network, container, endpoint or route that could not be repaired.
    """
    host = examined.host
    recover.repair(host, whole=False)
    compare = comparison(host, examined.containers)
    subjects = [(f"network {n.name}", Subject(NETWORK, n.id)) for n in examined.networks]
    subjects += [(f"container {c.name}", Subject(CONTAINER, c.id)) for c in examined.containers]
    problems = []
    for name, subject in subjects:
        try:
            failures = compare.put_right(subject).failures
        except (DriverError, EngineError) as error:
            failures = [error]
        fix = f"remove the cause, then {REPAIR}"
        problems += [fault(name, "cannot be repaired", in_words(failure), fix) for failure in failures]
    recover.repair(host, whole=False)
    return problems
