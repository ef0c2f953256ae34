"""Check whether the store is consistent and agrees with the kernel and the runtime's files; repair a damaged store.

A repair keeps the old file and writes a new one. The new file has the readable rows, and the backup's copies of lost
records. Bridges and running containers without any record get new records.
"""

from __future__ import annotations

import os
from contextlib import suppress
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

from msgspec.structs import replace

from drivers.linux import marked_links
from engine.agent.client import announce
from engine.api import CheckReport
from engine.cluster.local_networks import INGRESS_SANDBOX
from engine.errors import EngineError
from engine.host import Host, engine_error, pool_key, translate_driver_errors
from engine.model import EndpointRecord, NetworkRecord
from engine.names import PRESENT, short_id
from engine.networks import predefined
from engine.recovery import recover, unrecorded
from engine.store import rescue, salvage
from engine.store.api import Taken, Transaction
from engine.store.salvage import Salvaged
from engine.store.sqlite_errors import translated


def check(host: Host, store: Path) -> CheckReport:
    """Return the faults of the store, and hawse's objects that have no record; changes nothing."""
    with translated(store), translate_driver_errors():
        problems = rescue.problems(store)
        if not problems:
            salvaged = salvage.read_file(store) if store.exists() else Salvaged()
            problems = list(unrecorded.objects(host, salvaged.records))
            if not problems and predefined.MARK not in salvaged.meta:
                problems = [f"the file is new, but this host has {sign}" for sign in predefined.signs_of_loss(host)]
    return CheckReport(problems)


def repair(host: Host, store: Path) -> CheckReport:
    """Repair the faults that `check` finds; idempotent. ``done`` of the result lists each step."""
    problems = check(host, store).problems
    if not problems:
        return CheckReport([])
    with translated(store), translate_driver_errors():
        done = rescue.repair(store, lambda salvaged, new: _build(host, salvaged, new))
    done += _unused_files(host)
    try:
        with translate_driver_errors():
            predefined.record(host)
            recover.repair(host, whole=False)
    except (EngineError, OSError) as error:  # the report of the repaired store must not be lost
        done.append(f"the kernel's state is not repaired yet: {engine_error(error)}")
    with suppress(EngineError, OSError):
        announce(host)
    return CheckReport(problems, done, repaired=True)


def _unused_files(host: Host) -> list[str]:
    """Return one line if HAWSE_ROOT has files of containers that have no record, else []."""
    with suppress(FileNotFoundError), host.store.read() as reader:
        known = {container.id for container in reader.containers()}
        names = [n for n in os.listdir(host.containers_directory) if not n.startswith(".") and n not in known]
        if names:
            return [f"left {len(names)} directories in {host.containers_directory} that belong to no container"]
    return []


def _build(host: Host, salvaged: Salvaged, new: Path) -> list[str]:
    """Write a new store file with the salvaged records, and with new records for objects that had no record.

    ``salvaged`` has the records that could be read from the damaged store; the new records are added to it. ``new`` is
    the path of the new file. Returns one line for each new record and for each record that was dropped.
    """
    done = unrecorded.add(host, salvaged)
    marked = {link.network_id for link in marked_links.of_host()}
    begun = {intent.object_id for intent in salvaged.intents}
    with rescue.new_store(new, salvaged.sequences) as tx:
        for key, value in salvaged.meta.items():
            tx.set_meta(key, value)
        for network in salvaged.records["networks"].values():
            done += _put_network(tx, _settled(network, marked, begun))
        for container in salvaged.records["containers"].values():
            try:
                tx.put_container(container)
            except Taken as error:
                done.append(f"dropped the container {short_id(container.id)}: {error}")
        for image in salvaged.records["images"].values():
            tx.put_image(image)
        for endpoint in salvaged.records["endpoints"].values():
            done += _put_endpoint(tx, endpoint)
        for intent in salvaged.intents:
            tx.put_intent(intent)
    return done


def _settled(network: NetworkRecord, marked: set[str], begun: set[str]) -> NetworkRecord:
    """Return the network's record, with the phase "planned" if the network is not complete in the kernel.

    hawse creates a planned network in the kernel at its next use. A config-only network is returned unchanged. A
    network with an intent is also unchanged, because the next command finishes the work.

    - ``marked``: the ids of the networks with links in the kernel
    - ``begun``: the ids of the objects with an intent
    """
    if network.id in begun or network.config_only:
        return network
    missing = network.driver == "bridge" and network.id not in marked
    return replace(network, phase="planned") if network.phase not in PRESENT or missing else network


def _put_network(tx: Transaction, network: NetworkRecord) -> list[str]:
    try:
        tx.put_network(network)
    except Taken as error:
        return [f"dropped the network {short_id(network.id)}: {error}"]
    for pool in () if network.config_only else network.pools:
        fixed = {f"aux:{network.id}:{name}": address for name, address in pool.aux_addresses.items()}
        for holder, address in {f"gateway:{network.id}": pool.gateway, **fixed}.items():
            if address and not pool.unused:
                with suppress(Taken):
                    tx.reserve_address(pool_key(network, pool), int(ip_address(address)), holder)
    return []


def _put_endpoint(tx: Transaction, endpoint: EndpointRecord) -> list[str]:
    """Record an endpoint with its addresses and ports; return [], or one line if not everything could be recorded.

    If a port is taken, the endpoint is recorded without ports. If an address is taken, or the network or the container
    has no record, the endpoint is dropped.
    """
    network, container = tx.network(endpoint.network_id), tx.container(endpoint.container_id)
    what = f"the endpoint {short_id(endpoint.id)}"
    if network is None or (container is None and endpoint.container_id != INGRESS_SANDBOX):
        return [f"dropped {what}: its {'network' if network is None else 'container'} has no record"]
    try:
        for text in filter(None, (endpoint.ipv4, endpoint.ipv6)):
            for pool in network.pools:
                if not pool.unused and ip_interface(text).ip in ip_network(pool.subnet):
                    tx.reserve_address(pool_key(network, pool), int(ip_interface(text).ip), endpoint.id)
    except Taken as error:
        tx.release_addresses(endpoint.id)  # the endpoint's other address may already be reserved
        return [f"dropped {what} of {container.name if container else endpoint.container_id}: {error}"]
    try:
        tx.put_endpoint(endpoint)
    except Taken as error:
        tx.put_endpoint(replace(endpoint, ports=()))
        return [f"dropped the published ports of {what}: {error}"]
    return []
