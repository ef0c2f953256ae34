"""TODO."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from drivers.api import DriverError, HealthReporter, NetworkSpec
from drivers.registry import available, facts
from drivers.linux import process
from engine import intents, names, timestamps
from engine.agent.client import keep_agent
from engine.api import Created
from engine.cluster import membership, network_hooks
from engine.config import Config
from engine.dispatch import specs as dispatch_specs
from engine.dispatch.errors import translate_driver_errors
from engine.dispatch.specs import network_spec
from engine.errors import EngineError
from engine.host import Host
from engine.intents import IntentKind
from engine.model import NetworkCreate, NetworkRecord, PoolRecord
from engine.networks import allocation
from engine.networks.activate import destroy
from engine.networks.allocation import used_ranges
from engine.store.api import Reader, Taken, Transaction
from engine.validate.network import check_network_create, network_name_taken


def with_default_options(request: NetworkCreate, config: Config) -> NetworkCreate:
    """Add the driver's options of daemon.json's default-network-opts that a user's request does not give.

    As in Docker, a network made from a configuration network has that one's options alone.
    """
    if request.config_from:
        return request
    return replace(
        request, options={**config.default_network_opts.get(request.driver or "bridge", {}), **request.options}
    )


def create(host: Host, request: NetworkCreate) -> Created:
    """Create a network: recorded first, then made by its driver; undone whole when anything fails."""
    if network_hooks.is_cluster_network(host, request):
        return network_hooks.create(host, request)
    record, spec = _reserve(host, request)
    if spec is None:
        return Created(record.id)
    driver = host.driver(record.driver)
    with intents.rollback_on_error(host, IntentKind.NETWORK_CREATE, record.id, destroy), translate_driver_errors():
        driver.create_network(spec)
    with host.store.write() as tx:
        dispatch_specs.save_driver_state(tx, driver)
        tx.put_network(replace(record, phase="live", owner=""))
        intents.end(tx, IntentKind.NETWORK_CREATE, record.id)
    keep_agent(host, driver)
    return Created(record.id, warnings_of(host, [(record.driver, spec)]))


def _reserve(host: Host, request: NetworkCreate) -> tuple[NetworkRecord, NetworkSpec | None]:
    """Record the network as being made; a configuration network, which no driver sees, as done."""
    concerned = (4, 6) if request.enable_ipv6 or request.config_from else (4,)
    on_host = used_ranges(concerned)
    pools: list[PoolRecord] = []
    try:
        with host.store.write() as tx:
            clustered = request.config_only and membership.is_member(host)
            request = check_network_create(request, _possible_conflicts(tx, request), available(), clustered=clustered)
            record = _new_record(request)
            if not request.config_only and not facts(request.driver).singleton:
                pools = allocation.allocate_pools(tx, request, host.config, host_id(tx), on_host)
                record = allocation.reserve_fixed(tx, replace(record, pools=pools))
            else:
                record = replace(record, pools=allocation.configured_pools(request))
            spec = None if record.config_only else network_spec(record)
            if spec is not None:
                _check_with_driver(host, tx, record, spec)
                intents.begin(tx, IntentKind.NETWORK_CREATE, record.id)
            tx.put_network(record)
    except Taken as error:
        raise network_name_taken(request.name) from error
    except EngineError:
        if pools:
            with host.store.write() as tx:
                allocation.pass_over(tx, pools)
        raise
    return record, spec


def _possible_conflicts(reader: Reader, request: NetworkCreate) -> list[NetworkRecord]:
    """The networks that a check of the request may concern: a namesake, its configuration, others of a singleton."""
    if facts(request.driver).singleton:
        return reader.networks()
    return [n for name in (request.name, request.config_from) for n in reader.find_networks(name)]


def _new_record(request: NetworkCreate) -> NetworkRecord:
    return NetworkRecord(
        id=names.generate_id(),
        name=request.name,
        created=timestamps.now(),
        driver=request.driver,
        scope=request.scope or "local",
        enable_ipv4=request.enable_ipv4 is not False,
        enable_ipv6=request.enable_ipv6,
        ipam_driver=request.ipam_driver or "default",
        ipam_options=dict(request.ipam_options),
        internal=request.internal,
        attachable=request.attachable,
        ingress=request.ingress,
        config_only=request.config_only,
        config_from=request.config_from,
        options=dict(request.options),
        labels=dict(request.labels),
        phase="live" if request.config_only else "creating",
        owner=process.identity(),
    )


def host_id(tx: Transaction) -> str:
    """This host's own random id, made once; what its automatic IPv6 pools derive from."""
    known = tx.meta("host-id")
    if known is None:
        known = names.generate_id()
        tx.set_meta("host-id", known)
    return known


def _check_with_driver(host: Host, reader: Reader, record: NetworkRecord, spec: NetworkSpec) -> None:
    # Names that nobody chose come from ids: of two networks without options, neither is in the other's way.
    optionless = not (record.options or record.host_options)
    similar = reader.networks(driver=record.driver, with_options=optionless)
    others = [network_spec(n) for n in similar if not n.config_only]
    with translate_driver_errors():
        host.driver(record.driver).check_network(spec, others)


def warnings_of(host: Host, networks: Iterable[tuple[str, NetworkSpec]]) -> list[str]:
    """A warning for each obstacle of networks, each with its driver's type; what can't be found out is none."""
    by_driver: defaultdict[str, list[NetworkSpec]] = defaultdict(list)
    for name, spec in networks:
        by_driver[name].append(spec)
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
    return warnings_of(host, [(n.driver, network_spec(n)) for n in named if n.phase == "planned"])
