"""What the drivers of sub-interfaces (macvlan, ipvlan) share: a parent interface of the host.

The parent is the user's (``-o parent=eth0``), a VLAN sub-interface that is made when it isn't there
(``-o parent=eth0.10``), or a dummy ``dm-<12 hex>`` where none is named. What we made bears our mark in its alias and
goes with its network. Endpoints are links that are made straight into the sandbox; the host keeps nothing of them.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any, ClassVar

from drivers import sandbox as sandboxes
from drivers.api import (
    BadOption,
    Busy,
    DriverFacts,
    EndpointSpec,
    Exists,
    JoinInfo,
    KernelError,
    Missing,
    NetworkSpec,
    OptionFacts,
    Sandbox,
    Unsupported,
)
from drivers.linux import link, names, netns, sysctl
from drivers.linux.netlink import Session, session
from drivers.plan import Step, apply

PARENT = "parent"
PARENT_FACTS = OptionFacts("Interface of the host that endpoints branch off from", "interface")
MAX_VLAN = 4094


class ParentedDriver:
    """Networks whose endpoints are sub-interfaces of one host interface; subclasses say of which kind."""

    type: ClassVar[str]
    facts: ClassVar[DriverFacts]
    modes: ClassVar[Mapping[str, Any]]
    default_mode: ClassVar[str]

    def check_network(self, network: NetworkSpec, others: Sequence[NetworkSpec]) -> None:
        """Refuse bad options, an unusable parent (`BadOption`), and a parent that another network uses (`Exists`)."""
        self.attributes(network)
        parent = parent_name(network)
        if parent == "lo":
            raise BadOption(f"loopback interface is not a valid {self.type} parent link")
        for other in others:
            if other.id != network.id and parent_name(other) == parent:
                name = names.dummy_name(other.id)
                raise Exists(f"network {name} is already using parent interface {parent}")
        if network.options.get(PARENT) and not link.index(parent):
            split_vlan(parent)

    def create_network(self, network: NetworkSpec) -> None:
        """Make the parent if it isn't there; idempotent."""
        parent = parent_name(network)
        with session() as opened:
            if not link.index(parent):
                self._make_parent(opened, network, parent)

    def delete_network(self, network: NetworkSpec) -> None:
        """Remove the parent if `create_network` made it; idempotent."""
        with session() as opened:
            found = link.find(opened, parent_name(network))
            if found is not None and found.alias == names.network_mark(network.id):
                link.delete(opened, found.name)

    def create_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Refuse bad endpoint options; nothing is reserved outside the sandbox."""
        sandboxes.endpoint_sysctls(endpoint.options, "IFNAME")

    def delete_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Release nothing: the sub-interface goes with its sandbox, or by `leave`."""

    def join(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox, interface: str) -> JoinInfo:
        """Make the sub-interface in the sandbox; one left by an earlier join is replaced."""
        self.leave(network, endpoint, sandbox)
        apply(
            (
                Step(
                    "sub-interface",
                    lambda: self._make_endpoint(network, endpoint, sandbox),
                    lambda: self.leave(network, endpoint, sandbox),
                ),
                Step("name", lambda: sandboxes.inside(sandbox, lambda there: _finish(there, endpoint, interface))),
                Step("interface", lambda: sandboxes.configure(sandbox, endpoint, interface)),
            )
        )
        return JoinInfo(interface, endpoint.mac, *self.gateways(network))

    def leave(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox | None) -> None:
        """Delete the sub-interface; idempotent, and nothing to do when the sandbox is gone."""
        if sandbox is None:
            return

        def remove(opened: Session) -> None:
            for found in link.all_links(opened):
                if found.alias == names.endpoint_mark(endpoint.id) or found.name == names.unfinished_name(endpoint.id):
                    link.delete(opened, found.name)

        sandboxes.inside(sandbox, remove)

    def attributes(self, network: NetworkSpec) -> dict[str, Any]:
        """The kind's own link attributes, from the network's options; raises `BadOption` with Docker's text."""
        raise NotImplementedError

    def link_address(self, endpoint: EndpointSpec) -> dict[str, str]:
        """The link-layer address to set, for kinds that have one of their own."""
        return {"address": endpoint.mac}

    def gateways(self, network: NetworkSpec) -> tuple[IPv4Address | None, IPv6Address | None]:
        """The next hops that the network offers."""
        given = [] if network.internal else [p.gateway.ip for p in network.pools if p.gateway is not None]
        first4 = next((g for g in given if isinstance(g, IPv4Address)), None)
        first6 = next((g for g in given if isinstance(g, IPv6Address)), None)
        return first4, first6

    def mode(self, network: NetworkSpec, label: str) -> Any:
        """The kernel's value of the network's mode."""
        asked = network.options.get(label) or self.default_mode
        if asked not in self.modes:
            default = f"'{self.default_mode}' mode is the {self.type} driver default"
            raise BadOption(f"requested {self.type} mode '{asked}' is not valid, {default}")
        return self.modes[asked]

    def _make_parent(self, opened: Session, network: NetworkSpec, parent: str) -> None:
        if network.options.get(PARENT):
            master, vlan = split_vlan(parent)
            kind, attributes = "vlan", {"link": link.index(master), "vlan_id": vlan}
            prefix = f"failed to create {parent} vlan link: "
        else:
            kind, attributes, prefix = "dummy", {}, ""
        try:
            link.add(opened, parent, kind, **attributes)
        except KernelError as error:
            raise _explained(error, prefix) from error
        # Because it comes up on a wire whose routers are the containers' business, the host must not listen to them.
        sysctl.write_if_present(sysctl.conf("ipv6", parent, "accept_ra"), "0")
        link.change(opened, link.index(parent), ifalias=names.network_mark(network.id), state="up")

    def _make_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox) -> None:
        parent = parent_name(network)
        found = link.index(parent)
        if not found:
            raise Missing(f"-o parent interface was not found on the host: {parent}")
        attributes = {**self.attributes(network), **self.link_address(endpoint), "link": found}
        name = names.unfinished_name(endpoint.id)
        with session() as opened, netns.netns_fd(sandbox.path, sandbox.inode) as namespace:
            try:
                link.add(opened, name, self.type, net_ns_fd=namespace, **attributes)
            except KernelError as error:
                raise _explained(error, f"failed to create the {self.type} port: ") from error


