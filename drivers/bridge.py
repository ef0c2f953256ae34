"""The ``bridge`` driver: one Linux bridge per network, one veth pair per endpoint, published ports in nftables.

Kernel objects of a network: the bridge (``br-<12 hex>`` or a name that the user chose) with the gateways' addresses,
and the network's firewall elements. Kernel objects of an endpoint: the host end ``veth<7 hex>``, which is a port of the
bridge, and the other end in the sandbox (the container's network namespace). Each link made by hawse has a mark in its
alias. hawse can use a bridge of another program, which has no mark, but never removes such a bridge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from msgspec.structs import replace

from drivers import bridge_loopback, bridge_options, bridge_port, bridge_shared_state
from drivers import sandbox as sandboxes
from drivers.api import Watch
from drivers.bridge_device import Bridge
from drivers.bridge_options import BridgeOptions
from drivers.bridge_port import Port
from drivers.errors import BadOption, Exists
from drivers.firewall import elements, foreign_drops, forwarding, spoof_guard, table
from drivers.firewall.watch import FirewallWatch
from drivers.linux import conntrack, link, names, netns, sysctl
from drivers.linux.netlink import Session
from drivers.model import (
    Desired,
    Difference,
    DriverFacts,
    EndpointSpec,
    IPAddress,
    JoinInfo,
    NetworkSpec,
    PortBinding,
    Sandbox,
    Settings,
)
from drivers.plan import Step, apply, teardown
from drivers.port_ranges import without

NAMES_LIMIT = 3  # maximum number of bridge names in one warning
LINK_LOCAL = IPv6Network("fe80::/64")


class BridgeDriver:
    """The driver of networks on one host; a Linux bridge connects the endpoints of each network."""

    type = "bridge"
    facts = DriverFacts(
        "local",
        "Networks on this host, behind NAT",
        publishes_ports=True,
        offers_gateway=True,
        compares_mac=True,
        owns_subnets=True,
        link_kinds=("bridge", "veth"),
        options=bridge_options.FACTS,
    )
    settings = Settings()

    def configure(self, settings: Settings) -> None:
        """Store the settings of this host."""
        self.settings = settings

    def check_network(self, network: NetworkSpec, others: Sequence[NetworkSpec]) -> None:
        """Check a network's options, subnets and bridge; raises `BadOption`, or `Exists` if the bridge is taken.

        ``others`` are this driver's existing networks. None of them may use the same bridge.
        """
        options = bridge_options.parse(network)
        if not network.ipv4 and not network.ipv6:
            raise BadOption("IPv4 or IPv6 must be enabled")
        for version in (4, 6):
            if sum(pool.subnet.version == version for pool in network.pools) > 1:
                raise BadOption("bridge driver doesn't support multiple subnets")
        if any(pool.subnet != LINK_LOCAL and pool.subnet.overlaps(LINK_LOCAL) for pool in network.pools):
            raise BadOption(f"clash with the Link-Local prefix '{LINK_LOCAL}'")
        if network.internal and any(pool.next_hop is not None and pool.subnet.version == 4 for pool in network.pools):
            raise BadOption("no gateway can be set on an internal bridge network")
        for other in others:
            if other.id != network.id and bridge_options.parse(other).bridge == options.bridge:
                conflict = f"conflicts with network {other.id} ({options.bridge}): networks have same bridge name"
                raise Exists(f"cannot create network {network.id} ({options.bridge}): {conflict}")

    def create_network(self, network: NetworkSpec) -> None:
        """Create the bridge, or use an existing bridge, and add the network's nftables set elements; idempotent."""
        options = bridge_options.parse(network)
        bridge_options.check_kernel_limits(options)
        entries = list(elements.of_network(network, options))
        forwarded = forwarding.plan(self._forwarded_versions(network))
        with Session() as opened:
            made = Bridge(opened, network, options, self.settings.run)
            apply(
                (
                    Step("bridge", made.create, made.delete),
                    Step("parameters", made.set_parameters),
                    Step("addresses", made.set_addresses),
                    Step(
                        "firewall",
                        lambda: table.change(add=[*entries, *forwarded]),
                        lambda: table.change(remove=entries),
                    ),
                    Step("accepted mark", self._accept_mark),
                    Step("forwarding", lambda: forwarding.switch_on(forwarded, self.settings.run)),
                    Step("up", made.bring_up),
                )
            )

    def delete_network(self, network: NetworkSpec) -> None:
        """Remove the bridge, if hawse made it, and the network's nftables set elements; idempotent."""
        self.delete_networks([network])

    def delete_networks(self, networks: Sequence[NetworkSpec]) -> None:
        """Remove the networks' nftables set elements, and their bridges if hawse created them; idempotent.

        All bridges are deleted by one request, and all elements by one transaction.
        """
        parsed = [(network, bridge_options.parse(network)) for network in networks]
        # Skip names that the kernel refuses, because no bridge can have such a name.
        possible = [(n, o) for n, o in parsed if names.fits(o.bridge) and names.valid(o.bridge)]
        with Session() as opened:
            bridges = [Bridge(opened, network, options, self.settings.run) for network, options in possible]
            gone = [element for network, options in possible for element in elements.of_network(network, options)]
            teardown(
                (
                    Step("bridges", lambda: link.delete_all(opened, [b.name for b in bridges if b.release()])),
                    Step("firewall", lambda: table.change(remove=gone)),
                )
            )

    def retire_networks(self, networks: Sequence[NetworkSpec]) -> Sequence[str]:
        """Remove the networks' nftables set elements, and take their bridges down; idempotent.

        Returns the ids of the networks that still have a bridge:

        - A bridge with a generated name remains for `delete_networks`, because the deletion takes 10 to 20 ms
          (rcu_barrier in br_multicast_dev_del, Linux 6.18).
        - A bridge with a name that the user chose is deleted immediately, so that the user can use the name again.
        """
        parsed = [(network, bridge_options.parse(network)) for network in networks]
        named = [network for network, options in parsed if options.bridge != names.bridge_name(network.id)]
        rest = [(network, options) for network, options in parsed if network not in named]
        if named:
            self.delete_networks(named)
        table.change(remove=[element for network, options in rest for element in elements.of_network(network, options)])
        with Session() as opened:
            link.take_down(opened, [options.bridge for _, options in rest])
        return [network.id for network, _ in rest]

    def create_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Check the endpoint's options; raises `BadOption`. `join` makes the endpoint's kernel objects."""
        sandboxes.endpoint_sysctls(endpoint.options, "IFNAME")

    def delete_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Remove the endpoint's bridge port, conntrack entries and spoof guard rules, if they exist; idempotent."""
        self._remove_endpoints([(network, endpoint)])

    def delete_endpoints(self, endpoints: Sequence[tuple[NetworkSpec, EndpointSpec]]) -> None:
        """Remove endpoints whose sandboxes no longer exist, with their published ports; idempotent.

        All veth pairs are deleted by one request, and all firewall elements by one transaction.
        """
        gone = [element for network, end in endpoints for element in self._of_ports(network, end, end.ports)]
        teardown(
            (
                Step("firewall", lambda: table.change(remove=gone)),
                Step("endpoints", lambda: self._remove_endpoints(endpoints)),
            )
        )

    def _remove_endpoints(self, endpoints: Sequence[tuple[NetworkSpec, EndpointSpec]]) -> None:
        ends = [endpoint for _, endpoint in endpoints]
        addresses = [address.ip for end in ends for address in end.addresses]
        # For UDP ports that the agent proxies, delete conntrack entries by port number. Such entries do not contain the
        # endpoint's address, because their flows lead from the client to the agent. Only ports on IPv6 addresses are
        # proxied. The TCP entries of proxied ports need no deletion, because the agent closes its TCP streams itself.
        carried = [p for end in ends for p in end.ports if p.protocol == "udp" and p.host_ip.version == 6]
        with Session() as opened:
            ports = [Port(opened, endpoint, bridge_options.parse(network)) for network, endpoint in endpoints]
            teardown(
                (
                    Step("veth pairs", lambda: link.delete_all(opened, [n for port in ports for n in port.links()])),
                    *(Step("spoof guard", port.release) for port in ports),
                    Step("connections", lambda: conntrack.forget_addresses(addresses)),
                    Step("connections to the agent", lambda: conntrack.forget_ports(carried)),
                )
            )

    def join(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox, interface: str) -> JoinInfo:
        """Connect the sandbox to the bridge by a veth pair; return the interface's name and MAC, and the gateways.

        Replaces the veth pair of an earlier join.
        """

        def configure(there: Session) -> None:
            sandboxes.configure(there, endpoint, interface)

        options = bridge_options.parse(network)
        with Session() as opened, netns.netns_fd(sandbox.path, sandbox.inode) as namespace:
            port = Port(opened, endpoint, options)
            # Guard the port before it is up, because a process in the sandbox can already send. For the same reason, a
            # failure deletes the port before its guard.
            apply(
                (
                    Step("veth pair", lambda: port.create(namespace, interface), port.delete),
                    Step("spoof guard", port.guard, port.release),
                    Step("port", port.set_up, port.delete),
                    Step("interface", lambda: sandboxes.inside(sandbox, configure)),
                )
            )
        gateway4, gateway6 = _gateways(network)
        return JoinInfo(interface, endpoint.mac, gateway4, gateway6 if endpoint.ipv6 else None)

    def leave(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox | None) -> None:
        """Disconnect the sandbox; idempotent, and works if the sandbox no longer exists."""
        with Session() as opened:
            port = Port(opened, endpoint, bridge_options.parse(network))
            teardown((Step("veth pair", port.delete), Step("spoof guard", port.release)))

    def publish(self, network: NetworkSpec, endpoint: EndpointSpec, ports: Sequence[PortBinding]) -> None:
        """Publish host ports of the endpoint, and delete the conntrack entries of earlier flows to these ports.

        The packets of the earlier flows reached the host itself, and not the endpoint.
        """
        options, others = bridge_options.parse(network), without(endpoint.ports, ports)
        self._replace_ports(network, endpoint, others, [*others, *ports])
        if bridge_loopback.is_needed(network, options, endpoint, ports):
            bridge_loopback.switch_on(options.bridge)
        # Before the firewall has the new elements, a client's SYN reaches the agent's socket at the host port. That
        # socket gives no answer, so the client sends its SYN again. Delete the conntrack entry of the first SYN, which
        # would keep the next SYN from the container.
        conntrack.forget_untranslated(ports)

    def unpublish(
        self, network: NetworkSpec, endpoint: EndpointSpec, ports: Sequence[PortBinding], *, leaving: bool = False
    ) -> None:
        """Stop publishing host ports and delete their conntrack entries; idempotent.

        If ``ports`` is part of a range, one transaction replaces the range by the other ports of the range. ``leaving``
        is True if the endpoint is deleted next. The conntrack entries then remain until `delete_endpoint`.
        """
        # Usually, ``ports`` are all ports of the endpoint. A list that contains them twice would take longer.
        before = ports if ports == endpoint.ports else [*endpoint.ports, *ports]
        after = without(endpoint.ports, ports)
        firewall = Step("firewall", lambda: self._replace_ports(network, endpoint, before, after))
        flows = Step("connections", lambda: conntrack.forget_ports(_destinations(endpoint, ports)))
        teardown([firewall] if leaving else [firewall, flows])

    def link(self, network: NetworkSpec, source: EndpointSpec, target: EndpointSpec) -> None:
        """Allow ``source`` to reach the exposed ports of ``target`` on a network with icc=false; idempotent.

        Replaces all earlier permissions of this pair, because ``target`` may have exposed other ports before, and the
        kernel refuses overlapping port ranges in one set.
        """
        table.change(add=elements.of_link(source, target), remove=_permissions(source, target))

    def unlink(self, network: NetworkSpec, source: EndpointSpec, target: EndpointSpec) -> None:
        """Remove all permissions of ``source`` to reach ports of ``target``; idempotent.

        This includes ports that ``target`` no longer exposes.
        """
        table.change(remove=_permissions(source, target))

    def admit(self, siblings: Sequence[tuple[NetworkSpec, Sequence[IPAddress]]]) -> None:
        """Let containers send packets on one network from their addresses on another network; idempotent."""
        table.change(add=_siblings(siblings))

    def dismiss(self, siblings: Sequence[tuple[NetworkSpec, Sequence[IPAddress]]]) -> None:
        """No longer let containers send packets on one network from their addresses on another network; idempotent."""
        table.change(remove=_siblings(siblings))

    def compare(self, desired: Desired) -> Sequence[Difference]:
        """Return how the firewall and the sysctl route_localnet differ from the state that ``desired`` requires."""
        return bridge_shared_state.compare(desired, self.settings)

    def repair(self, desired: Desired, differences: Sequence[Difference]) -> None:
        """Repair the ``differences`` that `compare` found, and change nothing else."""
        bridge_shared_state.repair(desired, differences, self.settings)

    def watched(self, network: NetworkSpec) -> tuple[str, str]:
        """Return the name of the network's bridge, and "" because the bridge is in the host's namespace."""
        return bridge_options.parse(network).bridge, ""

    def compare_network(self, network: NetworkSpec, publishing: Sequence[EndpointSpec]) -> Sequence[Difference]:
        """Return how the bridge, its addresses, routes, sysctls and IP forwarding differ from the required state."""
        options = bridge_options.parse(network)
        with Session() as opened:
            differences = Bridge(opened, network, options, self.settings.run).compare()
        off = forwarding.plan(self._forwarded_versions(network))
        differences += [Difference("changed", "forwarding", e.key) for e in off if e.set == "forwarding"]
        differences += [
            Difference("changed", "sysctl", sysctl.name_of(path))
            for path in self._switches(network, options.bridge)
            if not off and sysctl.read(path) == "0"
        ]
        if bridge_loopback.is_needed_by(network, options, publishing) and not self.needs_repair():
            differences += bridge_loopback.compare([(options.bridge, True)])
        return differences

    def repair_network(self, network: NetworkSpec, endpoints: Sequence[EndpointSpec]) -> None:
        """Recreate the bridge if it is missing, and restore its ports, addresses, routes, sysctls and IP forwarding.

        The ports of ``endpoints`` are put back on the bridge. A new bridge has the MAC of the old bridge, so that the
        containers' neighbour entries stay valid.
        """
        options = bridge_options.parse(network)
        with Session() as opened:
            made = Bridge(opened, network, options, self.settings.run)
            made.take_name_back()
            made.create()
            # Use `teardown`, not `apply`: containers may use the bridge, so an error must not undo the finished steps.
            # `teardown` runs the remaining steps after an error.
            teardown(
                [
                    Step("settings", made.restore_settings),
                    Step("mtu", made.allow_ipv6),
                    Step("parameters", made.set_parameters),
                    Step("addresses", made.set_addresses),
                    Step("ports", lambda: bridge_port.attach_all(opened, endpoints, options)),
                    Step("up", made.bring_up),
                    Step("neighbours", made.restore_mac_and_arp),
                    Step("routes", made.connect),
                    *self._forwarding_steps(network, options),
                    Step("route_localnet", lambda: self._open_loopback(network, options, endpoints)),
                ]
            )

    def _forwarding_steps(self, network: NetworkSpec, options: BridgeOptions) -> Iterator[Step]:
        forwarded = forwarding.plan(self._forwarded_versions(network))
        if forwarded:
            yield Step("firewall", lambda: table.change(add=forwarded))
            yield Step("forwarding", lambda: forwarding.switch_on(forwarded, self.settings.run))
        for path in self._switches(network, options.bridge):
            yield Step("forwarding of the bridge", partial(sysctl.write_if_present, path, "1"))

    def _open_loopback(self, network: NetworkSpec, options: BridgeOptions, endpoints: Sequence[EndpointSpec]) -> None:
        """Enable route_localnet on the bridge if a port of ``endpoints`` needs it and the firewall's rules exist."""
        if bridge_loopback.is_needed_by(network, options, endpoints) and not self.needs_repair():
            bridge_loopback.switch_on(options.bridge)

    def compare_endpoint(
        self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox, interface: str
    ) -> Sequence[Difference]:
        """Return how the endpoint's bridge port and its interface differ from the required state.

        The list is empty if the network's bridge is missing, because `repair_network` must run first.
        """
        options = bridge_options.parse(network)
        if not link.index(options.bridge):
            return []
        # Compare the interface before the port. If the sandbox is missing, this call raises `Missing`.
        inside = sandboxes.inside(sandbox, lambda there: sandboxes.compare(there, endpoint, interface))
        with Session() as opened:
            return [*Port(opened, endpoint, options).compare(), *inside]

    def repair_endpoint(
        self,
        network: NetworkSpec,
        endpoint: EndpointSpec,
        sandbox: Sandbox,
        interface: str,
        differences: Sequence[Difference],
    ) -> None:
        """Repair the given ``differences``; joins the endpoint again if its veth pair is lost."""
        if sandboxes.is_lost(differences):
            sandboxes.discard(sandbox, endpoint)
            self.join(network, endpoint, sandbox, interface)
            sandboxes.inside(sandbox, lambda there: sandboxes.announce(there, endpoint, interface))
            return
        with Session() as opened:
            Port(opened, endpoint, bridge_options.parse(network)).attach()
        sandboxes.inside(sandbox, lambda there: sandboxes.repair(there, endpoint, interface, differences))

    def _switches(self, network: NetworkSpec, bridge: str) -> list[str]:
        """Return the paths of the bridge's forwarding sysctls, for the IP versions that the host must forward."""
        return [sysctl.conf(f"ipv{version}", bridge, "forwarding") for version in self._forwarded_versions(network)]

    def _forwarded_versions(self, network: NetworkSpec) -> list[int]:
        """Return the IP versions (4, 6) that the host must forward for the network."""
        if network.internal or not self.settings.forwarding:
            return []
        return sorted({pool.subnet.version for pool in network.pools})

    def needs_repair(self) -> bool:
        """Return whether another program removed hawse's firewall rules since the last `repair`; a fast check."""
        noted = table.read_state()
        return table.whole(self.settings) not in noted or (table.SPOOF_GUARDED in noted and not spoof_guard.is_whole())

    def watch(self) -> Watch:
        """Start to watch the firewall for other programs' changes, and return the watch."""
        return FirewallWatch()

    def health_warnings(self, networks: Sequence[NetworkSpec]) -> Sequence[str]:
        """Return warnings about other programs' rules that drop forwarded packets of these networks."""
        known = {bridge_options.parse(n).bridge: [pool.subnet for pool in n.pools] for n in networks if not n.internal}
        return [
            f"the chain '{chain}' drops forwarded packets: it has to let through what comes in or goes out by {shown}"
            for chain, bridges in foreign_drops.find_dropping_chains(known).items()
            for shown in [", ".join(bridges[:NAMES_LIMIT]) + (" …" if len(bridges) > NAMES_LIMIT else "")]
        ]

    def saved_state(self) -> Sequence[str]:
        """Return text lines that record the sysctls which this process changed to enable IP forwarding.

        hawse restores these sysctls after the last network is removed. Until then, hawse blocks forwarding between
        interfaces that are not hawse's bridges.
        """
        return forwarding.kept()

    def _accept_mark(self) -> None:
        if self.settings.accept_mark and table.whole(self.settings) not in table.read_state():
            table.accept_mark(self.settings.accept_mark)

    def _replace_ports(
        self, network: NetworkSpec, endpoint: EndpointSpec, before: Sequence[PortBinding], after: Sequence[PortBinding]
    ) -> None:
        """Replace the firewall's set elements for the ports ``before`` by those for ``after``, in one transaction.

        ``before`` and ``after`` are published ports of the endpoint. Elements that both need are not touched.
        """
        present, required = (dict.fromkeys(self._of_ports(network, endpoint, ports)) for ports in (before, after))
        table.change([e for e in required if e not in present], [e for e in present if e not in required])

    def _of_ports(
        self, network: NetworkSpec, endpoint: EndpointSpec, ports: Sequence[PortBinding]
    ) -> Iterator[elements.Element]:
        direct = self.settings.direct_routing
        return elements.of_ports(network, bridge_options.parse(network), endpoint, ports, direct=direct)


