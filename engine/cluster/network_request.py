"""Makes the record of a cluster network from the user's request. `shared_networks` later adds subnets and VXLAN ids."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from engine.cluster.model import new_id
from engine.errors import InvalidArgument
from engine.golang import timestamps
from engine.model import IPAMConfig, NetworkCreate, NetworkRecord, PoolRecord

NAME, LONGEST_NAME = re.compile("[a-zA-Z0-9]+(?:[-_]+[A-Za-z0-9]+)*"), 63
IN_TURN = {"com.docker.network.ipam.serial": "true"}
"""Option of a network: an endpoint gets the next address after the last allocated address, not the lowest free address.

Docker's inspect shows this option only if the user has set other IPAM options.
"""


def check_name(name: str) -> None:
    """Check that a network name can be part of a DNS name, as Docker requires for cluster networks.

    Raises InvalidArgument for an unsuitable name, or for a name that is too long.
    """
    problem = ""
    if not NAME.fullmatch(name):
        problem = "valid as a DNS name component"
    elif len(name) > LONGEST_NAME:
        problem = f"{LONGEST_NAME} characters or fewer"
    if problem:
        raise InvalidArgument(f"rpc error: code = InvalidArgument desc = name must be {problem}")


def new_record(request: NetworkCreate) -> NetworkRecord:
    """Return the network record for the user's request.

    Empty options and labels are recorded as None, because Docker's inspect shows no empty maps.
    """
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
        pools=tuple(_pool(c, ipv6=request.enable_ipv6) for c in request.ipam_config if c.subnet),
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
