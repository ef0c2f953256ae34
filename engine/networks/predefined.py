"""The three predefined networks of every host: bridge, host and none.

The three networks are recorded when a command uses the store for the first time. The kernel objects of the default
bridge are created when a container first uses the bridge. The user may change the configuration file's keys for the
default bridge. Then the next command that makes changes records the bridge again with the new settings. If the bridge
is in use at that time, a later command does so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from ipaddress import ip_interface, ip_network

from msgspec.structs import replace

from drivers.linux import marked_links
from drivers.linux.host import foreign_addresses, interface_exists
from engine import names
from engine.agent.client import LOCK
from engine.config import Config
from engine.errors import Damaged, EngineError
from engine.golang import timestamps
from engine.host import Host, begin_intent, end_intent, network_spec, translate_driver_errors
from engine.ipam import Range
from engine.model import DEFAULT_GATEWAYS, IPAMConfig, NetworkCreate, NetworkRecord, PoolRecord
from engine.networks import create
from engine.networks.create import used_ranges
from engine.store.api import IntentKind, Transaction
from engine.store.locks import locked

MARK = "predefined"  # the store's key for the settings with which the default bridge was recorded
DEFAULT_BRIDGES = ("docker0", "hawse0")
"""The possible names of the default bridge. The second name is used on a host with Docker."""
LAST_ID = "default-bridge-id"  # the store's key for the network id of the default bridge
NO_BRIDGE = "none"
BRIDGE_OPTION = "com.docker.network.bridge."


def ensure(host: Host) -> str:
    """Record the predefined networks if they have no records yet.

    Return the recorded settings of the default bridge, which `follow_settings` compares with the configuration file.
    Raises `engine.errors.Damaged` if the store is new, but hawse's containers or bridges exist on this host.
    """
    with host.store.read() as reader:
        if recorded := reader.meta(MARK):
            return recorded
        is_empty = not reader.has_containers()
    signs = signs_of_loss(host) if is_empty else []
    if signs:
        # Read the store again, because the signs may belong to a command that has used the new store meanwhile.
        with host.store.read() as reader:
            if recorded := reader.meta(MARK):
                return recorded
        raise Damaged(f"the store in {host.root} is new, but this host has {' and '.join(signs)}")
    return record(host)


def record(host: Host) -> str:
    """Record the predefined networks; idempotent. A predefined network that is recorded already is kept.

    Return the stored text of the settings with which the default bridge was recorded.
    """
    request, settings, on_host = _bridge_request(host), _settings(host), used_ranges()
    with host.store.write() as tx:
        if recorded := tx.meta(MARK):
            return recorded
        known = {network.driver for network in tx.networks() if network.predefined}
        if "bridge" not in known:
            _record_bridge(tx, host, request, None, on_host)
        for name, driver in (("host", "host"), ("none", "null")):
            if driver not in known:
                tx.put_network(_plain(name, driver))
        tx.set_meta(MARK, settings)
    return settings


def follow_settings(host: Host, recorded: str) -> None:
    """Record the default bridge again if its settings in the configuration file differ from ``recorded``.

    ``recorded`` is the result of `ensure`: the settings with which the default bridge was recorded. Removes the kernel
    objects with the old settings; the next container that uses the network creates the new ones. A default bridge that
    is in use stays unchanged until a later command finds it unused.
    """
    settings = _settings(host)
    if recorded == settings:
        return
    with host.store.read() as reader:
        record = next((n for n in reader.find_networks("bridge") if n.predefined), None)
    with locked(host.run, "network", record.id) if record else nullcontext():
        if record is not None and not _retire(host, record):
            return
        request, on_host = _bridge_request(host), used_ranges()
        with host.store.write() as tx:
            if record is not None:
                tx.delete_network(record.id)
                end_intent(tx, IntentKind.NETWORK_ACTIVATE, record.id)
            _record_bridge(tx, host, request, record, on_host)
            tx.set_meta(MARK, settings)


def _retire(host: Host, record: NetworkRecord) -> bool:
    """Remove the default bridge's kernel objects; return False and change nothing if an endpoint uses the bridge.

    The phase of the bridge's record becomes "planned": recorded, but not in the kernel. The caller holds the network
    lock.
    """
    with host.store.write() as tx:
        if tx.endpoints(network_id=record.id):
            return False
        tx.put_network(replace(record, phase="planned"))
        begin_intent(tx, IntentKind.NETWORK_ACTIVATE, record.id)
    with translate_driver_errors():
        host.driver(record.driver).delete_network(network_spec(record))
    return True


def _settings(host: Host) -> str:
    """Return one text that contains the default bridge's settings, to detect changes.

    The settings are those in the configuration file, and the addresses of the user's bridge (`_own_addresses`).
    """
    config = host.config
    keys = (config.bridge, config.bip, config.bip6, config.fixed_cidr, config.fixed_cidr_v6, config.default_gateway)
    more = (config.default_gateway_v6, config.mtu, config.icc, config.ip, config.ip_masq, config.ipv6)
    return repr((*keys, *more, *_own_addresses(config)))


def _own_addresses(config: Config) -> tuple[str, str]:
    """Return the first IPv4 and the first IPv6 address, with prefix length, of the user's bridge.

    The user's bridge is the one that the key ``bridge`` of the configuration file names. Link-local IPv6 addresses do
    not count. A missing address is "".
    """
    addresses = foreign_addresses(config.bridge) if config.bridge not in ("", NO_BRIDGE) else []
    first4 = next((str(a) for a in addresses if a.version == 4), "")
    return first4, next((str(a) for a in addresses if a.version == 6 and not a.is_link_local), "")


def signs_of_loss(host: Host) -> list[str]:
    """Return descriptions of hawse's containers and bridges on this host, such as "the bridge br-3f2a".

    If the store is new, the descriptions show that an earlier store was deleted. At most one bridge is described. A
    command that creates a bridge also starts an agent for its HAWSE_RUN. If no agent has run for this HAWSE_RUN, the
    bridges belong to another HAWSE_ROOT, and no bridge is described.
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


