"""Find bridges and running containers of hawse that have no record, and make records for them.

The values come from the kernel and from the runtime's files. A new record lacks all other values, such as the name and
the labels of a network.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from drivers.errors import DriverError
from drivers.linux import marked_links, process
from drivers.linux.marked_links import FoundLink
from drivers.linux.names import bridge_name
from engine import names
from engine.containers import sandbox_links
from engine.golang import timestamps
from engine.host import Host
from engine.images.hostfs import HOSTFS
from engine.model import (
    ContainerConfig,
    ContainerRecord,
    EndpointRecord,
    EndpointSettings,
    HostConfig,
    NetworkAttachment,
    NetworkRecord,
    PoolRecord,
)
from engine.networks.predefined import BRIDGE_OPTION, DEFAULT_BRIDGES
from engine.runtime.directory import CONTAINERS, ContainerDirectory
from engine.store.salvage import Salvaged

Records = Mapping[str, Mapping[str, Any]]
EMPTY: Records = Salvaged().records
"""The records of a store that does not exist."""


def objects(host: Host, records: Records) -> Iterator[str]:
    """Yield one line for each bridge and each running container of hawse that ``records`` does not have.

    ``records`` maps each table of the store ("networks", "containers") to its records by id.
    """
    for bridge in _bridges(records):
        yield f"the bridge {bridge.name} of network {names.short_id(bridge.network_id)} has no record"
    for container_id, _, _ in _running(host, records):
        yield f"the running container {names.short_id(container_id)} has no record"


def add(host: Host, salvaged: Salvaged) -> list[str]:
    """Add a record to ``salvaged`` for each unrecorded bridge and running container; return one line for each.

    ``salvaged`` has the records that could be read from the damaged store. If the backup has a record of the object,
    that record is used.
    """
    records, done = salvaged.records, []
    old = salvaged.backup.records if salvaged.backup else EMPTY
    for bridge in list(_bridges(records)):
        known = old["networks"].get(bridge.network_id)
        network = known or _network(bridge, {n.name for n in records["networks"].values()})
        records["networks"][network.id] = network
        source = "the backup's record" if known else "its addresses; its name and labels are lost"
        done.append(f"recorded the bridge {bridge.name} as network {network.name} from {source}")
    links = {link.number: link for link in marked_links.of_host()}
    for container_id, running, spec in list(_running(host, records)):
        bare, known = _container(host, container_id, running, spec), old["containers"].get(container_id)
        endpoints = [e for e in _endpoints(bare, links) if e.network_id in records["networks"]]
        endpoints = [old["endpoints"].get(e.id, e) for e in endpoints]
        container = _attached(bare, [records["networks"][e.network_id] for e in endpoints])
        source = "its process; its name, options and published ports are lost"
        if known is not None:
            container, source = _as_running(known, bare), "the backup's record"
        records["containers"][container_id] = container
        records["endpoints"].update({e.id: e for e in endpoints})
        done.append(f"recorded the running container {names.short_id(container_id)} as {container.name} from {source}")
    return done


def _as_running(known: ContainerRecord, bare: ContainerRecord) -> ContainerRecord:
    """Return a copy of the record ``known`` with the status "running" and the sandbox and process of ``bare``.

    ``known`` is the backup's record of a container. ``bare`` is a record that was made from the container's process.
    """
    return replace(
        known,
        status="running",
        sandbox_id=bare.sandbox_id,
        sandbox_path=bare.sandbox_path,
        sandbox_inode=bare.sandbox_inode,
        pid=bare.pid,
        pid_start=bare.pid_start,
    )


def _attached(container: ContainerRecord, networks: Sequence[NetworkRecord]) -> ContainerRecord:
    if not networks:
        return container
    return replace(
        container,
        attachments=tuple(NetworkAttachment(n.name, EndpointSettings(), n.id, named=True) for n in networks),
        host=replace(container.host, network_mode=networks[0].name),
        next_interfaces=names.count_interfaces({}, *networks),
    )


def _bridges(records: Records) -> Iterator[FoundLink]:
    for link in marked_links.of_host():
        if link.kind == "bridge" and link.network_id and link.network_id not in records["networks"]:
            yield link


def _network(bridge: FoundLink, taken: set[str]) -> NetworkRecord:
    predefined = bridge.name in DEFAULT_BRIDGES and "bridge" not in taken
    options = {} if bridge.name == bridge_name(bridge.network_id) else {f"{BRIDGE_OPTION}name": bridge.name}
    if predefined:
        options[f"{BRIDGE_OPTION}default_bridge"] = "true"
    return NetworkRecord(
        id=bridge.network_id,
        name="bridge" if predefined else f"recovered-{names.short_id(bridge.network_id)}",
        created=timestamps.now(),
        driver="bridge",
        enable_ipv6=any(a.version == 6 for a in bridge.addresses),
        pools=tuple(PoolRecord(str(a.network), gateway=str(a.ip)) for a in bridge.addresses),
        options=options,
        labels={},
        predefined=predefined,
    )


def _running(host: Host, records: Records) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Yield a tuple for each running container without a record: its id, and the contents of two runtime files.

    The file ``process`` has the pid and the start time. The file ``spec`` has the specification of the container.
    """
    try:
        container_ids = sorted(os.listdir(host.run / CONTAINERS))
    except FileNotFoundError:
        return
    for container_id in container_ids:
        if container_id in records["containers"]:
            continue
        with suppress(ValueError, OSError):
            directory = ContainerDirectory(os.fspath(host.run), container_id)
            known, spec = directory.read("process"), directory.read("spec")
            if known and spec and process.is_running(known["pid"], known["start"]):
                yield container_id, known, spec


