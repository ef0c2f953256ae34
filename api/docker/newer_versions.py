"""The fields that Docker's documents have gained or lost in the API versions 1.46 to 1.51.

hawse announces version 1.45, but a client may ask for a later one. Docker's history of the API lists the fields
(moby/moby, api/docs/CHANGELOG.md). Other changes concern only functions that hawse lacks, such as images for several
platforms.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network

from api.docker.messages import Json
from api.docker.versions import Version

NETWORK_FIELDS, FIREWALL, NO_RUNTIME_CONFIG, IMAGE_USERS = (1, 48), (1, 49), (1, 50), (1, 51)
"""API versions. From the first, EnableIPv4 and GwPriority exist, and /info reports no bridge-nf-call-iptables.

From the second, /info has FirewallBackend. From the third, an image's Config lacks the fields of a container. From the
fourth, the list of images counts the containers of each image.
"""
NOT_OF_AN_IMAGE = (
    "Hostname", "Domainname", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce", "Image",
    "NetworkDisabled", "MacAddress", "StopTimeout",
)  # fmt: skip
NETFILTER_FIELDS = ("BridgeNfIptables", "BridgeNfIp6tables")
COMMITS = ("ContainerdCommit", "RuncCommit", "InitCommit")


def network_of(document: Json, version: Version) -> Json:
    """Return a network's document for an API version; from 1.48, it has the field EnableIPv4.

    EnableIPv4 is False if the network has subnets, and all are IPv6.
    """
    if version < NETWORK_FIELDS:
        return document
    families = [ip_network(pool["Subnet"], strict=False).version for pool in document["IPAM"]["Config"] or ()]
    return {**document, "EnableIPv4": not families or 4 in families}


def add_priorities(document: Json, priorities: Mapping[str, int]) -> None:
    """Add GwPriority to each network of a container's document.

    ``priorities`` maps a network's name to the gateway priority. The default priority is 0.
    """
    for name, settings in document["NetworkSettings"]["Networks"].items():
        settings["GwPriority"] = priorities.get(name, 0)


def image_of(document: Json, version: Version) -> Json:
    """Return an image's document for an API version; from 1.50, its Config lacks the fields of a container."""
    if version < NO_RUNTIME_CONFIG:
        return document
    config = {name: value for name, value in document["Config"].items() if name not in NOT_OF_AN_IMAGE}
    return {**document, "Config": config}


def info_of(document: Json, version: Version) -> Json:
    """Return the document of /info for an API version.

    - From 1.48, BridgeNfIptables and BridgeNfIp6tables are False.
    - From 1.49, FirewallBackend is added. The fields AllowNondistributable… of RegistryConfig are missing. The field
      Expected is missing in each of `COMMITS`.
    - From 1.50, BridgeNfIptables and BridgeNfIp6tables are missing.
    """
    if version >= NETWORK_FIELDS:
        document = {**document, **dict.fromkeys(NETFILTER_FIELDS, False)}
    if version >= FIREWALL:
        registry = {k: v for k, v in document["RegistryConfig"].items() if not k.startswith("AllowNondistributable")}
        commits = {name: {"ID": document[name]["ID"]} for name in COMMITS}
        document = {**document, "RegistryConfig": registry, **commits, "FirewallBackend": {"Driver": "nftables"}}
    if version >= NO_RUNTIME_CONFIG:
        document = {name: value for name, value in document.items() if name not in NETFILTER_FIELDS}
    return document
