"""The Linux bridge of one network of the ``bridge`` driver: its creation, settings, comparison and repair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec.structs import replace

from drivers import bridge_loopback, link_comparison
from drivers.bridge_options import BridgeOptions
from drivers.errors import KernelError, UnusableOption
from drivers.linux import address, link, names, neighbor, neighbor_announcement, route, router_advertisements, sysctl
from drivers.linux.netlink import Session
from drivers.model import Difference, IPInterface, NetworkSpec

USUAL_MTU = 1500


class Bridge:
    """The Linux bridge of one network, in the host's network namespace."""

    def __init__(self, opened: Session, network: NetworkSpec, options: BridgeOptions, run: Path) -> None:
        self.session, self.network, self.options, self.run = opened, network, options, run
        self.name = options.bridge
        self.mark = names.network_mark(network.id)

    def create(self) -> None:
        """Create the bridge, or use an existing one; raises `UnusableOption` if another kind of link has the name."""
        bridge = link.find(self.session, self.name)
        if bridge is None:
            mtu = {"mtu": self.options.mtu} if self.options.mtu else {}
            link.add_bridge(self.session, self.name, address=_mac(self.network.id), **mtu)
        elif bridge.kind != "bridge":
            raise UnusableOption(f"existing interface {self.name} is not a bridge")
        if bridge is None or (bridge.alias == "" and self._is_ours(bridge)):
            link.change(self.session, link.index(self.name), ifalias=self.mark)

    def take_name_back(self) -> None:
        """Rename the network's bridge back if another program renamed it; idempotent.

        Does nothing if a link has the name already, or if hawse did not make the bridge.
        """
        if link.index(self.name):
            return
        renamed = next((o for o in link.all_links(self.session) if o.kind == "bridge" and o.alias == self.mark), None)
        if renamed is not None:
            link.change(self.session, renamed.index, state="down")
            link.change(self.session, renamed.index, ifname=self.name)

    def delete(self) -> None:
        """Delete the bridge if hawse made it, otherwise remove hawse's settings from it (`release`); idempotent."""
        if self.release():
            link.delete(self.session, self.name)

    def release(self) -> bool:
        """Remove hawse's settings from another program's bridge; return True if the bridge exists and hawse made it.

        A bridge that hawse made is not changed. The sysctls accept_source_route, proxy_arp_pvlan and proxy_delay of
        another program's bridge keep hawse's values, because the earlier values are unknown.
        """
        bridge = link.find(self.session, self.name)
        if bridge is not None and self._is_ours(bridge):
            return True
        if bridge is not None:
            address.remove_ours(self.session, bridge.index)
            bridge_loopback.switch_off(self.name)
        router_advertisements.restore(self.name, self.run)
        return False

    def set_parameters(self) -> None:
        """Set the bridge's sysctls.

        Because a bridge sends packets as soon as it is up, the caller calls `set_parameters` before it brings the
        bridge up.
        """
        bridge = link.find(self.session, self.name)
        if bridge is not None and not self._is_ours(bridge):
            router_advertisements.ignore_where_alone(self.session, bridge, self.run)
        for path, value in self._sysctls(bridge).items():
            sysctl.write_if_present(path, value)

    def _sysctls(self, bridge: link.Link | None) -> Mapping[str, str]:
        # Refuse source-routed packets. With route_localnet, such a packet could go from a container to an address of
        # the host, and from there to 127.0.0.1. The firewall's chain loopback_guard would see only the first address.
        values = {sysctl.conf("ipv4", self.name, "accept_source_route"): "0"}
        if bridge is not None and self._is_ours(bridge):
            values[sysctl.conf("ipv6", self.name, "accept_ra")] = router_advertisements.IGNORED
            # If the network gives the bridge no IPv6 address, disable IPv6. The bridge then has no link-local address.
            speaks_ipv6 = self.network.ipv6 and self.options.mode6 != "isolated"
            values[sysctl.conf("ipv6", self.name, "disable_ipv6")] = "0" if speaks_ipv6 else "1"
            if speaks_ipv6:
                # Skip the duplicate address detection of the link-local address. During the detection (1 to 2 s after
                # the first container joins), the kernel sends no neighbour solicitations for forwarded packets.
                values[sysctl.conf("ipv6", self.name, "accept_dad")] = "0"
        if not self.options.icc:
            # Isolated ports cannot receive each other's ARP requests, so the bridge answers these requests as a proxy.
            # As a result, packets between linked containers (``--link``) go through the firewall's forward chain. A
            # proxy delay of 0 replaces the kernel's random delay.
            values[sysctl.conf("ipv4", self.name, "proxy_arp_pvlan")] = "1"
            values[f"net/ipv4/neigh/{self.name}/proxy_delay"] = "0"
        return values

    def set_addresses(self) -> None:
        """Add the addresses of the gateways to the bridge; idempotent."""
        index = link.index(self.name)
        for item in self._addresses():
            try:
                address.add(self.session, index, item, protocol=address.OURS)
            except KernelError as error:
                what = f"failed to add IPv{item.version} address {item} to"
                raise KernelError(what, "bridge", error.errno) from error

    def _addresses(self) -> Iterator[IPInterface]:
        for pool in self.network.pools:
            if pool.gateway is not None and self.options.host_has_address(pool.subnet.version):
                yield pool.gateway

    def compare(self) -> list[Difference]:
        """Return how the bridge, its addresses and its sysctls differ from the state that the network requires."""
        bridge = link.find(self.session, self.name)
        if bridge is None:
            return [Difference("missing", "bridge", self.name)]
        if bridge.kind != "bridge":
            return [link_comparison.no_bridge(self.name, bridge.kind)]
        differences = [] if bridge.up else [link_comparison.down("bridge", self.name)]
        differences += link_comparison.wrong_settings("setting", self.name, self._wrong_settings(bridge))
        if not bridge.has_arp:
            differences.append(link_comparison.without_arp("bridge", self.name))
        if self._has_other_mac(bridge):
            differences.append(link_comparison.wrong_mac("bridge", self.name, bridge.mac))
        if not neighbor.is_local(self.session, bridge.index, bridge.mac):
            differences.append(Difference("missing", "forwarding entry", f"{bridge.mac} of {self.name}"))
        differences += link_comparison.addresses(self.session, bridge.index, self.name, self._addresses())
        return differences + link_comparison.sysctls(self._sysctls(bridge))

    def restore_settings(self) -> None:
        """Restore the limit of learned MACs and the multicast snooping (off) of a bridge that hawse made; idempotent.

        An older version of hawse may have made the bridge without these settings (`link.BRIDGE_SETTINGS`).
        """
        bridge = link.find(self.session, self.name)
        if bridge is not None and self._wrong_settings(bridge):
            link.change_kind(self.session, bridge.index, "bridge", **link.BRIDGE_SETTINGS)

    def _wrong_settings(self, bridge: link.Link) -> Mapping[str, int]:
        return link.wrong_settings(self.session, self.name, link.BRIDGE_SETTINGS) if self._is_ours(bridge) else {}

    def connect(self) -> None:
        """Add the missing routes that lead to the network's subnets through the bridge; idempotent."""
        for item in self._addresses():
            if not route.has_connected(self.session, item, self.name):
                route.add_connected(self.session, item, link.index(self.name))

    def bring_up(self) -> None:
        """Bring the bridge up; idempotent."""
        link.change(self.session, link.index(self.name), state="up")

    def allow_ipv6(self) -> None:
        """Restore the bridge's MTU if the bridge has IPv6 addresses and its MTU is too small for IPv6; idempotent."""
        bridge = link.find(self.session, self.name)
        if bridge is not None and bridge.mtu < link.LEAST_IPV6_MTU and any(a.version == 6 for a in self._addresses()):
            link.change(self.session, bridge.index, mtu=self.options.mtu or USUAL_MTU)

    def restore_mac_and_arp(self) -> None:
        """Restore the MAC of a bridge that hawse made, and the ARP flag and the local entry of any bridge; idempotent.

        The local entry is the forwarding entry by which the host gets frames for the bridge's own MAC. If this function
        changed anything, it announces the bridge's MAC to the containers. It also deletes the bridge's neighbour
        entries that have no answer, or still wait for an answer.
        """
        bridge = link.find(self.session, self.name)
        if bridge is None:
            return
        if has_other_mac := self._has_other_mac(bridge):
            link.change(self.session, bridge.index, address=_mac(self.network.id))
            bridge = replace(bridge, mac=_mac(self.network.id))
        is_local = neighbor.is_local(self.session, bridge.index, bridge.mac)
        if not bridge.has_arp:
            link.switch_arp_on(self.session, bridge.index)
        if not is_local:
            neighbor.add_local(self.session, bridge.index, bridge.mac)
        if has_other_mac or not bridge.has_arp or not is_local:
            neighbor.forget_unresolved(self.session, bridge.index)
            neighbor_announcement.announce(self.name, ((bridge.mac, item.ip) for item in self._addresses()))

    def _has_other_mac(self, bridge: link.Link) -> bool:
        """Return whether another program changed the MAC of hawse's bridge.

        The neighbour entries of the containers contain the original MAC.
        """
        return self._is_ours(bridge) and bridge.mac != _mac(self.network.id)

    def _is_ours(self, bridge: link.Link) -> bool:
        # Because the kernel ignores an alias in the message that creates a link, an interrupted creation may leave a
        # bridge without the mark. In this case, the generated name or the network's MAC proves that hawse made the
        # bridge.
        unmarked = bridge.alias == "" and bridge.mac == _mac(self.network.id)
        return bridge.alias == self.mark or unmarked or self.name == names.bridge_name(self.network.id)


def _mac(network_id: str) -> str:
    """Return the MAC of a network's bridge in the format of Docker's bridges (locally administered, 02:42).

    The other bytes are from the network's random id. The driver sets this MAC explicitly, because a MAC chosen by the
    kernel would change with the bridge's ports. A bridge that is created again has the same MAC, so that the neighbour
    entries of running containers stay valid.
    """
    return "02:42:" + bytes.fromhex(network_id[:8]).hex(":")
