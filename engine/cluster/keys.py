"""The layout of all keys in etcd.

- ``shared/`` is readable by every host.
- ``ledger/`` is read and written only in transactions, so that not every host is notified of every address.
- ``secret/`` holds the join tokens.

Managers write all keys. A worker writes nothing itself: a manager's server writes for the node that the worker's
certificate names. The id of the owning node is part of the key of everything that the node owns.
"""

from __future__ import annotations

LAYOUT = 2
"""Version of this layout and of the protocol with a manager's server. A host with another version is refused."""

MANAGER_NAME = "hawse-manager"
"""The name in the certificates of managers' servers, whatever their addresses. No other host gets such a certificate.
"""

BASE = "/hawse/"
SHARED, LEDGER, SECRET = BASE + "shared/", BASE + "ledger/", BASE + "secret/"

CLUSTER = SHARED + "cluster"
NETWORKS = SHARED + "networks/"
NODES = SHARED + "nodes/"
ALIVE = SHARED + "alive/"
ENDPOINTS = SHARED + "endpoints/"
BALANCERS = SHARED + "balancers/"

NAMES = LEDGER + "names/"
CURSOR = LEDGER + "cursor"
ADDRESSES = LEDGER + "addresses/"
MACS = LEDGER + "macs/"
SERIAL = LEDGER + "serial/"
MEMBERS = LEDGER + "members/"

TOKENS = SECRET + "tokens"


def network(network_id: str) -> str:
    """Return the key of a network's record."""
    return NETWORKS + network_id


def name(network_name: str) -> str:
    """Return the key that maps a network's name to its id.

    The name is in hexadecimal, because it may hold any character.
    """
    return NAMES + network_name.encode().hex()


def member(node_id: str) -> str:
    """Return the key of a host's admission record. While it exists, the host's certificate is accepted."""
    return MEMBERS + node_id


def node(node_id: str) -> str:
    """Return the key of a node's record."""
    return NODES + node_id


def alive(node_id: str) -> str:
    """Return the key that exists while the host's lease exists."""
    return ALIVE + node_id


def endpoints(network_id: str) -> str:
    """Return the prefix of the keys of a network's endpoints."""
    return f"{ENDPOINTS}{network_id}/"


def endpoint(network_id: str, node_id: str, endpoint_id: str) -> str:
    """Return the key of an endpoint's record, below the node that owns it."""
    return f"{endpoints(network_id)}{node_id}/{endpoint_id}"


def addresses(network_id: str) -> str:
    """Return the prefix of the keys of a network's used addresses."""
    return f"{ADDRESSES}{network_id}/"


def address(network_id: str, ip: str) -> str:
    """Return the key of a used address. Its value is ``node id/endpoint id`` of the owner."""
    return addresses(network_id) + ip


def macs(network_id: str) -> str:
    """Return the prefix of the keys of a network's used MAC addresses."""
    return f"{MACS}{network_id}/"


def mac(network_id: str, address: str) -> str:
    """Return the key of a used MAC address. Its value is ``node id/endpoint id`` of the owner."""
    return macs(network_id) + address


def serial(network_id: str, subnet: str) -> str:
    """Return the key of the address that was last allocated from a subnet."""
    return f"{SERIAL}{network_id}/{subnet}"


def balancer(network_id: str, node_id: str) -> str:
    """Return the key of the host's own address on a network, which it has while it uses the network."""
    return f"{BALANCERS}{network_id}/{node_id}"