def _bridge_request(host: Host) -> NetworkCreate:
    """Return the request that creates the default bridge as the configuration file describes it."""
    config = host.config
    options = _bridge_options(host, config.bridge or _bridge_name())
    return NetworkCreate("bridge", enable_ipv6=config.ipv6, ipam_config=_bridge_ipam(config), options=options)


def _record_bridge(
    tx: Transaction,
    host: Host,
    request: NetworkCreate,
    before: NetworkRecord | None,
    on_host: Mapping[int, Sequence[Range]],
) -> None:
    """Record the default bridge, unless the configuration file disables it (the key bridge is "none").

    ``before`` is the network's last record, or None. Its id is stored even if the bridge is disabled, and is used for
    every later record. The id must stay the same, because containers refer to the network by its id. ``on_host`` has
    the address ranges that new subnets must not overlap, by IP version.
    """
    config = host.config
    if before is not None:
        tx.set_meta(LAST_ID, before.id)
    if config.bridge == NO_BRIDGE:
        return
    record = NetworkRecord(
        id=tx.meta(LAST_ID) or names.generate_id(),
        name="bridge",
        created=timestamps.now(),
        driver="bridge",
        enable_ipv6=request.enable_ipv6,
        options=request.options,
        labels={},
        predefined=True,
        phase="planned",
    )
    try:
        pools = [_with_default_gateway(pool, config) for pool in _pools(tx, config, request, before, on_host)]
        tx.put_network(create.reserve_fixed(tx, replace(record, pools=tuple(pools))))
    except EngineError as error:
        # Change the text of the caught error, and raise it again. It may have the attribute ``hint``, which a new error
        # would lack.
        error.args = (f'error creating default "bridge" network: {error}',)
        raise


def _pools(
    tx: Transaction,
    config: Config,
    request: NetworkCreate,
    before: NetworkRecord | None,
    on_host: Mapping[int, Sequence[Range]],
) -> Sequence[PoolRecord]:
    """Return the default bridge's subnets: those of its record ``before`` if `_keeps_pools` allows it, else new ones.

    ``on_host`` has the address ranges of the host's interfaces by IP version; new subnets do not overlap them.
    """
    if before is not None and _keeps_pools(before, request):
        return before.pools
    for version in (4, 6):  # search all pools from the beginning, as dockerd does at its start
        tx.set_meta(create.CURSOR.format(version=version), "")
    return create.ordered(create.allocate_pools(tx, request, config, create.host_id(tx), on_host))


def _with_default_gateway(pool: PoolRecord, config: Config) -> PoolRecord:
    """Return the subnet ``pool`` with the configuration file's default gateway, if the file has one.

    Only an automatic subnet is changed. `_bridge_ipam` has already added the default gateway to any other subnet.
    """
    return replace(pool, aux_addresses=_aux(config, ip_network(pool.subnet).version)) if pool.automatic else pool


def _aux(config: Config, version: int) -> dict[str, str]:
    gateway = config.default_gateway if version == 4 else config.default_gateway_v6
    return {DEFAULT_GATEWAYS[version]: gateway} if gateway else {}


def _keeps_pools(before: NetworkRecord, request: NetworkCreate) -> bool:
    """Return whether the default bridge keeps the subnets of its record ``before``, although its settings have changed.

    It keeps them if all of these are true:

    - All its subnets are automatic.
    - Neither the configuration file nor the user's own bridge gives a subnet.
    - The setting that enables IPv6 has not changed.
    """
    automatic = all(pool.automatic for pool in before.pools)
    return automatic and not request.ipam_config and before.enable_ipv6 == request.enable_ipv6


def _bridge_name() -> str:
    return DEFAULT_BRIDGES[interface_exists(DEFAULT_BRIDGES[0])]


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


def _bridge_ipam(config: Config) -> list[IPAMConfig]:
    """Return the subnets that the configuration file gives the default bridge.

    The keys are bip and fixed-cidr for IPv4, and bip6 and fixed-cidr-v6 for IPv6. If bip or bip6 is missing, the first
    address of the user's bridge (the key bridge) replaces it. For bip6, this needs the key ipv6 too.
    """
    entries = []
    own4, own6 = _own_addresses(config)
    for version, bip, fixed in (
        (4, config.bip or own4, config.fixed_cidr),
        (6, config.bip6 or (own6 if config.ipv6 else ""), config.fixed_cidr_v6),
    ):
        if bip:
            subnet = ip_interface(bip)
            entries.append(IPAMConfig(str(subnet.network), fixed, str(subnet.ip), _aux(config, version)))
        elif fixed:
            whole = str(ip_network(fixed))
            ip_range = whole if version == 4 else ""  # as in Docker, fixed-cidr-v6 without bip6 sets no ip range
            entries.append(IPAMConfig(whole, ip_range, aux_addresses=_aux(config, version)))
    return entries
