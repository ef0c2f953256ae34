"""The SOURCE argument of a trace: a container, ``host``, ``outside[:IFACE]``, ``netns:NAME`` or ``pid:N``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from shlex import quote

from drivers.linux import link, path_lookup
from drivers.linux.features import holders, outside_interfaces
from drivers.linux.path_lookup import PacketRoute
from drivers.linux.route import LOCAL_TABLE, MAIN_TABLE
from drivers.model import IPAddress, IPInterface
from engine import names
from engine.containers import adopted, lookup
from engine.diagnosis.trace.model import Culprit, CulpritFound
from engine.diagnosis.trace.records import HOST, OUTSIDE, Place, Records
from engine.errors import InvalidArgument
from engine.model import ContainerRecord, NetworkRecord
from engine.store.api import Reader


def place_of(reader: Reader, records: Records, reference: str) -> Place:
    """Return the place that SOURCE (``reference``) names; raises NotFound for an unknown container or namespace.

    Raises `CulpritFound` for a container that does not run, and `InvalidArgument` for an unknown interface.
    """
    kind, _, rest = reference.partition(":")
    if reference == "host":
        return HOST
    if kind == OUTSIDE:
        return Place(OUTSIDE, "network", interface=_interface(rest))
    known = adopted.find(reader, reference) if names.is_adoptable(reference) else []
    if names.is_adoptable(reference) and not known:
        path, inode = adopted.locate(reference)
        return Place("netns", rest, path, inode)
    return of_container(records, known[0] if known else lookup.find(reader, reference))


def of_container(records: Records, record: ContainerRecord) -> Place:
    """Return the place of a container's sandbox; raises `CulpritFound` if the container does not run.

    A container in the host's namespace has the place `HOST`.
    """
    require_running(record)
    owner = records.owner(record)
    if owner.host.network_mode == "host":
        return HOST
    if owner is not record:
        require_running(owner)
    return Place("container", record.name, owner.sandbox_path, owner.sandbox_inode, record)


def require_running(record: ContainerRecord) -> None:
    """Check that a container runs; raises `CulpritFound` if it does not."""
    if lookup.is_alive(record):
        return
    if record.kind == "adopted":
        detail = f"{record.name} does not exist any more"
        reference = quote(adopted.reference_of(record))
        fix = f"make the namespace again, and connect it: hawse network connect NETWORK {reference}"
    else:
        state = "exited" if record.status == "running" else record.status
        detail = f"{record.name} is not running (its state is {state})"
        fix = f"start it: hawse start {quote(record.name)}"
    raise CulpritFound(Culprit("container-stopped", f"container {record.name}", "host", detail, fix))


def _interface(name: str) -> str:
    """Return the interface by which packets from outside arrive; raises `InvalidArgument` if there is none.

    If ``name`` is "", the result is the interface of the default route. If there is no default route, the result is the
    first link that is up and may lead to other machines. Loopback, bridges and hawse's own links do not count.
    """
    if name and not link.index(name):
        raise InvalidArgument(f"no such interface: {name}")
    if name:
        return name
    for version in (4, 6):
        route = path_lookup.route(path_lookup.anywhere(version))
        if route.interface:
            return route.interface
    for candidate in outside_interfaces():
        return candidate
    raise InvalidArgument("this host has no interface to the outside: name one (outside:IFACE)")


def again(place: Place, network: str) -> str:
    """Return the command that sets up a container's interfaces again, by a restart of the container.

    For an adopted namespace, which cannot be restarted, returns the commands that disconnect it from the network named
    ``network`` and connect it again.
    """
    if place.record is not None and place.record.kind != "adopted":
        return f"hawse restart {place.name}"
    return reconnection(place, network)


def without_address(place: Place, held: Sequence[tuple[str, IPInterface]]) -> str:
    """Return the remedy for an address that ``place`` must not have: the commands that remove it.

    ``held`` has the interfaces with this address, as `features.holders` returns them. It is empty if only a route of
    the type ``local`` gives the address to ``place``.
    """
    commands = [place.command(f"ip address del {address} dev {interface}") for interface, address in held]
    return f"remove it: {'; '.join(commands)}" if held else f"find it: {place.command('ip route show table local')}"


def connection(network: str, name: str, joined: Iterable[NetworkRecord]) -> str:
    """Return the commands that connect a container to a network; ``joined`` are the networks that it is on.

    Docker connects no container that is on the network none, so the first command disconnects it from there.
    """
    none = next((n.name for n in joined if n.driver == "null"), "")
    first = f"hawse network disconnect {quote(none)} {quote(name)} && " if none else ""
    return f"{first}hawse network connect {quote(network)} {quote(name)}"


def reconnection(place: Place, network: str) -> str:
    """Return the commands that disconnect a container from a network and connect it again.

    When an adopted namespace leaves its last network, hawse deletes its record. Therefore the second command names an
    adopted namespace by its file.
    """
    record = place.record
    reference = place.name if record is None or record.kind != "adopted" else adopted.reference_of(record)
    left, right = (f"{quote(network)} {quote(name)}" for name in (place.name, reference))
    return f"hawse network disconnect {left} && hawse network connect {right}"


def removing(place: Place, target: IPAddress, route: PacketRoute) -> str:
    """Return the remedy for a wrong route to ``target`` in a place; ``route`` is the result of the route look-up.

    The remedy is one of these:

    - If an interface of the place has the address ``target``: remove the address.
    - If the route is in another table than main: add a routing rule that sends ``target`` to the table main. The route
      is not removed, because it is meant for other packets too.
    - Otherwise: remove the route. If the route is not known exactly, the commands only list the routes and rules.
    """
    held = place.inside(lambda: holders(target))
    if held:
        return without_address(place, held)
    table, words = place.inside(lambda: path_lookup.deciding_route(target, route))
    if table not in (0, MAIN_TABLE, LOCAL_TABLE):
        family = " -6" if target.version == 6 else ""
        return f"let the main table decide: {place.command(f'ip{family} rule add to {target} lookup main')}"
    if words:
        return f"remove the route that is wrong: {place.command(f'ip route del {words}')}"
    return f"remove the route or rule that is wrong: {place.command('ip route')}; {place.command('ip rule')}"
