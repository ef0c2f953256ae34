"""A host as the engine uses it: its directories, configuration, store, runtime and drivers.

Before a command changes the kernel, it records an intent in the store. If the command is killed, the next command
resolves the intent: it undoes creations and finishes removals. The intent of a process that still runs is not resolved.

For calls to drivers, this module converts records to the drivers' types. It also converts errors to engine errors:

- `translate_driver_errors` is for a call of a driver: it converts only driver errors.
- `raises_engine_errors` is for classes whose methods carry out commands, such as those that implement `engine.api`.
  It also converts failures of the operating system and the runtime.
- `translate_failures` converts the same as `raises_engine_errors`, for code that handles an EngineError itself.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network
from pathlib import Path
from types import GeneratorType
from typing import Any, TypeVar

from msgspec import Struct, field

from drivers import errors as driver_errors
from drivers.api import Configurable, Driver, HealthReporter, Repairer
from drivers.errors import Missing
from drivers.linux import libnftables, process
from drivers.linux.host import has_net_admin
from drivers.model import EndpointSpec, IPAddress, IPInterface, NetworkSpec, Pool, PortBinding, Settings
from drivers.registry import load
from engine import PACKAGES, errors
from engine.config import Config
from engine.errors import EngineError, KernelFailure, NotFound, PermissionDenied, Unavailable, reason_of
from engine.model import (
    DEFAULT_GATEWAYS,
    ContainerRecord,
    EndpointRecord,
    EndpointSettings,
    NetworkAttachment,
    NetworkRecord,
    PoolRecord,
    PortRecord,
)
from engine.paths import make_private_directory
from engine.ports.allocation import exposed_ranges
from engine.runtime.api import Runtime, RuntimeFailure
from engine.store.api import DRIVER_STATE, DRIVER_STATE_KEY, Intent, Reader, Store, Transaction
from engine.store.codec import decode
from engine.store.sqlite_errors import is_full

T = TypeVar("T")
Verbs = TypeVar("Verbs", bound=type)
FULL = (errno.ENOSPC, errno.EDQUOT)
NEEDS_ROOT = "Only root may do this: run the command with sudo"
CLUSTER_DIRECTORY, MEMBERSHIP_FILE = "cluster", "membership.json"
"""The directory of the cluster's files in HAWSE_ROOT, and the file in it that makes the host a member of a cluster."""


class Host(Struct, frozen=True):
    """The objects that all operations of the engine share.

    Files in the directory ``root`` survive a reboot; files in the directory ``run`` do not.
    """

    root: Path
    run: Path
    config: Config
    store: Store
    runtime: Runtime
    _drivers: dict[str, Driver] = field(default_factory=dict)

    @property
    def is_clustered(self) -> bool:
        """Whether this host is in a cluster."""
        return is_clustered(self.root)

    def driver(self, type_name: str) -> Driver:
        """Return the driver for networks of the type ``type_name``.

        Raises NotFound with Docker's error text ``plugin "x" not found`` if no such driver is installed.
        """
        if type_name not in self._drivers:
            try:
                driver = load(type_name)
            except Missing as error:
                raise NotFound(str(error)) from error
            configure(driver, self.config, self.run)
            self._drivers[type_name] = driver
        return self._drivers[type_name]

    @property
    def places(self) -> Sequence[Path]:
        """The directories that hawse writes to.

        If a disk is full, the error names the first of these directories that is on this disk.
        """
        return self.root, self.containers_directory, self.run

    @property
    def containers_directory(self) -> Path:
        """The directory in HAWSE_ROOT that contains one directory for each container's own files."""
        return self.root / "containers"

    def health_warnings(self, networks: Iterable[tuple[str, NetworkSpec]]) -> list[str]:
        """Return a warning for each problem that the drivers find in these networks.

        ``networks`` has the driver type and the driver's network specification for each network. If a driver's check
        raises an error, the networks of this driver get no warning.
        """
        by_driver: defaultdict[str, list[NetworkSpec]] = defaultdict(list)
        for name, spec in networks:
            by_driver[name].append(spec)
        warnings: list[str] = []
        for name, specs in by_driver.items():
            driver = self.driver(name)
            if isinstance(driver, HealthReporter):
                with suppress(driver_errors.DriverError):
                    warnings += driver.health_warnings(specs)
        return warnings

    def directory_of(self, container_id: str) -> Path:
        """Return the path of the directory of a container's own files. The directory may be missing."""
        return self.containers_directory / container_id

    def container_directory(self, container_id: str) -> Path:
        """Return the directory of a container's own files; a missing directory is created (mode 0700)."""
        path = self.directory_of(container_id)
        make_private_directory(path)
        return path

    def callback(self, *argv: str) -> tuple[list[str], dict[str, str]]:
        """Return the argument vector and environment for a new hawse process with the arguments ``argv``.

        The process uses this host's store and directories.
        """
        return callback(self.root, self.run, *argv)


