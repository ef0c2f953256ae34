"""The parent interface on the host, and the code that the drivers of sub-interfaces (macvlan, ipvlan) share.

The parent is one of three interfaces:

- an interface of the user (``-o parent=eth0``)
- a VLAN sub-interface, which is created if missing (``-o parent=eth0.10``)
- a dummy ``dm-<12 hex>`` (macvlan) or ``di-<12 hex>`` (ipvlan), if the user names no parent

A parent made by hawse has hawse's mark in its alias and is removed with its network. An endpoint is a link that is
created directly in the sandbox (the container's network namespace). The host has no kernel object for it.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any, ClassVar

from drivers import link_comparison, options
from drivers import sandbox as sandboxes
from drivers.errors import BadOption, Busy, Exists, KernelError, Missing, Unsupported, UnusableOption
from drivers.linux import link, names, netns, sysctl
from drivers.linux.netlink import Session
from drivers.model import MODE, Difference, DriverFacts, EndpointSpec, JoinInfo, NetworkSpec, OptionFacts, Sandbox
from drivers.plan import Step, apply

PARENT = "parent"
PARENT_FACTS = OptionFacts("Parent interface of the endpoints, on the host", "interface")
MODULES = {"dummy": "dummy", "vlan": "8021q"}
"""The kernel module for each kind of parent interface that hawse makes."""
MAX_VLAN = 4094
EARLIER_INTERFACE_TIMEOUT_SECONDS = 5.0
"""How long a join waits for the end of an earlier sub-interface that has the same MAC or IP address."""
RETRY_INTERVAL_SECONDS = 0.02
IN_USE_HINT = (
    "Another interface on the parent has the same MAC or IP address, perhaps in the namespace of an ended container"
)


class SubinterfaceBase:
    """The base class of the drivers that make sub-interfaces of a host interface, the parent.

    Subclasses define the kind of sub-interface: ``modes`` maps each value of the option ``<type>_mode`` to the value of
    the link attribute. The class is not called SubinterfaceDriver, because `drivers.registry` would take it for a
    driver.
    """

    type: ClassVar[str]
    facts: ClassVar[DriverFacts]
    modes: ClassVar[Mapping[str, Any]]
    default_mode: ClassVar[str]

    def parent_name(self, network: NetworkSpec) -> str:
        """Return the name of a network's parent interface: the option ``parent``, else the network's dummy link."""
        if named := network.options.get(PARENT):
            return named
        name, earlier = (names.dummy_name(kind, network.id) for kind in (self.type, "macvlan"))
        # An older version of hawse used the prefix dm- for ipvlan networks too.
        return earlier if name != earlier and link.index(earlier) else name

    def check_network(self, network: NetworkSpec, others: Sequence[NetworkSpec]) -> None:
        """Check the network's options and parent; raises `UnusableOption`.

        A parent can belong to one network only.
        """
        self.attributes(network)
        options.check_heal(network.options)
        parent = self.parent_name(network)
        if parent == "lo":
            raise UnusableOption(f"loopback interface is not a valid {self.type} parent link")
        for other in others:
            if other.id != network.id and self.parent_name(other) == parent:
                name = names.dummy_name(self.type, other.id)
                raise UnusableOption(f"network {name} is already using parent interface {parent}")
        if network.options.get(PARENT) and not link.index(parent):
            split_vlan(parent)

    def create_network(self, network: NetworkSpec) -> None:
        """Create the parent if it does not exist; idempotent."""
        parent = self.parent_name(network)
        with Session() as opened:
            link.delete(opened, names.unfinished_name(network.id))
            if not link.index(parent):
                self._make_parent(opened, network, parent)

    def delete_network(self, network: NetworkSpec) -> None:
        """Remove the parent if `create_network` made it; idempotent."""
        with Session() as opened:
            link.delete(opened, names.unfinished_name(network.id))
            parent = link.find(opened, self.parent_name(network))
            if parent is not None and parent.network_id == network.id:
                link.delete(opened, parent.name)

    def create_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Check the endpoint's options; raises `BadOption`."""
        sandboxes.endpoint_sysctls(endpoint.options, "IFNAME")

    def delete_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Do nothing, because `leave` or the end of the sandbox removes the sub-interface."""

    def join(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox, interface: str) -> JoinInfo:
        """Create the sub-interface in the sandbox; return the interface's name and MAC, and the gateways.

        Replaces the sub-interface of an earlier join. Blocks up to `EARLIER_INTERFACE_TIMEOUT_SECONDS`.
        """
        self._create(network, endpoint, sandbox, interface, EARLIER_INTERFACE_TIMEOUT_SECONDS)
        mac = "" if self.facts.shares_mac else endpoint.mac
        return JoinInfo(interface, mac, *self.gateways(network, endpoint))

    def leave(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox | None) -> None:
        """Delete the sub-interface; idempotent.

        Does nothing if ``sandbox`` is None, because the sub-interface no longer exists.
        """
        if sandbox is None:
            return

        def remove(opened: Session) -> None:
            link.delete(opened, names.unfinished_name(endpoint.id))
            mark = names.endpoint_mark(endpoint.id)
            for child in link.with_alias_or_mac(opened, mark, ""):
                if child.alias == mark:
                    link.delete(opened, child.name)

        sandboxes.inside(sandbox, remove)

    def watched(self, network: NetworkSpec) -> tuple[str, str]:
        """Return the name of the parent, and "" because the network itself has no namespace."""
        return self.parent_name(network), ""

    def compare_network(self, network: NetworkSpec, publishing: Sequence[EndpointSpec]) -> Sequence[Difference]:
        """Return a difference if the parent is missing, or if hawse made the parent and it is down."""
        name = self.parent_name(network)
        with Session() as opened:
            parent = link.find(opened, name)
        if parent is None:
            return [Difference("missing", "parent", name)]
        ours = parent.network_id == network.id
        return [link_comparison.down("parent", name)] if ours and not parent.up else []

    def repair_network(self, network: NetworkSpec, endpoints: Sequence[EndpointSpec]) -> None:
        """Create the parent if it is missing, and bring it up if hawse made it."""
        self.create_network(network)
        with Session() as opened:
            parent = link.find(opened, self.parent_name(network))
            if parent is not None and parent.network_id == network.id:
                link.change(opened, parent.index, state="up")

    def compare_endpoint(
        self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox, interface: str
    ) -> Sequence[Difference]:
        """Return how the sub-interface differs from the required state, or an empty list if the parent is missing."""
        if not link.index(self.parent_name(network)):
            return []

        def compare(opened: Session) -> list[Difference]:
            differences = sandboxes.compare(opened, endpoint, interface)
            return [*differences, *self._compare_mode(opened, network, interface)]

        return sandboxes.inside(sandbox, compare)

    def repair_endpoint(
        self,
        network: NetworkSpec,
        endpoint: EndpointSpec,
        sandbox: Sandbox,
        interface: str,
        differences: Sequence[Difference],
    ) -> None:
        """Repair the given ``differences``; joins the endpoint again if its sub-interface is lost."""
        if sandboxes.is_lost(differences):
            # Because one thread of the agent repairs all objects, a repair does not wait for another sub-interface.
            self._create(network, endpoint, sandbox, interface, 0.0)
            sandboxes.inside(sandbox, lambda there: sandboxes.announce(there, endpoint, interface))
            return

        def repair(opened: Session) -> None:
            sandboxes.repair(opened, endpoint, interface, differences)
            self._restore_mode(opened, network, interface)

        sandboxes.inside(sandbox, repair)

    def attributes(self, network: NetworkSpec) -> dict[str, Any]:
        """Return the link attributes for the sub-interface's mode, from the network's options.

        Raises `UnusableOption` with Docker's error text.
        """
        label = f"{self.type}_mode"
        choice = network.options.get(label) or self.default_mode
        if choice not in self.modes:
            default = f"'{self.default_mode}' mode is the {self.type} driver default"
            raise UnusableOption(f"requested {self.type} mode '{choice}' is not valid, {default}")
        return {label: self.modes[choice]}

    def gateways(self, network: NetworkSpec, endpoint: EndpointSpec) -> tuple[IPv4Address | None, IPv6Address | None]:
        """Return the IPv4 and IPv6 gateways of the endpoint's own subnets; None for a family without a gateway.

        An internal network has no gateways.
        """
        addresses = [] if network.internal else endpoint.addresses
        pools = [pool for pool in network.pools if any(address.ip in pool.subnet for address in addresses)]
        return sandboxes.first_of_each_version(p.gateway.ip for p in pools if p.gateway is not None)

    def _make_parent(self, opened: Session, network: NetworkSpec, parent: str) -> None:
        """Create the network's parent interface: a VLAN interface, or a dummy if the user names no parent.

        The new link first has a temporary name. One later request gives it the final name and hawse's mark (its alias).
        If this process is killed before that request, the temporary name shows that hawse made the link. Raises
        `Missing` if the user's own parent interface no longer exists. Raises another `DriverError` if the kernel
        refuses the link.
        """
        if network.options.get(PARENT):
            # A name without a dot is the user's own interface, not a VLAN. It may be missing, for example after a boot.
            if "." not in parent:
                raise Missing(f"-o parent interface was not found on the host: {parent}")
            master, vlan = split_vlan(parent)
            kind, attributes = "vlan", {"link": link.index(master), "vlan_id": vlan}
            prefix = f"failed to create {parent} vlan link: "
        else:
            kind, attributes, prefix = "dummy", {}, ""
        name = names.unfinished_name(network.id)
        try:
            link.add(opened, name, kind, **attributes)
        except KernelError as error:
            hint = f"The parent is a {kind} interface, for which the kernel needs a module: modprobe {MODULES[kind]}"
            raise _explained(error, prefix, hint) from error
        # Ignore router advertisements on the parent, because the routers on the parent's wire serve the containers and
        # not the host.
        sysctl.write_if_present(sysctl.conf("ipv6", name, "accept_ra"), "0")
        link.change(opened, link.index(name), ifname=parent, ifalias=names.network_mark(network.id), state="up")

    def _compare_mode(self, opened: Session, network: NetworkSpec, interface: str) -> list[Difference]:
        wrong = self._wrong_mode(opened, network, interface)
        what = ", ".join(f"{label} {present}" for label, present in wrong.items())
        if not what:
            return []
        return [Difference("changed", "interface", f"{interface} has {what}", subject=interface, setting=MODE)]

    def _restore_mode(self, opened: Session, network: NetworkSpec, interface: str) -> None:
        wrong = self._wrong_mode(opened, network, interface)
        if wrong:
            required = self.attributes(network)
            link.change_kind(opened, link.index(interface), self.type, **{label: required[label] for label in wrong})

    def _wrong_mode(self, opened: Session, network: NetworkSpec, interface: str) -> Mapping[str, Any]:
        """Return the mode's link attributes that have a wrong value, each with its present value.

        Called in the sandbox. The result is empty if the interface is missing or of another kind.
        """
        present = link.find(opened, interface)
        is_ours = present is not None and present.kind == self.type
        return link.wrong_settings(opened, interface, self.attributes(network)) if is_ours else {}

    def _create(
        self,
        network: NetworkSpec,
        endpoint: EndpointSpec,
        sandbox: Sandbox,
        interface: str,
        timeout_seconds: float,
    ) -> None:
        """Create the sub-interface in the sandbox, in place of an earlier one; blocks up to ``timeout_seconds``."""
        self.leave(network, endpoint, sandbox)
        apply(
            (
                Step(
                    "sub-interface",
                    lambda: self._make_endpoint(network, endpoint, sandbox),
                    lambda: self.leave(network, endpoint, sandbox),
                ),
                Step("name", lambda: sandboxes.inside(sandbox, lambda there: _finish(there, endpoint, interface))),
                Step("interface", lambda: _configure(sandbox, endpoint, interface, timeout_seconds)),
            )
        )

    def _make_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox) -> None:
        parent = self.parent_name(network)
        parent_index = link.index(parent)
        if not parent_index:
            raise Missing(f"-o parent interface was not found on the host: {parent}")
        address = {} if self.facts.shares_mac else {"address": endpoint.mac}
        attributes = {**self.attributes(network), **address, "link": parent_index}
        name = names.unfinished_name(endpoint.id)
        with Session() as opened, netns.netns_fd(sandbox.path, sandbox.inode) as namespace:
            try:
                link.add(opened, name, self.type, net_ns_fd=namespace, **attributes)
            except KernelError as error:
                raise _explained(error, f"failed to create the {self.type} port: ") from error


def _finish(there: Session, endpoint: EndpointSpec, interface: str) -> None:
    """Give a new sub-interface hawse's mark (an alias) and the final name ``interface``, in one request.

    Before the request, `leave` finds the sub-interface by its temporary name (`names.unfinished_name`). After the
    request, `leave` finds it by its mark. The calling thread is in the sandbox, and ``there`` is a netlink session in
    the sandbox.
    """
    try:
        index = link.index(names.unfinished_name(endpoint.id))
        link.change(there, index, ifname=interface, ifalias=names.endpoint_mark(endpoint.id))
    except KernelError as error:
        if error.errno == errno.EEXIST:
            raise Exists(f"the sandbox has an interface {interface} already") from error
        raise


def _configure(sandbox: Sandbox, endpoint: EndpointSpec, interface: str, timeout_seconds: float) -> None:
    """Configure the sub-interface; wait while an earlier sub-interface has the same MAC or IP address. Idempotent.

    A container often gets the addresses of a container that has just ended, for example at a restart. The kernel
    deletes the namespace of the ended container in the background. Until the namespace is deleted, the kernel refuses
    to give the same addresses to another sub-interface of this parent. Raises KernelError if this is still so after
    ``timeout_seconds``.
    """
    end = time.monotonic() + timeout_seconds
    while True:
        try:
            return sandboxes.inside(sandbox, lambda there: sandboxes.configure(there, endpoint, interface))
        except KernelError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            if time.monotonic() >= end:
                error.hint = IN_USE_HINT
                raise
        time.sleep(RETRY_INTERVAL_SECONDS)


def split_vlan(parent: str) -> tuple[str, int]:
    """Return the interface and the VLAN id in a name such as ``eth0.10``.

    Raises `UnusableOption` in three cases:

    - The name has another form.
    - The VLAN id is not between 1 and `MAX_VLAN`.
    - The host does not have the interface.
    """
    master, dot, text = parent.partition(".")
    missing = f"The host has no interface {parent}. The interfaces: ip link"
    if not dot:
        raise UnusableOption(f"invalid subinterface vlan name {parent}, example formatting is eth0.10", missing)
    if "." in text:
        form = "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received"
        raise UnusableOption(f"{form} {parent}", missing)
    try:
        vlan = options.integer(PARENT, text)
    except BadOption:
        raise UnusableOption(f"unable to parse a valid vlan id from: {text} (ex. eth0.10 for vlan 10)") from None
    if not link.index(master):
        raise UnusableOption(f"-o parent interface was not found on the host: {master}")
    if not 1 <= vlan <= MAX_VLAN:
        raise UnusableOption(f"vlan id must be between 1-{MAX_VLAN}, received: {vlan}")
    return master, vlan


def _explained(error: KernelError, prefix: str, hint: str = "") -> Exception:
    """Return the error to raise for a kernel error: `Unsupported`, `Busy`, or the kernel error itself.

    The text of a new error is ``prefix`` and the kernel's text. Only `Unsupported` gets the ``hint``, because it means
    that the kernel does not support this kind of link.
    """
    text = prefix + str(error).rpartition(": ")[2]
    if error.errno == errno.EOPNOTSUPP:
        return Unsupported(text, hint)
    return Busy(text) if error.errno == errno.EBUSY else error
