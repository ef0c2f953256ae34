"""The WireGuard configuration of an encrypted network on one host, as JSON in one of the network's options.

Example: ``{"private_key": …, "listen_port": 51820, "address": "10.255.0.1", "peers": [{"public_key": …, "endpoint":
"192.0.2.2", "port": 51820, "address": "10.255.0.2"}]}``. Keys are in base64. ``endpoint`` is a peer's address on the
network between the hosts (the underlay), and ``address`` is an address inside the tunnel. A peer's ``port`` defaults to
the listen port.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from collections.abc import Collection
from ipaddress import ip_address
from typing import Any

from msgspec import Struct

from drivers.errors import BadOption
from drivers.model import IPAddress
from drivers.scalars import socket_text

KEY_BYTES = 32
MAX_PORT = 65535


class WireguardPeer(Struct, frozen=True):
    """Another host of the network: its public key, underlay address, port and tunnel address."""

    public_key: str
    endpoint: IPAddress
    port: int
    address: IPAddress


class WireguardConfig(Struct, frozen=True):
    """The WireGuard configuration of this host: its private key, port and tunnel address, and the other hosts."""

    private_key: str
    listen_port: int
    address: IPAddress
    peers: tuple[WireguardPeer, ...] = ()

    def __repr__(self) -> str:
        """Return a text without the private key."""
        return f"WireguardConfig({self.listen_port}, {self.address}, {self.peers})"

    @property
    def tunnels(self) -> Collection[IPAddress]:
        """The tunnel addresses of all other hosts, without duplicates."""
        return dict.fromkeys(peer.address for peer in self.peers)

    def text(self) -> str:
        """Return the configuration in the syntax of ``wg syncconf`` (wg(8))."""
        lines = ["[Interface]", f"PrivateKey = {self.private_key}", f"ListenPort = {self.listen_port}"]
        for peer in self.peers:
            lines += ["[Peer]", f"PublicKey = {peer.public_key}", f"Endpoint = {socket_text(peer.endpoint, peer.port)}"]
            lines += [f"AllowedIPs = {peer.address}/{peer.address.max_prefixlen}"]
        return "\n".join(lines) + "\n"


def parse(label: str, value: str) -> WireguardConfig:
    """Parse the JSON text ``value`` of the option ``label``; raises `BadOption`.

    The error's text names the mistake, and never shows a key.
    """
    try:
        document = json.loads(value)
        port = _port(document["listen_port"])
        peers = tuple(_peer(item, port) for item in document.get("peers", ()))
        return WireguardConfig(_key(document["private_key"]), port, ip_address(document["address"]), peers)
    except KeyError as error:
        raise BadOption(f"{label}: {error.args[0]} is missing") from None
    except json.JSONDecodeError:
        raise BadOption(f"{label}: not valid JSON") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise BadOption(f"{label}: {error}") from None


def _peer(item: Any, port: int) -> WireguardPeer:
    return WireguardPeer(
        public_key=_key(item["public_key"]),
        endpoint=ip_address(item["endpoint"]),
        port=_port(item.get("port", port)),
        address=ip_address(item["address"]),
    )


def _key(text: Any) -> str:
    try:
        if isinstance(text, str) and len(b64decode(text, validate=True)) == KEY_BYTES:
            return text
    except (binascii.Error, ValueError):
        pass
    raise ValueError("a key is not 32 bytes in base64")


def _port(number: Any) -> int:
    if type(number) is not int or not 0 < number <= MAX_PORT:
        raise ValueError(f"no port number: {number}")
    return number
