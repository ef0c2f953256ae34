"""An endpoint's port of a bridge: the host end of its veth pair, and what the container may not send by it."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence

from drivers import bridge_options
from drivers.api import Busy, EndpointSpec, Exists, KernelError, Members
from drivers.bridge_options import BridgeOptions
from drivers.firewall import spoof_guard
from drivers.linux import link, names, router_advertisements, sysctl
from drivers.linux.netlink import Session, session

MAX_PORTS = 1023
FULL = (errno.EXFULL, errno.ENOSPC)


class Port:
    """One endpoint's port of the bridge: the host end of its veth pair, recognised by its alias."""

    def __init__(self, opened: Session, endpoint: EndpointSpec, options: BridgeOptions) -> None:
        self.session, self.endpoint, self.options = opened, endpoint, options
        self.mark = names.endpoint_mark(endpoint.id)
        self.name = names.host_end_names(endpoint.id)[0]

    def create(self, namespace: int, interface: str) -> None:
        """Make the pair, its far end straight in the sandbox; one left by an earlier join is replaced."""
        self.delete()
        bridge = link.index(self.options.bridge)
        mtu = {"mtu": self.options.mtu} if self.options.mtu else {}
        peer = {"ifname": interface, "net_ns_fd": namespace, "address": self.endpoint.mac, "txqlen": 0, **mtu}
        self.name = next(n for n in names.host_end_names(self.endpoint.id) if not link.index(n))
        try:
            link.add_veth(self.session, self.name, peer, master=bridge, txqlen=0, **mtu)
        except KernelError as error:
            raise self._explained(error, interface) from error
        # Neither end speaks for itself: with IPv6 on, every port would flood DAD and MLD to all others.
        sysctl.write_if_present(sysctl.conf("ipv6", self.name, "disable_ipv6"), "1")

    def set_up(self) -> None:
        """Set its flags, mark it, and bring it up."""
        found = link.index(self.name)
        link.set_bridge_port(self.session, found, hairpin=True, isolated=not self.options.icc)
        link.change(self.session, found, state="up", ifalias=self.mark)

    def present(self) -> str:
        """The name the port has, "" where there is none."""
        candidates = (c for c in names.host_end_names(self.endpoint.id) if link.index(c))
        found = ((c, link.find(self.session, c)) for c in candidates)
        return next((name for name, one in found if one is not None and one.alias == self.mark), "")

    def delete(self) -> None:
        """Delete it, and with it the far end; idempotent."""
        for candidate in names.host_end_names(self.endpoint.id):
            if link.index(candidate):
                found = link.find(self.session, candidate)
                if found is not None and self._is_ours(found):
                    link.delete(self.session, candidate)

    def _is_ours(self, found: link.Link) -> bool:
        # A creation cut short may have left a port without a mark, but on the bridge from its beginning.
        unmarked = found.alias == "" and found.master == link.index(self.options.bridge) > 0
        return found.alias == self.mark or unmarked

    def guard(self) -> None:
        """Drop what the container must not send by it; idempotent."""
        if self.options.spoof_guard:
            spoof_guard.guard(self.name, self.endpoint)
        elif router_advertisements.are_believed(self.options.bridge):
            spoof_guard.mute(self.name)

    def release(self) -> None:
        """Forget what `guard` noted of it; idempotent."""
        if self.options.spoof_guard:
            spoof_guard.release(self.name, self.endpoint)
        elif router_advertisements.are_believed(self.options.bridge):
            spoof_guard.unmute(self.name)

    def _explained(self, error: KernelError, interface: str) -> Exception:
        if error.errno in FULL:
            return Busy(f"bridge full: {self.options.bridge} has {MAX_PORTS} ports, the most a Linux bridge takes")
        if error.errno == errno.EEXIST:
            return Exists(f"the sandbox has an interface {interface} already")
        return error


def guarded(networks: Members) -> list[tuple[str, EndpointSpec]]:
    """The bridge ports under spoof guard, with their endpoints."""
    return _ports((o, e) for o, endpoints in _parsed(networks) if o.spoof_guard for e in endpoints)


def muted(networks: Members) -> list[str]:
    """The bridge ports without spoof guard where the host listens to routers."""
    mixed = [(o, endpoints) for o, endpoints in _parsed(networks) if endpoints and not o.spoof_guard]
    heard = [(o, endpoints) for o, endpoints in mixed if router_advertisements.are_believed(o.bridge)]
    return [name for name, _ in _ports((o, e) for o, endpoints in heard for e in endpoints)]


def _parsed(networks: Members) -> list[tuple[BridgeOptions, Sequence[EndpointSpec]]]:
    return [(bridge_options.parse(network), endpoints) for network, endpoints in networks]


def _ports(wanted: Iterable[tuple[BridgeOptions, EndpointSpec]]) -> list[tuple[str, EndpointSpec]]:
    """The names of the ports that these endpoints have."""
    pairs = list(wanted)
    if not pairs:
        return []
    with session() as opened:
        found = ((Port(opened, endpoint, options).present(), endpoint) for options, endpoint in pairs)
        return [(name, endpoint) for name, endpoint in found if name]
