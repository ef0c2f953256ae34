"""The record of a network of the cluster, as far as the user's request says; the ledger fills in the rest."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from engine import timestamps
from engine.cluster.token import new_id
from engine.model import IPAMConfig, NetworkCreate, NetworkRecord, PoolRecord


def new_record(request: NetworkCreate) -> NetworkRecord:
    """Make the record; Docker shows no empty maps in it."""
    return NetworkRecord(
        id=new_id(),
        name=request.name,
        created=timestamps.now(),
        driver=request.driver,
        scope="swarm",
        enable_ipv4=request.enable_ipv4 is not False,
        enable_ipv6=request.enable_ipv6,
        ipam_driver=request.ipam_driver or "default",
        ipam_options=dict(request.ipam_options) or None,
        pools=[_pool(c, ipv6=request.enable_ipv6) for c in request.ipam_config if c.subnet],
        internal=request.internal,
        attachable=request.attachable,
        ingress=request.ingress,
        options=dict(request.options) or None,
        labels=dict(request.labels) or None,
    )


def _pool(config: IPAMConfig, *, ipv6: bool) -> PoolRecord:
    subnet = ip_network(config.subnet, strict=False)
    return PoolRecord(
        subnet=str(subnet),
        ip_range=config.ip_range,
        gateway=str(ip_address(config.gateway)) if config.gateway else "",
        aux_addresses=dict(config.aux_addresses),
        unused=subnet.version == 6 and not ipv6,
    )
