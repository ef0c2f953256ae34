"""Functions that decide which published ports the agent must proxy, because DNAT cannot serve these ports.

Linux never routes ::1 off the loopback interface, and never routes link-local packets to another link. DNAT cannot
rewrite packets from one address family to the other. No function has side effects.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address, IPv6Network

from drivers.model import IPAddress

PROTOCOLS = ("tcp", "udp")
ANY = IPv6Network("::/0")
LOOPBACK, LINK_LOCAL = IPv6Network("::1/128"), IPv6Network("fe80::/10")


def proxied_prefixes(protocol: str, host_ip: IPAddress, *, has_ipv6: bool) -> Sequence[IPv6Network]:
    """Return the destination prefixes at which the agent proxies a port that is published on ``host_ip``.

    ``protocol`` is tcp, udp or sctp. ``has_ipv6`` is True if the endpoint has an IPv6 address. The result is empty if
    the agent does not proxy the port, as for every SCTP port.
    """
    if not isinstance(host_ip, IPv6Address) or protocol not in PROTOCOLS:
        return ()
    if host_ip.is_unspecified:
        return (LOOPBACK, LINK_LOCAL) if has_ipv6 else (ANY,)
    return () if has_ipv6 and not host_ip.is_loopback else (IPv6Network(host_ip),)


def prefixes_of(address: IPv6Address) -> Sequence[IPv6Network]:
    """Return the prefixes that contain ``address`` and at which the agent may proxy ports, the narrowest first.

    These are the prefixes that `proxied_prefixes` can return: the single address, the link-local prefix, and ``::/0``.
    """
    exact = IPv6Network(address)
    return (exact, LINK_LOCAL, ANY) if address in LINK_LOCAL else (exact, ANY)
