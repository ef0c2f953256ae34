"""The verbs of /networks that concern a network as a whole: create, remove, prune, list, inspect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_network

from engine import intents, names, owner, timestamps
from engine.agent.notify import keep_agent
from engine.api import Created, Documents, Json, Strings
from engine.cluster import gateway, hooks
from engine.dispatch.errors import translated
from engine.dispatch.specs import network_spec, pool_key
from engine.endpoints.release import memberships, release_endpoint
from engine.endpoints.sandbox import Membership
from engine.errors import EngineError, Forbidden
from engine.filters import networks
from engine.host import Host
from engine.ipam.usage import usage
from engine.model import Filters, NetworkCreate, NetworkRecord, NetworkSummary, PoolRecord
from engine.natural import natural_key
from engine.networks import allocation, warnings
from engine.render.network import network_document
from engine.store import driver_state
from engine.store.api import Intent, Reader, Taken, Transaction
from engine.store.locks import forget, locked
from engine.validate.network import SINGLETONS, check_network_create, check_network_remove, network_name_taken

CREATE, REMOVE, ENSURE = "network-create", "network-remove", "network-ensure"
PRESENT = ("live", "planned")
"""The phases of networks that users see; others are still being made or removed."""


def find(reader: Reader, reference: str, *, inspect: bool = False) -> NetworkRecord:
    """The network of a name, id or unique id prefix; one still being made or removed is not there."""
    matches = [n for n in reader.find_networks(reference) if n.phase in PRESENT]
    return names.pick_network(matches, reference, inspect=inspect)


def create(host: Host, request: NetworkCreate) -> Created:
    """Create a network: recorded first, then made by its driver; undone whole when anything fails."""
    if hooks.spans_hosts(host, request):
        return hooks.create(host, request)
    record = _reserve(host, request)
    if record.config_only:
        return Created(record.id)
    driver = host.driver(record.driver)
    with intents.undone(host, CREATE, record.id, unmake), translated():
        driver.create_network(network_spec(record))
    with host.store.write() as tx:
        driver_state.keep(tx, driver)
        tx.put_network(replace(record, phase="live", owner=""))
        intents.end(tx, CREATE, record.id)
    keep_agent(host, driver)
    return Created(record.id, warnings.of(host, [record]))


def _reserve(host: Host, request: NetworkCreate) -> NetworkRecord:
    from drivers.registry import available
    from engine.networks.host_ranges import ranges_in_use

    concerned = (4, 6) if request.enable_ipv6 or request.config_from else (4,)
    on_host = ranges_in_use(concerned)
    pools: list[PoolRecord] = []
    try:
        with host.store.write() as tx:
            clustered = request.config_only and hooks.is_member(host)
            request = check_network_create(request, _concerned(tx, request), available(), clustered=clustered)
            record = _new_record(request)
            if not request.config_only and request.driver not in ("host", "null"):
                pools = allocation.allocate_pools(tx, request, host.config, host_id(tx), on_host)
                record = allocation.reserve_fixed(tx, replace(record, pools=pools))
            else:
                record = replace(record, pools=allocation.configured_pools(request))
            _check_with_driver(host, tx, record)
            tx.put_network(record)
            if not record.config_only:
                intents.begin(tx, CREATE, record.id)
    except Taken as error:
        raise network_name_taken(request.name) from error
    except EngineError:
        if pools:
            with host.store.write() as tx:
                allocation.pass_over(tx, pools)
        raise
    return record


def _concerned(reader: Reader, request: NetworkCreate) -> list[NetworkRecord]:
    """The networks that a check of the request may concern: a namesake, its configuration, others of a singleton."""
    if request.driver in SINGLETONS:
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
        owner=owner.me(),
    )


def host_id(tx: Transaction) -> str:
    """This host's own random id, made once; what its automatic IPv6 pools derive from."""
    known = tx.meta("host-id")
    if known is None:
        known = names.generate_id()
        tx.set_meta("host-id", known)
    return known


def _check_with_driver(host: Host, reader: Reader, record: NetworkRecord) -> None:
    if record.config_only:
        return
    # Names that nobody chose come from ids: of two networks without options, neither is in the other's way.
    optionless = not (record.options or record.host_options)
    similar = reader.networks(driver=record.driver, with_options=optionless)
    others = [network_spec(n) for n in similar if not n.config_only]
    with translated():
        host.driver(record.driver).check_network(network_spec(record), others)


def unmake(host: Host, network_id: str) -> None:
    """Remove the kernel objects and the record of a network, whatever there is of them, and notes of it; idempotent."""
    with host.store.read() as reader:
        record = reader.network(network_id)
    if record is None:
        return
    with translated():
        host.driver(record.driver).delete_network(network_spec(record))
    with host.store.write() as tx:
        tx.delete_network(network_id)
        for kind in (CREATE, REMOVE):
            intents.end(tx, kind, network_id)


def ensure(host: Host, network_id: str) -> NetworkRecord:
    """Make a planned network's kernel objects (the default bridge before its first use, all after a reboot)."""
    with host.store.read() as reader:
        record = reader.network(network_id)
    assert record is not None
    if record.phase != "planned":
        return record
    with locked(host.run, "network", network_id):
        record = _made(host, record)
        forget(host.run, "network", network_id)
    hooks.brought_up(host, record)
    return record


