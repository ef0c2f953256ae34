"""The objects of an overlay network on one host: a namespace, its devices and, if encrypted, the WireGuard tunnel.

The file ``$HAWSE_RUN/overlay/<12 hex>`` identifies the namespace. All names are derived from the network's id.
Therefore, a second creation completes an interrupted creation, and a removal needs no record of the objects.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from drivers import sandbox as sandboxes
from drivers.errors import Missing
from drivers.linux import features, link, netns, persistent_netns
from drivers.linux.netlink import Session
from drivers.model import Difference, NetworkSpec, Sandbox
from drivers.overlay import vxlan
from drivers.overlay.options import OverlayOptions
from drivers.overlay.wireguard import Tunnel, interface_name
from drivers.plan import Step, apply, teardown

T = TypeVar("T")


class OverlayNamespace(Struct, frozen=True):
    """The namespace of one overlay network on this host.

    The Python object may exist before the kernel's namespace exists. Callers are in the host's namespace. ``run`` is
    HAWSE_RUN.
    """

    network: NetworkSpec
    run: Path

    @property
    def file(self) -> Path:
        """The path of the file that keeps the overlay network's namespace alive."""
        return self.run / "overlay" / self.network.id[:12]

    @property
    def sandbox(self) -> Sandbox:
        """The overlay network's namespace as a `Sandbox`."""
        return Sandbox(self.network.id, persistent_netns.netns_path(self.file))

    @property
    def tunnel(self) -> Tunnel:
        """The network's tunnel; it exists in the kernel only for an encrypted network."""
        return Tunnel(self.network, interface_name(self.run, self.network.id), self.sandbox)

    def exists(self) -> bool:
        """Return whether the overlay network's namespace exists; its contents may be incomplete."""
        return persistent_netns.exists(self.file)

    def mtu(self) -> int:
        """Return the MTU of the network's bridge, or 0 without the bridge; raises `Missing` without the namespace."""
        bridge = self.inside(lambda there: link.find(there, vxlan.BRIDGE))
        return bridge.mtu if bridge is not None else 0

    def inside(self, action: Callable[[Session], T]) -> T:
        """Run ``action`` in the overlay network's namespace, and return its result.

        ``action`` gets a netlink session of that namespace. Raises `Missing` if the namespace does not exist.
        """
        self._require()
        return sandboxes.inside(self.sandbox, action)

    def make(self, options: OverlayOptions) -> None:
        """Create the missing objects of the network; idempotent.

        If an error occurs and the namespace did not exist before the call, all objects are removed again. Raises
        `Missing` if no device of the host has this host's underlay address.
        """
        with persistent_netns.directory_lock(self.file.parent):
            self._make(options)

    def repair(self, options: OverlayOptions) -> None:
        """Recreate missing or wrong kernel objects of the network; raises `Missing` if its namespace does not exist."""
        with persistent_netns.directory_lock(self.file.parent):
            self._require()
            if self.compare(options):
                self._make(options)

    def remove(self) -> None:
        """Remove the network's devices, WireGuard tunnel and namespace; idempotent."""
        with persistent_netns.directory_lock(self.file.parent):
            self._remove()

    def compare(self, options: OverlayOptions) -> list[Difference]:
        """Return a difference for each kernel object of the network that is missing or changed."""
        if not self.exists():
            return [Difference("missing", "namespace", "the network's namespace")]
        mtu, tunnel_mtu = _required_mtus(options)
        differences = self.inside(lambda there: vxlan.compare(there, self.network, options, mtu))
        if options.wireguard is not None:
            differences += self.tunnel.compare(options.wireguard, tunnel_mtu)
        return differences

    def _require(self) -> None:
        if not self.exists():
            raise Missing(f"network {self.network.name} is not up on this host")

    def _make(self, options: OverlayOptions) -> None:
        underlay = _underlay_mtu(options)
        undo = None if self.exists() else self._remove
        apply(
            (
                Step("namespace", lambda: persistent_netns.make(self.file), undo),
                Step("tunnel", lambda: self._make_tunnel(options, underlay)),
                Step("devices", lambda: self._make_devices(options, options.inner_mtu(underlay))),
            )
        )

    def _make_tunnel(self, options: OverlayOptions, underlay: int) -> None:
        if options.wireguard is not None:
            tunnel = self.tunnel
            tunnel.guard()
            tunnel.make()
            tunnel.set_up(options.wireguard, options.tunnel_mtu(underlay))

    def _make_devices(self, options: OverlayOptions, mtu: int) -> None:
        with Session() as host, netns.netns_fd(self.sandbox.path) as namespace:

            def make(there: Session) -> None:
                underlay = there if options.wireguard else host
                vxlan.make(underlay, there, namespace, self.network, options)
                vxlan.set_up(there, self.network, mtu)

            self.inside(make)

    def _remove(self) -> None:
        there = self.exists()
        devices = Step("devices", lambda: self.inside(lambda opened: vxlan.delete(opened, self.network)))
        teardown(
            (
                *((devices,) if there else ()),
                Step("tunnel", lambda: self.tunnel.delete(there)),
                Step("namespace", lambda: persistent_netns.remove(self.file)),
            )
        )


def _required_mtus(options: OverlayOptions) -> tuple[int, int]:
    """Return the MTUs of the network's devices and of its tunnel.

    Returns (0, 0) if no device of the host has this host's underlay address.
    """
    try:
        underlay = _underlay_mtu(options)
    except Missing:
        return 0, 0
    return options.inner_mtu(underlay), options.tunnel_mtu(underlay)


def _underlay_mtu(options: OverlayOptions) -> int:
    """Return the MTU of the host's device that has this host's underlay address.

    Raises `Missing` if no device has that address.
    """
    assert options.vtep is not None
    name, mtu = features.holder_of(options.vtep)
    if not name:
        raise Missing(f"no interface of this host has the underlay address {options.vtep}")
    return mtu
