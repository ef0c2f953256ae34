"""Compares one network's kernel objects with the records, for ``hawse network verify``.

``hawse doctor`` makes the same comparison for all networks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from drivers.api import Repairer
from drivers.model import Difference
from engine.api import Strings
from engine.diagnosis.doctor import links
from engine.endpoints import shared_state
from engine.endpoints.boots import read_records
from engine.host import Host, translate_driver_errors
from engine.model import NetworkRecord
from engine.names import pick_network
from engine.networks import predefined
from engine.recovery import recover
from engine.recovery.link_repair import CONTAINER, NETWORK, Subject
from engine.store.api import Reader
from engine.swarm import verify as swarm_verify


def verify(host: Host, prepare: Callable[[], object], reference: str, *, fix: bool) -> Strings:
    """Return one line for each difference of a network, or of its containers, from the records.

    ``reference`` is the network's name or id. With ``fix``, the differences are repaired. ``prepare`` makes the host
    ready for changes, as every changing command does. Without ``fix``, nothing is changed, and `prepare` is not called.

    A cluster network is also compared with the cluster's store. If no container of this host uses the cluster network,
    this host may have no record of it. Only the cluster's store is then compared.
    """
    predefined.ensure(host)
    with host.store.read() as reader:
        matches = reader.find_networks(reference)
    is_recorded = bool(matches)
    record = pick_network(matches or swarm_verify.find(host, reference), reference)
    if swarm_verify.spans_hosts(host, record):
        if fix:
            prepare()
        local = _local(host, record, fix=fix) if is_recorded else []
        return [*swarm_verify.verify(host, record, fix=fix), *local]
    differences = _local(host, record, fix=False)
    if differences and fix:
        prepare()
        recover.repair(host, {record.driver}, whole=False)
        _local(host, record, fix=True)
    return differences


def _local(host: Host, record: NetworkRecord, *, fix: bool) -> Strings:
    """Return one line for each difference of the network or its containers; with ``fix``, also repair them."""
    with host.store.read() as reader, translate_driver_errors():
        records = read_records(reader)
        shared = _shared(host, reader, record) if records.of_this_boot and record.phase == "live" else ()
    members = {e.container_id for e in records.endpoints if e.network_id == record.id}
    containers = [c for c in records.containers if c.id in members]
    compare = links.comparison(host, containers)
    subjects = [Subject(NETWORK, record.id), *(Subject(CONTAINER, container.id) for container in containers)]
    differences = list(shared)
    for subject in subjects:
        with translate_driver_errors():
            if fix:
                differences += compare.put_right(subject).differences
                continue
            with host.store.read() as reader:
                differences += compare.compare(reader, subject).differences
    return [f"{d.kind}: {d.place} {d.what}" for d in differences if d.is_damage]


def _shared(host: Host, reader: Reader, record: NetworkRecord) -> Sequence[Difference]:
    driver = host.driver(record.driver)
    return driver.compare(shared_state.of(reader, record.driver)) if isinstance(driver, Repairer) else ()