def require_net_admin(purpose: str, program: str = "hawse") -> None:
    """Check that the process has CAP_NET_ADMIN; raises PermissionDenied: "``program`` needs root to ``purpose``".

    The user then sees one clear message instead of several kernel errors.
    """
    if not has_net_admin():
        raise PermissionDenied(f"permission denied: {program} needs root (CAP_NET_ADMIN) to {purpose}")


def is_clustered(root: Path) -> bool:
    """Return whether the host with the directory ``root`` as HAWSE_ROOT is in a cluster."""
    return os.path.exists(f"{root}/{CLUSTER_DIRECTORY}/{MEMBERSHIP_FILE}")


def callback(root: Path, run: Path, *argv: str) -> tuple[list[str], dict[str, str]]:
    """Return the argument vector and environment for a new hawse process with the arguments ``argv``.

    The process uses the directories ``root`` (HAWSE_ROOT) and ``run`` (HAWSE_RUN).
    """
    environment = {"HAWSE_ROOT": str(root), "HAWSE_RUN": str(run), "PATH": os.environ.get("PATH", os.defpath)}
    if "HAWSE_CONFIG" in os.environ:
        environment["HAWSE_CONFIG"] = os.environ["HAWSE_CONFIG"]
    # Let the new process use a running warm server (a resident hawse process), but never start one.
    environment["HAWSE_WARM"] = "off" if os.environ.get("HAWSE_WARM") == "off" else "use"
    boot = "import sys; sys.path.insert(0, sys.argv.pop(1)); from cli.launcher.launch import main; main()"
    return [sys.executable, "-IS", "-X", "utf8", "-c", boot, PACKAGES, *argv], environment


def configure(driver: Driver, config: Config, run: Path) -> None:
    """Pass the run directory and the driver settings of the host to a driver, if the driver is `Configurable`."""
    if isinstance(driver, Configurable):
        driver.configure(Settings(run, config.allow_direct_routing, config.bridge_accept_fwmark, config.ip_forward))


Resolver = Callable[[Host, str], None]


def begin_intent(tx: Transaction, kind: str, object_id: str, owner: str = "") -> None:
    """Record an intent, which is unfinished work on an object; `end_intent` deletes the record.

    ``kind`` is the kind of the work, a constant of `IntentKind`. ``owner`` is the process that does the work
    ("pid:start time"), or "" for this process. Call this function in the transaction that also reserves the object.
    """
    tx.put_intent(Intent(kind, object_id, owner or process.identity()))


def end_intent(tx: Transaction, kind: str, object_id: str) -> None:
    """Delete an intent, because the work is done or undone.

    ``kind`` and ``object_id`` are those of `begin_intent`. Call this function in the transaction that also records the
    result of the work.
    """
    tx.delete_intent(kind, object_id)


def orphaned_intents(begun: Iterable[Intent]) -> list[Intent]:
    """Return those intents in ``begun`` whose process no longer runs."""
    return [intent for intent in begun if not process.is_owner_running(intent.owner)]


@contextmanager
def rollback_on_error(host: Host, kind: str, object_id: str, undo: Resolver) -> Iterator[None]:
    """Run a block that changes the kernel; if the block fails, call ``undo`` and raise the block's error again.

    ``kind`` and ``object_id`` identify the intent, the record of the block's unfinished work. ``undo`` gets the host
    and ``object_id``, and undoes the block's changes. After ``undo``, the intent is deleted. If the process dies inside
    the block, a later command calls the same function ``undo``.

    If the block itself ends the intent, its work counts as done. A later error in the block then undoes nothing.
    """
    try:
        yield
    except BaseException:
        # Ignore an error of ``undo``. The intent then stays in the store for the next command, and the user sees the
        # original error of the block.
        with suppress(EngineError), translate_failures(()):
            with host.store.read() as reader:
                is_unfinished = any((i.kind, i.object_id) == (kind, object_id) for i in reader.intents())
            if is_unfinished:
                undo(host, object_id)
                with host.store.write() as tx:
                    end_intent(tx, kind, object_id)
        raise


def network_spec(record: NetworkRecord) -> NetworkSpec:
    """Return a network in the form that drivers use.

    Subnets marked as ``unused`` are left out, because only inspect shows them.
    """
    return NetworkSpec(
        id=record.id,
        name=record.name,
        options={**(record.options or {}), **(record.host_options or {})},
        pools=tuple(pool_spec(p) for p in record.pools if not p.unused),
        internal=record.internal,
        ipv4=record.enable_ipv4,
        ipv6=record.enable_ipv6,
    )


