"""The veth pair of an endpoint: the host end is a port of a bridge, and the other end is the sandbox's interface."""

from __future__ import annotations

import errno

from drivers.errors import Busy, Exists, KernelError
from drivers.linux import link, names, sysctl
from drivers.linux.netlink import Session
from drivers.model import EndpointSpec


def create(
    opened: Session, endpoint: EndpointSpec, bridge: int, namespace: int, interface: str, *, mtu: int, full: str
) -> str:
    """Create the veth pair between a bridge and the sandbox, and return the name of the host end; both ends stay down.

    The calling thread is in the session's namespace. ``bridge`` is the bridge's index, and ``namespace`` a file
    descriptor of the sandbox. An ``mtu`` of 0 keeps the kernel's default. Raises `Busy` if the bridge has no free port.
    ``full`` is the part of this error's text that tells how many ports the bridge has. Raises `Exists` if the sandbox
    has an interface of that name.
    """
    name = next(n for n in names.host_end_names(endpoint.id) if not link.index(n))
    sizes = {"mtu": mtu} if mtu else {}
    peer = {"ifname": interface, "net_ns_fd": namespace, "address": endpoint.mac, **sizes}
    try:
        link.add_veth(opened, name, peer, master=bridge, **sizes)
    except KernelError as error:
        if error.errno in link.BRIDGE_FULL:
            raise Busy(f"bridge full: {full}, the most a Linux bridge takes") from error
        if error.errno == errno.EEXIST:
            raise Exists(f"the sandbox has an interface {interface} already") from error
        raise
    # Disable IPv6 on the host end. With IPv6, the host end would send DAD and MLD packets, and the bridge would flood
    # these packets to all other ports. The host end itself never needs to send packets.
    sysctl.write_if_present(sysctl.conf("ipv6", name, "disable_ipv6"), "1")
    return name
