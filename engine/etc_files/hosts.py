"""Render /etc/hosts of a container: localhost lines, --add-host entries, legacy links and the container's own
addresses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.model import ContainerConfig

LOCAL = (("127.0.0.1", "localhost"),)
LOCAL_IPV6 = (
    ("::1", "localhost ip6-localhost ip6-loopback"),
    ("fe00::0", "ip6-localnet"),
    ("ff00::0", "ip6-mcastprefix"),
    ("ff02::1", "ip6-allnodes"),
    ("ff02::2", "ip6-allrouters"),
)
HOST_GATEWAY = "host-gateway"


@dataclass(frozen=True, slots=True)
class LinkedHost:
    """A legacy link (``--link``) on the default bridge: the address and the names of the link's target container."""

    address: str
    alias: str
    hostname: str
    name: str


def hosts_file(
    config: ContainerConfig,
    addresses: Sequence[str],
    *,
    extra_hosts: Sequence[str] = (),
    links: Sequence[LinkedHost] = (),
    host_gateway: str = "",
    ipv6: bool = True,
) -> str:
    """Return the whole text of a container's /etc/hosts file.

    ``addresses`` are the container's own addresses without prefix length, in the order of its interfaces.
    ``host_gateway`` is the address that replaces the word ``host-gateway`` in an --add-host entry
    ``name:host-gateway``. ``ipv6`` is False if the sandbox has IPv6 disabled.
    """
    lines = [*LOCAL, *(LOCAL_IPV6 if ipv6 else ())]
    lines += [_extra(entry, host_gateway) for entry in extra_hosts]
    lines += [_link(link) for link in links]
    return _text(lines) + own_lines(config, addresses)


def own_lines(config: ContainerConfig, addresses: Sequence[str]) -> str:
    """Return the /etc/hosts lines for a container's own addresses. ``network connect`` appends such lines to
    the file.
    """
    names = own_names(config)
    return _text([(address, names) for address in addresses])


def without_own_lines(text: str, config: ContainerConfig) -> str:
    """Return the text of /etc/hosts without the lines for the container's own name.

    The lines for all networks of the container are removed, because ``network disconnect`` in Docker does the same.
    """
    names = own_names(config)
    return "".join(line for line in text.splitlines(keepends=True) if line.rstrip("\n").partition("\t")[2] != names)


def with_address(text: str, name: str, address: str) -> str:
    """Return the text of /etc/hosts, with ``address`` as the new address of each line whose first name is ``name``.

    Docker changes the file in this way when the target of a legacy link (``--link``) gets a new address.
    """
    return re.sub(rf"(?m)^\S*(?=\t{re.escape(name)}(?:\s|\.))", address, text)


def own_names(config: ContainerConfig) -> str:
    """Return the names in the /etc/hosts lines of the container's own addresses.

    The names are the full host name, and its first label if the label differs from the full name.
    """
    full = f"{config.hostname}.{config.domainname}" if config.domainname else config.hostname
    first, dot, _ = full.partition(".")
    return f"{full} {first}" if dot else full


def _extra(entry: str, host_gateway: str) -> tuple[str, str]:
    name, _, address = entry.partition(":")
    return (host_gateway if address == HOST_GATEWAY else address), name


def _link(link: LinkedHost) -> tuple[str, str]:
    names = [link.alias, link.hostname, *([link.name] if link.name != link.alias else ())]
    return link.address, " ".join(names)


def _text(lines: Sequence[tuple[str, str]]) -> str:
    return "".join(f"{address}\t{names}\n" for address, names in lines)