def _container(host: Host, container_id: str, known: Mapping[str, Any], spec: Mapping[str, Any]) -> ContainerRecord:
    sandbox_id, namespace = names.generate_id(), f"/proc/{known['pid']}/ns/net"
    argv = tuple(spec["argv"]) or ("",)
    image = HOSTFS if spec["rootfs"] == "/" else str(spec["rootfs"])
    shared = spec["netns"] == "host"
    return ContainerRecord(
        id=container_id,
        name=f"recovered-{names.short_id(container_id)}",
        created=timestamps.now(),
        config=ContainerConfig(
            image=image, cmd=argv, hostname=spec["hostname"], domainname=spec["domainname"], user=spec["user"],
            tty=spec["tty"], open_stdin=spec["open_stdin"], env=tuple(spec["env"]), working_dir=spec["cwd"],
        ),
        host=HostConfig(network_mode="host" if shared else "none", privileged=spec["privileged"]),
        path=argv[0],
        args=argv[1:],
        status="running",
        sandbox_id=sandbox_id,
        sandbox_path=sandbox_links.open_path(host.run, sandbox_id, namespace),
        sandbox_inode=0 if shared else sandbox_links.inode_of(namespace),
        pid=known["pid"],
        pid_start=known["start"],
        started_at=timestamps.now(),
    )  # fmt: skip


def _endpoints(container: ContainerRecord, links: Mapping[int, FoundLink]) -> Iterator[EndpointRecord]:
    """Yield the endpoints of a container: the interfaces that a veth pair connects to a bridge of hawse.

    ``links`` maps interface indexes of the host to the links that hawse made.
    """
    if container.host.network_mode == "host":
        return
    try:
        interfaces = marked_links.of_sandbox(container.sandbox_path, container.sandbox_inode)
    except DriverError:
        return
    for interface in interfaces:
        port = links.get(interface.peer)
        bridge = links.get(port.master) if port else None
        if interface.kind == "veth" and port and port.endpoint_id and bridge and bridge.network_id:
            addresses = {a.version: str(a) for a in interface.addresses}
            gateways = {a.version: str(a.ip) for a in bridge.addresses}
            yield EndpointRecord(
                id=port.endpoint_id,
                network_id=bridge.network_id,
                container_id=container.id,
                mac=interface.mac,
                ipv4=addresses.get(4, ""),
                ipv6=addresses.get(6, ""),
                interface=interface.name,
                gateway4=gateways.get(4, ""),
                gateway6=gateways.get(6, ""),
                names=(container.name, names.short_id(container.id)),
                phase="live",
            )