def _made(host: Host, record: NetworkRecord) -> NetworkRecord:
    driver = host.driver(record.driver)
    with host.store.write() as tx:
        record = find(tx, record.id)
        if record.phase != "planned":
            return record  # another command has made it meanwhile
        intents.begin(tx, ENSURE, record.id)
    with translated():
        driver.create_network(network_spec(record))
    record = replace(record, phase="live")
    with host.store.write() as tx:
        driver_state.keep(tx, driver)
        tx.put_network(record)
        intents.end(tx, ENSURE, record.id)
    keep_agent(host, driver)
    return record


def unmake_planned(host: Host, network_id: str) -> None:
    """Remove the kernel objects of a network that has not come to be live, or is no longer; idempotent."""
    with locked(host.run, "network", network_id):
        with host.store.read() as reader:
            record = reader.network(network_id)
        if record is not None and record.phase == "planned":
            with translated():
                host.driver(record.driver).delete_network(network_spec(record))
        forget(host.run, "network", network_id)


def remove(host: Host, reference: str) -> None:
    """Remove a network without endpoints; endpoints of the dead are released on the way."""
    hooks.learn(host, reference, attach=False)
    release_ghosts(host, reference)
    with host.store.read() as reader:
        record = find(reader, reference)
    if record.scope == "swarm":
        return hooks.remove(host, record)
    with host.store.write() as tx:
        record = find(tx, reference)
        check_network_remove(record, tx.endpoints(network_id=record.id), tx.networks() if record.config_only else ())
        tx.put_network(replace(record, phase="removing", owner=owner.me()))
        tx.put_intent(Intent(REMOVE, record.id, owner.me()))
    unmake(host, record.id)
    return None


def release_ghosts(host: Host, reference: str) -> None:
    """Release endpoints whose container is gone, so that nobody is told of "active endpoints" that aren't."""
    with host.store.read() as reader:
        matches = reader.find_networks(reference)
        if len(matches) != 1:
            return
        network = matches[0]
        pairs = [(e, reader.container(e.container_id)) for e in reader.endpoints(network_id=network.id)]
        busy = {i.object_id for i in reader.intents()}
    for endpoint, container in pairs:
        if endpoint.container_id == gateway.INGRESS_SANDBOX:
            continue
        if container is None and endpoint.container_id not in busy and endpoint.id not in busy:
            with host.store.write() as tx:
                tx.delete_endpoint(endpoint.id)
        elif container is not None and container.status == "running" and container.id not in busy:
            from engine.containers.lookup import observed

            if observed(host, container).status != "running":
                others = [m for m in memberships(host, container.id) if m.endpoint.id != endpoint.id]
                release_endpoint(host, container, Membership(network, endpoint), others, alive=False)


def prune(host: Host, wanted: Filters) -> Strings:
    """Remove all custom networks that nobody uses, managers those of the cluster too.

    A network that becomes used meanwhile, or is used on another host, stays.
    """
    networks.check_network_prune(wanted)
    with host.store.read() as reader:
        candidates = [
            n
            for n in reader.networks()
            if not (n.predefined or n.config_only or n.ingress)
            and n.phase in PRESENT
            and not reader.endpoints(network_id=n.id)
            and networks.network_prunable(n, wanted)
        ]
    removed = []
    for record in candidates:
        try:
            remove(host, record.id)
        except (Forbidden, EngineError):
            continue
        removed.append(record.name)
    return removed


def list_documents(host: Host, wanted: Filters) -> Documents:
    """NetworkResource documents of all networks that match."""
    return [network_document(n, []) for n in _chosen(host, wanted)]


def list_summaries(host: Host, wanted: Filters) -> Sequence[NetworkSummary]:
    """All networks that match, in brief and in natural order; only to find labels are records read."""
    if "label" in wanted:
        chosen = sorted(_chosen(host, wanted), key=lambda n: natural_key(n.name))
        return [NetworkSummary(n.id, n.name, n.driver, n.scope, n.predefined) for n in chosen]
    with host.store.read() as reader:
        return networks.filter_summaries(reader.network_summaries(PRESENT), wanted)


def _chosen(host: Host, wanted: Filters) -> list[NetworkRecord]:
    with host.store.read() as reader:
        return networks.filter_networks([n for n in reader.networks() if n.phase in PRESENT], wanted)


def inspect(host: Host, reference: str, *, verbose: bool = False) -> Json:
    """One NetworkResource with its containers."""
    with host.store.read() as reader:
        record = find(reader, reference, inspect=True)
        members = []
        for endpoint in reader.endpoints(network_id=record.id):
            container = reader.container(endpoint.container_id)
            if container is not None and endpoint.phase == "live":
                members.append((endpoint, gateway.shown_name(record, container)))
            elif endpoint.container_id == gateway.INGRESS_SANDBOX:
                members.append((endpoint, f"gateway_{gateway.INGRESS_SANDBOX}"))
        status = _ipam_status(reader, record) if verbose else {}
    return {**hooks.completed(host, record, network_document(record, members)), **status}


def _ipam_status(reader: Reader, record: NetworkRecord) -> Json:
    """How full each subnet is, in the shape of API 1.52; Docker 26 has no such key, so only ``--verbose`` shows it."""
    subnets = {}
    for pool in record.pools:
        if not pool.unused:
            within = ip_network(pool.ip_range) if pool.ip_range else None
            counted = usage(ip_network(pool.subnet), reader.addresses(pool_key(record, pool)), within)
            subnets[pool.subnet] = {"IPsInUse": counted.in_use, "DynamicIPsAvailable": counted.available}
    return {"Status": {"IPAM": {"Subnets": subnets}}}
