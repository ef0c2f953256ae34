"""The record of a network of the cluster, as far as the user's request says; the ledger fills in the rest."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from engine.cluster.model import new_id
from engine.errors import InvalidArgument
from engine.golang import timestamps
from engine.model import IPAMConfig, NetworkCreate, NetworkRecord, PoolRecord

NAME, LONGEST_NAME = re.compile("[a-zA-Z0-9]+(?:[-_]+[A-Za-z0-9]+)*"), 63
IN_TURN = {"com.docker.network.ipam.serial": "true"}
"""How addresses are handed out, which Docker says only beside options of the user's."""


def check_name(name: str) -> None:
    """Refuse a name that could be no part of a DNS name, as Docker does for networks of a cluster."""
    problem = ""
    if not NAME.fullmatch(name):
        problem = "valid as a DNS name component"
    elif len(name) > LONGEST_NAME:
        problem = f"{LONGEST_NAME} characters or fewer"
    if problem:
        raise InvalidArgument(f"rpc error: code = InvalidArgument desc = name must be {problem}")


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
        ipam_options={**request.ipam_options, **IN_TURN} if request.ipam_options else None,
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