def _finish(there: Session, endpoint: EndpointSpec, interface: str) -> None:
    """Give a new sub-interface its mark and its name, in one request: by the one or the other `leave` finds it."""
    try:
        found = link.index(names.unfinished_name(endpoint.id))
        link.change(there, found, ifname=interface, ifalias=names.endpoint_mark(endpoint.id))
    except KernelError as error:
        if error.errno == errno.EEXIST:
            raise Exists(f"the sandbox has an interface {interface} already") from error
        raise


def parent_name(network: NetworkSpec) -> str:
    """The parent interface of a network: the one named, else its dummy."""
    return network.options.get(PARENT) or names.dummy_name(network.id)


def split_vlan(parent: str) -> tuple[str, int]:
    """The master interface and VLAN id of a sub-interface name such as ``eth0.10``; raises `BadOption`."""
    master, dot, text = parent.partition(".")
    if not dot or "." in text:
        raise BadOption(f"invalid subinterface vlan name {parent}, example formatting is eth0.10")
    if not text.isdecimal():
        raise BadOption(f"unable to parse a valid vlan id from: {text} (ex. eth0.10 for vlan 10)")
    if not 1 <= int(text) <= MAX_VLAN:
        raise BadOption(f"vlan id must be between 1-{MAX_VLAN}, received: {int(text)}")
    if not link.index(master):
        raise BadOption(f"-o parent interface was not found on the host: {master}")
    return master, int(text)


def _explained(error: KernelError, prefix: str) -> Exception:
    text = prefix + str(error).rpartition(": ")[2]
    if error.errno == errno.EOPNOTSUPP:
        return Unsupported(text)
    return Busy(text) if error.errno == errno.EBUSY else error