def pool_spec(record: PoolRecord) -> Pool:
    """Return a subnet in the form that drivers use.

    As in Docker, the auxiliary address DefaultGatewayIPv4 or DefaultGatewayIPv6 is the next hop of the default route.
    """
    subnet = ip_network(record.subnet)
    next_hop = record.aux_addresses.get(DEFAULT_GATEWAYS[subnet.version])
    return Pool(subnet, gateway_interface(record), ip_address(next_hop) if next_hop else None)


def gateway_interface(pool: PoolRecord) -> IPInterface | None:
    """Return the gateway address of a subnet with the subnet's prefix length, or None if the subnet has no gateway."""
    return ip_interface(f"{pool.gateway}/{ip_network(pool.subnet).prefixlen}") if pool.gateway else None


def endpoint_spec(
    record: EndpointRecord, container: ContainerRecord, siblings: Iterable[EndpointRecord] = ()
) -> EndpointSpec:
    """Return a container's endpoint in the form that drivers use.

    ``siblings`` are the other endpoints of the container. Some drivers need the addresses of these endpoints.
    """
    settings = attachment_of(container, record.network_id).settings
    ipv4, ipv6, exposed = record.ipv4, record.ipv6, container.config.exposed_ports
    return EndpointSpec(
        id=record.id,
        mac=record.mac,
        ipv4=IPv4Interface(ipv4) if ipv4 else None,
        ipv6=IPv6Interface(ipv6) if ipv6 else None,
        link_local=tuple(ip_interface(a) for a in record.link_local),
        options=settings.driver_opts or {},
        ports=port_bindings(record.ports),
        exposed=tuple(exposed_ranges(exposed)) if exposed else (),
        siblings=addresses_of(siblings),
        sysctls={key.replace(".", "/"): value for key, value in container.host.sysctls.items()},
    )


def addresses_of(records: Iterable[EndpointRecord]) -> tuple[IPAddress, ...]:
    """Return the IPv4 and IPv6 addresses of the endpoints; prefix lengths and link-local addresses are left out."""
    return tuple(ip_interface(text).ip for record in records for text in (record.ipv4, record.ipv6) if text)


def attachment_of(container: ContainerRecord, network_id: str) -> NetworkAttachment:
    """Return the container's configuration for a network.

    If the container has left the network, the result is a configuration without any settings.
    """
    for attachment in container.attachments:
        if attachment.network_id == network_id:
            return attachment
    return NetworkAttachment("", EndpointSettings(), network_id)


def port_bindings(ports: Sequence[PortRecord]) -> tuple[PortBinding, ...]:
    """Return published ports in the form that drivers use."""
    addresses = {text: ip_address(text) for text in {p.host_ip for p in ports}}  # parse each address once
    return tuple(
        PortBinding(p.protocol, addresses[p.host_ip], p.host_port, p.host_port_end, p.port, p.port_end) for p in ports
    )


def pool_key(network: NetworkRecord, pool: PoolRecord) -> str:
    """Return the store's key for the used addresses of a network's subnet: "network id/subnet"."""
    return f"{network.id}/{pool.subnet}"


def save_driver_state(tx: Transaction, driver: Driver) -> None:
    """Store the lines of text in which a driver records its changes of shared kernel state.

    Several networks share this state. An example is the sysctl that enables IP forwarding. Later hawse processes read
    the lines with `load_driver_state`. Lines that were stored earlier are kept. Most drivers have no such lines.
    """
    state = driver.saved_state() if isinstance(driver, Repairer) else ()
    if state:
        known = _driver_states(tx)
        merged = dict.fromkeys([*known.get(driver.type, ()), *state])
        tx.set_meta(DRIVER_STATE_KEY, json.dumps({**known, driver.type: list(merged)}))


def load_driver_state(reader: Reader, driver: str) -> Sequence[str]:
    """Return the lines that `save_driver_state` has stored for a driver; ``driver`` is the driver's type."""
    return _driver_states(reader).get(driver, ())


def clear_driver_state(tx: Transaction) -> None:
    """Delete what `save_driver_state` has stored for all drivers: their changes of shared kernel state."""
    if _driver_states(tx):
        tx.set_meta(DRIVER_STATE_KEY, "{}")


def _driver_states(reader: Reader) -> dict[str, tuple[str, ...]]:
    return decode(DRIVER_STATE, reader.meta(DRIVER_STATE_KEY) or "{}")


KINDS: dict[type[driver_errors.DriverError], type[errors.EngineError]] = {
    driver_errors.BadOption: errors.InvalidArgument,
    driver_errors.UnusableOption: errors.DriverFailure,
    driver_errors.Exists: errors.Forbidden,
    driver_errors.Missing: errors.NotFound,
    driver_errors.Busy: errors.KernelFailure,
    driver_errors.Unsupported: errors.NotImplementedByHawse,
    driver_errors.NoPermission: errors.PermissionDenied,
    driver_errors.InterfaceRefused: errors.InterfaceFailure,
    driver_errors.KernelError: errors.KernelFailure,
    libnftables.Refused: errors.KernelFailure,
}
"""The engine error class for each error class of hawse's own drivers.

A test checks that every subclass of `DriverError` in hawse's own drivers is a key of `KINDS`.
"""


