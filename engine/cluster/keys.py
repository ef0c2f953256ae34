"""Where everything is in etcd.

``shared/`` is what every host follows; ``ledger/`` what is read and written by transactions alone, so that nobody
hears of every address; ``secret/`` what managers may read only.
"""

from __future__ import annotations

BASE = "/hawse/"
SHARED, LEDGER, SECRET = BASE + "shared/", BASE + "ledger/", BASE + "secret/"

CLUSTER = SHARED + "cluster"
NETWORKS = SHARED + "networks/"
NODES = SHARED + "nodes/"
ALIVE = SHARED + "alive/"
ENDPOINTS = SHARED + "endpoints/"

NAMES = LEDGER + "names/"
CURSOR = LEDGER + "cursor"
ADDRESSES = LEDGER + "addresses/"
SERIAL = LEDGER + "serial/"
BALANCERS = SHARED + "balancers/"

TOKENS = SECRET + "tokens"

WRITTEN_BY_WORKERS = (NODES, ALIVE, ENDPOINTS, ADDRESSES, SERIAL, BALANCERS)


def network(network_id: str) -> str:
    """A network's record."""
    return NETWORKS + network_id


def name(network_name: str) -> str:
    """Which network has a name; hexadecimal, for a name may contain anything."""
    return NAMES + network_name.encode().hex()


def node(node_id: str) -> str:
    """A host's record."""
    return NODES + node_id


def alive(node_id: str) -> str:
    """Exists while the host's lease does."""
    return ALIVE + node_id


def endpoints(network_id: str) -> str:
    """The prefix of a network's endpoints."""
    return f"{ENDPOINTS}{network_id}/"


def endpoint(network_id: str, endpoint_id: str) -> str:
    """An endpoint's record."""
    return endpoints(network_id) + endpoint_id


def addresses(network_id: str) -> str:
    """The prefix of a network's addresses in use."""
    return f"{ADDRESSES}{network_id}/"


def address(network_id: str, ip: str) -> str:
    """Who has one address: ``node id/endpoint id``."""
    return addresses(network_id) + ip


def serial(network_id: str, subnet: str) -> str:
    """The address of a subnet that was handed out last."""
    return f"{SERIAL}{network_id}/{subnet}"


def balancer(network_id: str, node_id: str) -> str:
    """The address that a host itself has on a network while it uses it."""
    return f"{BALANCERS}{network_id}/{node_id}"
