"""Where everything is in etcd.

``shared/`` is what every host may read; ``ledger/`` what is read and written by transactions alone, so that no host
hears of every address; ``secret/`` the join tokens. The hosts that manage write all of it. A worker writes nothing
itself: a manager's server does it for the node that the worker's certificate names, and puts that node's id into the
key of everything the node owns.
"""

from __future__ import annotations

LAYOUT = 2
"""The version of this layout and of what hosts say to a manager's server; a host of another one is refused."""

MANAGER_NAME = "hawse-manager"
"""What the certificates of managers' servers are for, whatever their addresses; no other host gets such a one."""

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
    """A network's record."""
    return NETWORKS + network_id


def name(network_name: str) -> str:
    """Which network has a name; hexadecimal, for a name may contain anything."""
    return NAMES + network_name.encode().hex()


def member(node_id: str) -> str:
    """What a manager has admitted a host as. While it exists, the host's certificate is accepted."""
    return MEMBERS + node_id


def node(node_id: str) -> str:
    """A host's record."""
    return NODES + node_id


def alive(node_id: str) -> str:
    """Exists while the host's lease does."""
    return ALIVE + node_id


def endpoints(network_id: str) -> str:
    """The prefix of a network's endpoints."""
    return f"{ENDPOINTS}{network_id}/"


def endpoint(network_id: str, node_id: str, endpoint_id: str) -> str:
    """An endpoint's record, below the node that owns it."""
    return f"{endpoints(network_id)}{node_id}/{endpoint_id}"


def addresses(network_id: str) -> str:
    """The prefix of a network's addresses in use."""
    return f"{ADDRESSES}{network_id}/"


def address(network_id: str, ip: str) -> str:
    """Which endpoint has one address: ``node id/endpoint id``."""
    return addresses(network_id) + ip


def macs(network_id: str) -> str:
    """The prefix of a network's MAC addresses in use."""
    return f"{MACS}{network_id}/"


def mac(network_id: str, address: str) -> str:
    """Which endpoint has one MAC address: ``node id/endpoint id``."""
    return macs(network_id) + address


def serial(network_id: str, subnet: str) -> str:
    """The address of a subnet that was handed out last."""
    return f"{SERIAL}{network_id}/{subnet}"


def balancer(network_id: str, node_id: str) -> str:
    """The address that a host itself has on a network while it uses it."""
    return f"{BALANCERS}{network_id}/{node_id}"
