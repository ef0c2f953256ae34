"""Encryption of an overlay network: its VXLAN devices can send only through a WireGuard tunnel.

The network's namespace holds the VXLAN devices and the tunnel's interface, and no link to the host. Therefore, VXLAN
packets cannot leave unencrypted. The encrypted packets leave from the host's namespace, because the tunnel was created
there and keeps its UDP socket there. hawse uses the kernel's WireGuard if available, else one wireguard-go process per
network. An nftables table in the network's namespace drops VXLAN packets outside the tunnel. This table is installed
and read back before any device is up.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from hashlib import sha256
from ipaddress import ip_interface
from itertools import takewhile
from pathlib import Path
from string import Template
from typing import Any

from msgspec.structs import replace

from drivers import sandbox as sandboxes
from drivers.errors import DriverError, KernelError, Unsupported
from drivers.linux import address, libnftables, link, netns, recording, route
from drivers.linux.link import VXLAN_PORT
from drivers.linux.netlink import Session
from drivers.linux.route import Route
from drivers.model import MTU, Difference, NetworkSpec, Sandbox
from drivers.overlay.wireguard_config import WireguardConfig

TABLE = "inet hawse_overlay"
RULES = Path(__file__).parent / "wireguard.nft"
TIMEOUT = 30  # seconds to wait for an external program
START_ATTEMPTS = 20  # maximum attempts to start wireguard-go; an attempt fails while an earlier process ends
RETRY_DELAY_SECONDS = 0.1  # seconds between two attempts to start wireguard-go


def interface_name(run: Path, network_id: str) -> str:
    """Return the name of the tunnel's interface, derived from HAWSE_RUN (``run``) and the network's id.

    The name must differ between hosts that share a file system, because wireguard-go names its control sockets after
    the interface.
    """
    return "hw" + sha256(f"{run} {network_id}".encode()).hexdigest()[:12]


class Tunnel:
    """The WireGuard tunnel of one network on one host; the field ``sandbox`` is the network's namespace.

    Callers are in the host's network namespace.
    """

    def __init__(self, network: NetworkSpec, name: str, sandbox: Sandbox) -> None:
        self.network, self.name, self.sandbox = network, name, sandbox

    def guard(self) -> None:
        """Install the rules that drop VXLAN packets outside the tunnel, and read the rules back; idempotent.

        Raises `Unsupported` if the installation fails or the rules differ. The network must not come up in that case.
        """
        rules = Template(RULES.read_text()).substitute(TUNNEL=self.name)
        script = f"add table {TABLE}\ndelete table {TABLE}\ntable {TABLE} {{\n{rules}}}\n"
        try:
            netns.run_in_netns(self.sandbox.path, lambda: libnftables.run(script))
        except DriverError as error:
            raise self._refused(f"cannot install the rules that block unencrypted packets: {error}") from error
        if not self.is_guarded():
            raise self._refused("the kernel does not hold the rules that block unencrypted packets")

    def is_guarded(self) -> bool:
        """Return whether the kernel holds exactly the rules that `guard` installs."""
        try:
            listed = netns.run_in_netns(self.sandbox.path, lambda: libnftables.listing(f"table {TABLE}"))
        except libnftables.Refused:
            return False
        chains = {c["chain"]["name"]: c["chain"].get("hook") for c in listed if "chain" in c}
        rules = [(r["rule"]["chain"], r["rule"]["expr"]) for r in listed if "rule" in r]
        return rules == self._rules() and chains == {chain: chain for chain, _ in rules}

    def make(self) -> None:
        """Create the tunnel's interface in the network's namespace; idempotent.

        The creation starts in the host's namespace, so that the interface's UDP socket stays there.
        """
        if self.is_there():
            return
        with Session() as host, netns.netns_fd(self.sandbox.path) as namespace:
            # Use an interface that an interrupted creation left in the host's namespace.
            if not link.index(self.name) and not self._in_kernel(host, namespace):
                self._start_process()
            if link.index(self.name):
                # Wait for wireguard-go's answer before the interface is moved to another namespace. wireguard-go
                # searches for its interface in its own namespace only, and answers after it has found the interface.
                self._wg("show", self.name)
                link.change(host, link.index(self.name), net_ns_fd=namespace)

    def is_there(self) -> bool:
        """Return whether the tunnel's interface is in the network's namespace; False if wireguard-go has died."""
        return netns.run_in_netns(self.sandbox.path, lambda: link.index(self.name)) > 0

    def compare(self, config: WireguardConfig, mtu: int) -> list[Difference]:
        """Return how the tunnel's interface and the rules of `guard` differ from the required state.

        The interface's keys and peers are not compared. ``mtu`` is the required MTU, or 0 if it is unknown.
        """
        differences = sandboxes.inside(self.sandbox, lambda there: self._compare_interface(there, config, mtu))
        if not self.is_guarded():
            differences.append(Difference("missing", "tunnel", "the rules against packets in clear"))
        return differences

    def _compare_interface(self, there: Session, config: WireguardConfig, mtu: int) -> list[Difference]:
        interface = link.find(there, self.name)
        if interface is None:
            return [Difference("missing", "tunnel", "the encrypting interface")]
        if not interface.up:  # compare nothing else: the kernel removed the routes when the interface went down
            return [Difference("changed", "tunnel", "the encrypting interface is down")]
        differences = []
        if mtu not in (0, interface.mtu):
            what = f"the encrypting interface has the MTU {interface.mtu} instead of {mtu}"
            differences.append(Difference("changed", "tunnel", what, subject=self.name, setting=MTU))
        if ip_interface(config.address) not in address.of_link(there, interface.index):
            what = f"the encrypting interface's address {config.address}"
            differences.append(Difference("missing", "tunnel", what))
        if route.link_default(config.address.version, interface.index) not in route.widest(there):
            differences.append(Difference("missing", "tunnel", "the default route through the encrypting interface"))
        return differences + [
            Difference("unexpected", "tunnel", f"a route to {other.destination} past the encrypting interface")
            for other in _diverting(there, config, interface.index)
        ]

    def set_up(self, config: WireguardConfig, mtu: int) -> None:
        """Give the interface its keys, peers, address, MTU and default route, and bring it up; idempotent.

        Also removes other programs' routes by which packets for a peer would leave through another interface.
        """

        def configure(there: Session) -> None:
            index = link.index(self.name)
            link.change(there, index, mtu=mtu)
            address.add(there, index, ip_interface(config.address))
            link.change(there, index, state="up")
            for other in _diverting(there, config, index):
                # The request names no next hop and no link, because a request with them does not match the route of a
                # nexthop object (ip-nexthop(8)). Therefore, the kernel removes the first route with this destination,
                # metric and protocol.
                route.remove(there, replace(other, gateway=None, link=0))
            route.add(there, route.link_default(config.address.version, index), replacing=True)

        self.synchronise(config)
        sandboxes.inside(self.sandbox, configure)

    def synchronise(self, config: WireguardConfig) -> None:
        """Set the interface's keys and peers; the WireGuard sessions with unchanged peers continue."""
        syncconf = ("syncconf", self.name, "/dev/stdin")

        def synchronise() -> None:
            recording.command("wg", *syncconf, act=lambda: self._wg(*syncconf, stdin=config.text()), secret=True)

        netns.run_in_netns(self.sandbox.path, synchronise)

    def delete(self, sandbox_exists: bool) -> None:
        """Delete the tunnel's interface in the network's namespace and in the host's namespace; idempotent.

        Both namespaces are searched, because a crash may have left the interface in either. ``sandbox_exists`` says
        whether the network's namespace exists. A wireguard-go process ends when its interface is deleted.
        """
        if sandbox_exists:
            sandboxes.inside(self.sandbox, lambda there: link.delete(there, self.name))
        with Session() as host:
            link.delete(host, self.name)

    def _in_kernel(self, host: Session, namespace: int) -> bool:
        try:
            link.add(host, self.name, "wireguard", net_ns_fd=namespace)
        except KernelError as error:
            if error.errno == errno.EOPNOTSUPP:
                return False
            raise
        return True

    def _start_process(self) -> None:
        """Start wireguard-go in a new process session; raises `Unsupported` if it is missing or does not start.

        The started process goes to the background when the tunnel's interface exists.
        """
        if shutil.which("wireguard-go") is None:
            raise self._refused("this kernel has no WireGuard and the wireguard-go program is missing")
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LOG_LEVEL": "silent"}
        for _ in range(START_ATTEMPTS):
            done = self._run(
                "wireguard-go",
                self.name,
                cwd="/",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # no pipe, because wireguard-go would keep the pipe open
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            if done.returncode == 0:
                recording.command("wireguard-go", self.name)
                return
            time.sleep(RETRY_DELAY_SECONDS)
        raise self._refused("wireguard-go did not start")

    def _wg(self, *argv: str, stdin: str = "") -> None:
        """Run wg(8) with ``stdin`` on its standard input; raises `Unsupported` if wg is missing or fails."""
        if shutil.which("wg") is None:
            raise self._refused("the wg program is missing (package wireguard-tools)")
        done = self._run("wg", *argv, input=stdin, capture_output=True, text=True)
        if done.returncode:
            raise self._refused(f"wg {argv[0]}: {done.stderr.strip()}")

    def _run(self, *command: str, **options: Any) -> subprocess.CompletedProcess[Any]:
        """Run a program with the ``options`` of subprocess.run(); raises `Unsupported` after `TIMEOUT` seconds."""
        try:
            return subprocess.run(command, timeout=TIMEOUT, check=False, **options)
        except subprocess.TimeoutExpired as error:
            raise self._refused(f"{command[0]} did not end within {TIMEOUT} s") from error

    def _rules(self) -> list[tuple[str, list[dict[str, Any]]]]:
        """Return the chain and the expressions of each expected rule, in the form in which nftables lists them."""

        def through(key: str, op: str) -> dict[str, Any]:
            return {"match": {"op": op, "left": {"meta": {"key": key}}, "right": self.name}}

        port = {"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": VXLAN_PORT}}
        drop = {"drop": None}
        return [
            ("output", [port, through("oifname", "!="), drop]),
            ("input", [port, through("iifname", "!="), drop]),
            ("forward", [through("oifname", "=="), drop]),
            ("forward", [through("iifname", "=="), drop]),
        ]

    def _refused(self, why: str) -> Unsupported:
        return Unsupported(f"network {self.network.name} is encrypted and can't come up: {why}")


def _diverting(there: Session, config: WireguardConfig, index: int) -> list[Route]:
    """Return the routes by which the kernel sends packets for a peer to another interface than the tunnel's.

    ``index`` is the index of the tunnel's interface.
    """
    default = route.link_default(config.address.version, index)
    preferred = takewhile(lambda each: each != default, route.covering(there, config.tunnels))
    return [each for each in preferred if each.link != index]
