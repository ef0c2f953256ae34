"""Compare one network or one container with the kernel, and repair the differences that other programs made.

The agent uses this module after a notification of the kernel, and ``hawse doctor`` uses it for all objects at once. The
kernel must agree with the records. Three kinds of objects are not repaired:

- an object that a running command is creating, changing or removing; the object's record or an intent (the record of a
  command's unfinished work) shows this
- an object that a reboot has removed from the kernel, until a command restores it
- an object that the user has excluded from repair
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path
from typing import NamedTuple, TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from drivers import options
from drivers import sandbox as sandboxes
from drivers.api import Driver, LinkRepairer, PeerProgrammer
from drivers.errors import DriverError, Missing
from drivers.firewall import resolver_redirect
from drivers.linux import netns, process
from drivers.model import Difference, EndpointSpec
from drivers.registry import load
from engine.config import Config, load_config
from engine.dns.resolver import ADDRESS
from engine.endpoints import boots, sandbox
from engine.endpoints.sandbox import JoinedEndpoint
from engine.errors import EngineError, Unavailable
from engine.events import repair as repairs
from engine.host import configure, endpoint_spec, network_spec, save_driver_state
from engine.model import ContainerRecord, EndpointRecord, NetworkRecord
from engine.store.api import Reader, Store, Transaction
from engine.store.locks import locked

NETWORK, CONTAINER, ENDPOINT = "network", "container", "endpoint"


class Subject(NamedTuple):
    """The kind and the id of a network or container to compare. In a notification, ``kind`` may also be `ENDPOINT`."""

    kind: str
    id: str


class Comparison(Struct, frozen=True):
    """The result of the comparison of a network or container with the kernel.

    - ``name`` describes the compared object.
    - ``busy`` is True if a command is changing the object.
    - ``has_peers`` is True for a cluster network. A separate function (`Verify`) compares and repairs the network's
      peer tables (FDB and neighbour tables), which list the endpoints on other hosts.
    - ``members`` are the containers of a damaged network. The caller compares them after the network's repair.
    - ``failures`` are the errors of comparisons and repairs.
    """

    name: str = ""
    differences: Sequence[Difference] = ()
    busy: bool = False
    has_peers: bool = False
    members: Sequence[Subject] = ()
    failures: Sequence[Exception] = field(default=())


NOTHING, BUSY = Comparison(), Comparison(busy=True)
Verify: TypeAlias = Callable[[str], Sequence[Difference]]
"""A function that repairs the tables of one cluster network, and returns the differences."""
Compared: TypeAlias = tuple[Sequence[Difference], Sequence[Exception]]
"""The differences of one part of a container, and the errors of its comparison or repair."""


def heals(record: NetworkRecord | ContainerRecord) -> bool:
    """Return whether the agent may repair this network or container, as its option or label ``hawse.heal`` says.

    The result is True if the option or label is missing or has an invalid value.
    """
    values = record.config.labels if isinstance(record, ContainerRecord) else record.options or {}
    return options.heals(values)


class LinkRepair:
    """Compares and repairs single networks and containers.

    All methods are called from one thread, except `driver`, which other threads may call too.

    - ``verify`` gets the id of a cluster network, repairs the tables of this network and returns the differences.
    - ``resolver_port`` gets the id of a sandbox. It returns the port to which the DNS queries (port 53) of this sandbox
      must be redirected, or 0 for none.
    - ``on_request``: a network or container is repaired even if the user has disabled its automatic repair.
    """

    def __init__(
        self,
        store: Store,
        run: Path,
        verify: Verify,
        resolver_port: Callable[[str], int],
        *,
        on_request: bool = False,
    ) -> None:
        self._store, self._run, self._verify, self._resolver_port = store, run, verify, resolver_port
        self._on_request = on_request
        self._drivers: dict[str, Driver | None] = {}

    def put_right(self, subject: Subject, by: str = "") -> Comparison:
        """Compare a network or container (``subject``) with the kernel, repair the differences, and return the result.

        A network that only this host has is repaired in a write transaction. No command can create or remove the
        network during the transaction. An event reports the repair, and names ``by``: the program that damaged the
        subject, or "" if that program is unknown.
        """
        with self._store.read() as reader:
            compared = self.compare(reader, subject)
        if compared.has_peers:
            differences = [replace(difference, place="overlay") for difference in self._verify(subject.id)]
            if differences:
                repairs.add_alone(self._store, *subject, by, differences)
            return replace(compared, differences=differences)
        if not compared.differences:
            return compared
        self._configure()
        if subject.kind == CONTAINER:
            return self._repair_container(subject, by)
        with self._store.write() as tx:
            compared = self.compare(tx, subject, tx)
            if compared.differences:
                repairs.add(tx, *subject, by, compared.differences)
            return compared

    def _repair_container(self, subject: Subject, by: str) -> Comparison:
        """Compare and repair a container, and return the result; return `BUSY` if a command holds the container lock.

        The comparison may take seconds, because the container's root user can add very many addresses or routes.
        Therefore this function holds only the container lock. A write transaction would make all other commands wait.
        """
        try:
            with locked(self._run, "container", subject.id, timeout=0), self._store.read() as reader:
                compared = self.compare(reader, subject, repairing=True)
        except Unavailable:
            return BUSY
        if compared.differences:
            repairs.add_alone(self._store, *subject, by, compared.differences)
        return compared

    def tell_resting(self, subject: Subject, by: str, seconds: float) -> None:
        """Add a "drift" event: the next repair waits ``seconds``, because the program ``by`` repeatedly undoes it."""
        repairs.add_delay(self._store, *subject, by, seconds)

    def compare(
        self, reader: Reader, subject: Subject, tx: Transaction | None = None, *, repairing: bool = False
    ) -> Comparison:
        """Compare a network or container with the kernel; the result is empty if the object has no record.

        After a reboot, the result is empty until a command has recorded the reboot.

        - ``tx``: a write transaction, or None. With a transaction, a network is also repaired. ``reader`` must then be
          the same object.
        - ``repairing``: whether a container is also repaired. If True, the caller holds the container lock.
        """
        if not boots.is_of_this_boot(reader):
            return NOTHING
        if subject.kind == NETWORK:
            network = reader.network(subject.id)
            return self._compare_network(reader, network, tx) if network is not None else NOTHING
        container = reader.container(subject.id)
        return self._compare_container(reader, container, repairing=repairing) if container is not None else NOTHING

    def _compare_network(self, reader: Reader, network: NetworkRecord, tx: Transaction | None) -> Comparison:
        driver = self.driver(network)
        if driver is None:
            return NOTHING
        if _in_work(reader, network.id):
            return BUSY
        name, spec = f"network {network.name}", network_spec(network)
        if isinstance(driver, PeerProgrammer):
            return Comparison(name, has_peers=True, members=_members(reader, network))
        publishing = [e for e in reader.publishing_endpoints() if e.network_id == network.id]
        differences = driver.compare_network(spec, _specs(reader, publishing))
        if tx is not None and differences:
            driver.repair_network(spec, _specs(reader, reader.endpoints(network_id=network.id)))
            assert isinstance(driver, Driver)
            save_driver_state(tx, driver)
        return Comparison(name, differences, members=_members(reader, network) if differences else ())

    def _compare_container(self, reader: Reader, container: ContainerRecord, *, repairing: bool) -> Comparison:
        if container.status != "running" or not container.sandbox_path or not self._may_repair(container):
            return BUSY if _in_work(reader, container.id) else NOTHING
        endpoints = reader.endpoints(container_id=container.id)
        if _in_work(reader, container.id, *(e.id for e in endpoints)):
            return BUSY
        pairs = ((reader.network(e.network_id), e) for e in endpoints if e.phase == "live")
        members = [JoinedEndpoint(network, endpoint) for network, endpoint in pairs if network is not None]
        differences: list[Difference] = []
        failures: list[Exception] = []
        for part_differences, failed in self._compare_parts(container, members, repairing=repairing):
            differences += part_differences
            failures += failed
        return Comparison(f"container {container.name}", differences, failures=failures)

    def _compare_parts(
        self, container: ContainerRecord, members: Sequence[JoinedEndpoint], *, repairing: bool
    ) -> Iterator[Compared]:
        place = sandbox.sandbox_of(container)
        for member in members:
            driver = self.driver(member.network)
            if driver is None:
                continue
            spec, interface = endpoint_spec(member.endpoint, container), member.endpoint.interface
            try:
                differences = driver.compare_endpoint(member.spec, spec, place, interface)
                if repairing and differences:
                    driver.repair_endpoint(member.spec, spec, place, interface, differences)
                yield differences, ()
            except Missing:
                return  # the container has ended
            except DriverError as error:
                yield (), [error]
        try:
            yield self._compare_routes(container, members, repairing=repairing)
        except Missing:
            return  # the container has ended
        yield self._compare_redirection(container, repairing=repairing)

    def _compare_routes(
        self, container: ContainerRecord, members: Sequence[JoinedEndpoint], *, repairing: bool
    ) -> Compared:
        """Compare the default routes of the container's sandbox with those that its endpoints need.

        ``members`` are the container's live endpoints with their networks. With ``repairing``, lost routes are set
        again. Raises `Missing` if the sandbox no longer exists.
        """
        if any(self.driver(m.network) is None for m in members):
            return (), ()
        place = sandbox.sandbox_of(container)
        try:
            lost = sandbox.lost_routes(container, members)
            if lost and any(sandboxes.is_taken_over(place, m.endpoint.interface) for m in members):
                return (), ()  # the user has moved addresses and routes to a bond or bridge
            if lost and repairing:
                sandbox.route(container, members)
        except Missing:
            raise
        except (DriverError, EngineError) as error:  # for example, another program has removed an address again
            return (), [error]
        return lost, ()

    def _compare_redirection(self, container: ContainerRecord, *, repairing: bool) -> Compared:
        """Compare the redirection of port 53 in the container's sandbox with the port of the agent's resolver.

        With ``repairing``, a missing or changed redirection is made again.
        """
        port = self._resolver_port(container.sandbox_id or container.id)
        if not port:
            return (), ()

        def look() -> Sequence[Difference]:
            differences = resolver_redirect.compare(IPv4Address(ADDRESS), port)
            if differences and repairing:
                resolver_redirect.redirect(IPv4Address(ADDRESS), port)
            return differences

        try:
            return netns.run_in_netns(container.sandbox_path, look, container.sandbox_inode), ()
        except DriverError as error:
            return (), [error]

    def driver(self, network: NetworkRecord) -> LinkRepairer | None:
        """Return the driver that can repair the network's links; callable from any thread. Returns None in these cases:

        - The network is not complete in the kernel.
        - The user has disabled the repair.
        - The driver is missing, or is no `LinkRepairer`.
        """
        if network.phase != "live" or network.config_only or not self._may_repair(network):
            return None
        if network.driver not in self._drivers:
            self._drivers[network.driver] = self._loaded(network.driver)
        driver = self._drivers[network.driver]
        return driver if isinstance(driver, LinkRepairer) else None

    def _loaded(self, type_name: str) -> Driver | None:
        try:
            driver = load(type_name)
        except Missing:
            return None
        config = Config()
        with suppress(EngineError):  # ignore the error: the default settings apply until the file is valid
            config = load_config()
        configure(driver, config, self._run)
        return driver

    def _may_repair(self, record: NetworkRecord | ContainerRecord) -> bool:
        return self._on_request or heals(record)

    def _configure(self) -> None:
        """Apply the current daemon.json to the drivers; keep the old settings if the file is invalid."""
        with suppress(EngineError):
            config = load_config()
            for driver in filter(None, list(self._drivers.values())):  # a copy, because another thread may add one
                configure(driver, config, self._run)


def _specs(reader: Reader, endpoints: Sequence[EndpointRecord]) -> list[EndpointSpec]:
    """Return the live endpoints among ``endpoints`` in the form that drivers use."""
    pairs = ((e, reader.container(e.container_id)) for e in endpoints if e.phase == "live")
    return [endpoint_spec(endpoint, container) for endpoint, container in pairs if container is not None]


def _members(reader: Reader, network: NetworkRecord) -> list[Subject]:
    endpoints = reader.endpoints(network_id=network.id)
    return [Subject(CONTAINER, e.container_id) for e in endpoints if e.phase == "live"]


def _in_work(reader: Reader, *ids: str) -> bool:
    """Return whether a running command works on one of the objects with these ids.

    The unfinished work of a killed command does not count. The next command resolves it, and may need the repaired
    links for this.
    """
    return any(i.object_id in ids and process.is_owner_running(i.owner) for i in reader.intents())
