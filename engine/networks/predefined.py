"""The three predefined networks of every host: bridge, host and none.

The three networks are recorded when a command uses the store for the first time. The kernel objects of the default
bridge are created only when a container first uses the default bridge.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_interface, ip_network

from drivers.linux import marked_links
from drivers.linux.host import interface_exists
from engine import names
from engine.agent.client import LOCK
from engine.errors import Damaged
from engine.golang import timestamps
from engine.host import Host
from engine.ipam import Range
from engine.model import IPAMConfig, NetworkCreate, NetworkRecord
from engine.networks import create
from engine.networks.create import used_ranges
from engine.store.api import Transaction

MARK = "predefined"
DEFAULT_BRIDGES = ("docker0", "hawse0")
"""The possible names of the default bridge. The second name is used on a host with Docker."""
BRIDGE_OPTION = "com.docker.network.bridge."


def ensure(host: Host) -> None:
    """Record the predefined networks, if the store does not have the predefined networks yet.

    Raises `engine.errors.Damaged` if the store is new, but hawse's containers or bridges exist on this host.
    """
    with host.store.read() as reader:
        if reader.meta(MARK):
            return
        is_empty = not reader.has_containers()
    signs = signs_of_loss(host) if is_empty else []
    if signs:
        raise Damaged(f"the store in {host.root} is new, but this host has {' and '.join(signs)}")
    record(host)


def record(host: Host) -> None:
    """Record the predefined networks; idempotent. A predefined network that is recorded already is kept."""
    bridge_name = DEFAULT_BRIDGES[interface_exists(DEFAULT_BRIDGES[0])]
    on_host = used_ranges()
    with host.store.write() as tx:
        if tx.meta(MARK):
            return
        known = {network.driver for network in tx.networks() if network.predefined}
        if "bridge" not in known:
            tx.put_network(_bridge(tx, host, bridge_name, on_host))
        for name, driver in (("host", "host"), ("none", "null")):
            if driver not in known:
                tx.put_network(_plain(name, driver))
        tx.set_meta(MARK, "1")


def signs_of_loss(host: Host) -> list[str]:
    """Return what of hawse exists on this host beside a new store; the list is empty if the store was not deleted.

    A bridge counts only if an agent has run for this HAWSE_RUN. If not, the bridge belongs to another HAWSE_ROOT.
    """
    signs = []
    for directory, what in ((host.run, "running containers"), (host.root, "files of containers")):
        with suppress(OSError):
            if any(not name.startswith(".") for name in os.listdir(directory / "containers")):
                signs.append(f"{what} in {directory / 'containers'}")
    if os.path.lexists(host.run / LOCK):
        signs += [f"the bridge {link.name}" for link in marked_links.of_host() if link.kind == "bridge"][:1]
    return signs


def _plain(name: str, driver: str) -> NetworkRecord:
    return NetworkRecord(
        id=names.generate_id(),
        name=name,
        created=timestamps.now(),
        driver=driver,
        options={},
        labels={},
        predefined=True,
    )


def _bridge(tx: Transaction, host: Host, bridge_name: str, on_host: Mapping[int, Sequence[Range]]) -> NetworkRecord:
    config = host.config
    record = NetworkRecord(
        id=names.generate_id(),
        name="bridge",
        created=timestamps.now(),
        driver="bridge",
        enable_ipv6=config.ipv6,
        options=_bridge_options(host, bridge_name),
        labels={},
        predefined=True,
        phase="planned",
    )
    request = NetworkCreate("bridge", enable_ipv6=config.ipv6, ipam_config=_bridge_ipam(host))
    pools = create.allocate_pools(tx, request, config, create.host_id(tx), on_host)
    return create.reserve_fixed(tx, replace(record, pools=pools))


def _bridge_options(host: Host, bridge_name: str) -> dict[str, str]:
    config = host.config
    return {
        BRIDGE_OPTION + "default_bridge": "true",
        BRIDGE_OPTION + "enable_icc": str(config.icc).lower(),
        BRIDGE_OPTION + "enable_ip_masquerade": str(config.ip_masq).lower(),
        BRIDGE_OPTION + "host_binding_ipv4": config.ip or "0.0.0.0",
        BRIDGE_OPTION + "name": bridge_name,
        "com.docker.network.driver.mtu": str(config.mtu or 1500),
    }


def _bridge_ipam(host: Host) -> list[IPAMConfig]:
    """Return the default bridge's subnets from the keys bip and fixed-cidr of the configuration file."""
    config = host.config
    entries = []
    for bip, fixed, gateway in (
        (config.bip, config.fixed_cidr, config.default_gateway),
        (config.bip6, config.fixed_cidr_v6, config.default_gateway_v6),
    ):
        if bip:
            subnet = ip_interface(bip)
            entries.append(IPAMConfig(str(subnet.network), fixed, gateway or str(subnet.ip)))
        elif fixed:
            entries.append(IPAMConfig(str(ip_network(fixed)), "", gateway))
    return entries