@contextmanager
def translate_driver_errors() -> Iterator[None]:
    """Convert a driver error raised in the block into the matching engine error, with the same text."""
    try:
        yield
    except driver_errors.DriverError as error:
        raise _from_driver(error) from error


def _from_driver(error: driver_errors.DriverError) -> EngineError:
    # Use the nearest base class that is in `KINDS`, because drivers from other packages may define their own
    # subclasses.
    kind = next((KINDS[c] for c in type(error).__mro__ if c in KINDS), errors.KernelFailure)
    return errors.hinted(kind(str(error)), error.hint)


def raises_engine_errors(verbs: Verbs) -> Verbs:
    """Make the public methods of a class raise EngineError in place of other errors.

    The other errors are OSError, MemoryError, DriverError and RuntimeFailure. BrokenPipeError is not converted, because
    it means that the reader of the command's output has ended.

    The error for a full disk names a directory of hawse on that disk (see `engine_error`). The directories come from
    the object's attribute ``places``, or from ``host.places`` if the object has an attribute ``host``.
    """
    for name, method in list(vars(verbs).items()):
        if callable(method) and not name.startswith("_"):
            setattr(verbs, name, _wrapped(method))
    return verbs


def _wrapped(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(self: Any, *arguments: Any, **keywords: Any) -> Any:
        places = getattr(getattr(self, "host", self), "places", ())
        with translate_failures(places):
            result = method(self, *arguments, **keywords)
        return _guarded(result, places) if isinstance(result, GeneratorType) else result

    return call


def _guarded(items: Iterator[Any], places: Iterable[Path]) -> Iterator[Any]:
    with translate_failures(places):
        yield from items


@contextmanager
def marked_repeatable() -> Iterator[None]:
    """Mark an error of the ``with`` block as repeatable, unless the error is `Unavailable`.

    After a repeatable error, the command is tried once more if the end of a container has been recorded. That end may
    have freed what the command needs, but it does not make the store or the cluster available.
    """
    try:
        yield
    except EngineError as error:
        error.repeatable = not isinstance(error, Unavailable)
        raise


def retried_after_ends(
    host: Host, attempt: Callable[[], T], record_ends: Callable[[Host, int, str], bool], own: str = ""
) -> T:
    """Call ``attempt``; after a repeatable error, record the ends of ended containers and call ``attempt`` once more.

    An address or a port may still belong to a container whose process has ended, but whose end is not recorded yet. The
    function ``record_ends`` records the ends of such containers; it is `engine.containers.finalize.finalize_ended`. If
    neither it nor another process has recorded an end since the first call of ``attempt``, the error is raised.

    An end of the container with the id ``own`` does not count, because ``attempt`` itself may have recorded it.
    ``own`` may be "". The caller holds no container lock, because ``attempt`` takes such a lock.
    """
    with host.store.read() as reader:
        newest = reader.last_event()
    try:
        return attempt()
    except EngineError as error:
        if not error.repeatable or not record_ends(host, newest, own):
            raise
    return attempt()


@contextmanager
def translate_failures(places: Iterable[Path]) -> Iterator[None]:
    """Convert an OSError, MemoryError, DriverError or RuntimeFailure of the block to an engine error.

    The error for a full disk names one of the directories ``places``. BrokenPipeError is not converted.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, MemoryError, driver_errors.DriverError, RuntimeFailure) as error:
        raise engine_error(error, places) from error


def engine_error(error: Exception, places: Iterable[Path] = ()) -> EngineError:
    """Return the engine error for an OSError, MemoryError, DriverError or RuntimeFailure.

    The text is in Docker's form, for example "write /x: no space left on device". Python's error for a failed write
    does not name the file. If such an error is caused by a full disk, the text names a directory instead: the first of
    ``places`` that is on a full disk.
    """
    if isinstance(error, driver_errors.DriverError):
        return _from_driver(error)
    if isinstance(error, MemoryError):
        return Unavailable(os.strerror(errno.ENOMEM).lower())
    if not isinstance(error, OSError):
        return KernelFailure(str(error))
    reason = reason_of(error)
    path = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
    if error.errno in FULL:
        path = path or next(map(str, filter(is_full, places)), "")
        return Unavailable(f"write {path}: {reason}" if path else reason)
    unavailable = Unavailable(f"{path}: {reason}" if path else reason)
    return errors.hinted(unavailable, NEEDS_ROOT if isinstance(error, PermissionError) and not has_net_admin() else "")