def _destinations(endpoint: EndpointSpec, ports: Sequence[PortBinding]) -> list[PortBinding]:
    """Return where clients send packets to published ports: to ports of the host, and to the endpoint's own ports.

    Each destination is a `PortBinding`. For the endpoint's own ports, ``host_ip`` is the endpoint's address, and the
    host ports are the container ports.
    """
    addresses = {address.version: address.ip for address in endpoint.addresses}
    direct = [
        replace(port, host_ip=addresses[port.host_ip.version], host_port=port.port, host_port_end=port.port_end)
        for port in ports
        if port.host_ip.version in addresses
    ]
    return [*(port for port in ports if port.host_port), *direct]


def _permissions(source: EndpointSpec, target: EndpointSpec) -> list[elements.Element]:
    """Return the elements in the kernel's firewall sets that let ``source`` reach ``target`` by a legacy link."""
    return elements.between(source, target, table.elements("linked4", "linked6"))


def _siblings(siblings: Sequence[tuple[NetworkSpec, Sequence[IPAddress]]]) -> list[elements.Element]:
    return [e for network, ips in siblings for e in elements.of_siblings(bridge_options.parse(network), ips)]


def _gateways(network: NetworkSpec) -> tuple[IPv4Address | None, IPv6Address | None]:
    """Return the IPv4 and the IPv6 gateway that the network offers as next hops; None for a family without a gateway.

    An internal network has no gateways.
    """
    pools = [] if network.internal else network.pools
    return sandboxes.first_of_each_version(
        pool.next_hop or pool.gateway.ip for pool in pools if pool.gateway is not None
    )
