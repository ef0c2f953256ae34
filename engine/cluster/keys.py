"""The names of all keys in etcd, by prefix.

- ``shared/``: every host reads and watches these keys.
- ``ledger/``: only managers read these keys. The agents do not watch them, so etcd sends no message to all hosts when
  an address is allocated.
- ``secret/``: only managers read these keys. They hold the join tokens.

Only managers write keys. A worker asks a manager's server to write. The server writes for the node that the worker's
certificate names. Each key that belongs to a node contains the node's id.
"""

from __future__ import annotations

LAYOUT = 2
"""Version of the key names in etcd and of the requests to a manager's server. A manager's server refuses hosts that use
another version.
"""

MANAGER_NAME = "hawse-manager"
"""The name in the certificate of every manager's server, at any address. Only managers get a certificate with this
name.
"""

BASE = "/hawse/"
SHARED, LEDGER, SECRET = BASE + "shared/", BASE + "ledger/", BASE + "secret/"

CLUSTER = SHARED + "cluster"
NETWORKS = SHARED + "networks/"
NODES = SHARED + "nodes/"
ALIVE = SHARED + "alive/"
ENDPOINTS = SHARED + "endpoints/"
BALANCERS = SHARED + "balancers/"
QUESTIONS = SHARED + "questions/"

NAMES = LEDGER + "names/"
CURSOR = LEDGER + "cursor"
ADDRESSES = LEDGER + "addresses/"
MACS = LEDGER + "macs/"
SERIAL = LEDGER + "serial/"
MEMBERS = LEDGER + "members/"
ANSWERS = LEDGER + "answers/"

TOKENS = SECRET + "tokens"


def network(network_id: str) -> str:
    """Return the etcd key of a network's record."""
    return NETWORKS + network_id


def name(network_name: str) -> str:
    """Return the etcd key that maps a network's name to the network's id.

    The name is in hexadecimal, because a network's name may contain any character.
    """
    return NAMES + network_name.encode().hex()


def member(node_id: str) -> str:
    """Return the etcd key of the record with which a manager admitted a host.

    While the key exists, managers accept the host's certificate.
    """
    return MEMBERS + node_id


def node(node_id: str) -> str:
    """Return the etcd key of the record in which a node describes itself."""
    return NODES + node_id


def alive(node_id: str) -> str:
    """Return the etcd key that exists while a host's lease is alive. etcd deletes the key when the lease expires."""
    return ALIVE + node_id


def endpoints(network_id: str) -> str:
    """Return the prefix of the etcd keys of a network's endpoints."""
    return f"{ENDPOINTS}{network_id}/"


def endpoint(network_id: str, node_id: str, endpoint_id: str) -> str:
    """Return the etcd key of an endpoint's record; the key contains the id of the node that owns the endpoint."""
    return f"{endpoints(network_id)}{node_id}/{endpoint_id}"


def addresses(network_id: str) -> str:
    """Return the prefix of the etcd keys of a network's used addresses."""
    return f"{ADDRESSES}{network_id}/"


def address(network_id: str, ip: str) -> str:
    """Return the etcd key that reserves an IP address on a network.

    The key's value names the owner: ``node id/endpoint id``, or ``node id/balancer`` for the address of a host itself.
    """
    return addresses(network_id) + ip


def macs(network_id: str) -> str:
    """Return the prefix of the etcd keys of a network's used MAC addresses."""
    return f"{MACS}{network_id}/"


def mac(network_id: str, address: str) -> str:
    """Return the etcd key that reserves a MAC address on a network.

    The key's value is ``node id/endpoint id`` of the owner.
    """
    return macs(network_id) + address


def serial(network_id: str, subnet: str) -> str:
    """Return the etcd key that holds the last address allocated from ``subnet`` (a text such as 10.0.1.0/24)."""
    return f"{SERIAL}{network_id}/{subnet}"


def balancer(network_id: str, node_id: str) -> str:
    """Return the etcd key of the address that a host itself has on a network (Docker's load balancer address).

    The host has this address while the host uses the network.
    """
    return f"{BALANCERS}{network_id}/{node_id}"


def questions(asker_id: str) -> str:
    """Return the prefix of the etcd keys of the open questions that a host has asked (`engine.cluster.questions`)."""
    return f"{QUESTIONS}{asker_id}/"


def question(asker_id: str, node_id: str, question_id: str) -> str:
    """Return the etcd key of a question that the host ``asker_id`` asks the host ``node_id``."""
    return f"{questions(asker_id)}{node_id}/{question_id}"


def answer(question_id: str) -> str:
    """Return the etcd key of the answer to a question. Only managers read this key."""
    return ANSWERS + question_id
