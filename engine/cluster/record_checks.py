"""Checks of the records in the etcd store. A manager checks a record before writing it; each host checks what it reads.

Readers ignore a record that they cannot parse, or that does not match its etcd key. Therefore an invalid record cannot
stop the agent of any host.
"""

from __future__ import annotations

import re
import socket
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from ipaddress import ip_address, ip_network
from typing import TypeVar

from engine.cluster import keys
from engine.cluster.etcd import KeyValue
from engine.cluster.model import MANAGER, WORKER, Node, Question, SharedEndpoint, vnis_of
from engine.model import NetworkRecord
from engine.store.codec import decode

ID = re.compile(r"[A-Za-z0-9]{1,64}")
ENDPOINT_ID = re.compile(r"[0-9a-f]{1,64}")
"""Pattern of an endpoint's id, which is a hexadecimal number (`derived_id`)."""
CONTAINER = re.compile(r"[A-Za-z0-9_.\-]{1,128}")
OWNER = re.compile(r"(?:[0-9]{1,20}:[0-9]{1,20})?")
MAC = re.compile(r"[0-9a-f][02468ace](?::[0-9a-f]{2}){5}")
"""Pattern of a unicast MAC address, in which the group bit is not set."""
NOTHING = "00:00:00:00:00:00"
WORDS = re.compile(r"[^\x00-\x1f\x7f]*")
MOST_NAMES, LONGEST_NAME, LONGEST_TEXT = 256, 255, 256
ALL_NAMES = 8192
"""Maximum number of characters of all names of one endpoint together."""
HIGHEST_INDEX = 2**16 - 2
"""Highest node index, because the tunnels of an encrypted network have no addresses for higher indexes."""
KEY_BYTES = 32
PROTOCOLS = ("tcp", "udp", "icmp")

T = TypeVar("T")
Values = Iterable[tuple[str, str]]


def check_node(node: Node) -> Node:
    """Check a node record, and return it unchanged; raises ValueError if other hosts could not use the record."""
    _require(ID.fullmatch(node.id), "id")
    _require(node.role in (MANAGER, WORKER), "role")
    _require(0 < node.index <= HIGHEST_INDEX, "index")
    for text in (node.created, node.updated, node.hostname, node.version, node.architecture):
        _require(len(text) <= LONGEST_TEXT and WORDS.fullmatch(text), "text")
    _require(0 <= node.cpus < 2**32 and 0 <= node.memory < 2**63, "resources")
    _require(0 < node.enrollment_port < 2**16, "port")
    for address in (node.address, node.data_address):
        # IPv6 addresses with a zone ("%eth0") are refused: `ip_address` accepts any text as a zone, even newlines.
        ip = ip_address(address)
        _require("%" not in address and not (ip.is_unspecified or ip.is_multicast), f"address {address!r}")
    if node.wireguard_key:
        _check_key(node.wireguard_key)
    return node


def _check_key(text: str) -> None:
    """Check that ``text`` is a WireGuard key in canonical base64; raises ValueError if not.

    The last digit of the base64 text has two bits that decoders ignore. Therefore one key has four texts. Only the
    canonical text is accepted, because wg(8) refuses the others and because keys are compared as texts.
    """
    key = b64decode(text, validate=True)
    _require(len(key) == KEY_BYTES and b64encode(key).decode() == text, "key")


def check_endpoint(endpoint: SharedEndpoint) -> SharedEndpoint:
    """Check an endpoint record, and return it unchanged; raises ValueError if other hosts could not use the record."""
    _require(ENDPOINT_ID.fullmatch(endpoint.id), "id")
    for identity in (endpoint.network_id, endpoint.node):
        _require(ID.fullmatch(identity), "id")
    _require(CONTAINER.fullmatch(endpoint.container_id), "container")
    _require(OWNER.fullmatch(endpoint.owner), "owner")
    _require(MAC.fullmatch(endpoint.mac) and endpoint.mac != NOTHING, f"MAC address {endpoint.mac}")
    for address, family, longest in ((endpoint.ipv4, socket.AF_INET, 32), (endpoint.ipv6, socket.AF_INET6, 128)):
        if address:
            _check_interface(address, family, longest)
    _require(len(endpoint.names) <= MOST_NAMES and sum(map(len, endpoint.names)) <= ALL_NAMES, "names")
    for name in endpoint.names:
        _require(0 < len(name) <= LONGEST_NAME and WORDS.fullmatch(name), "name")
    return endpoint


def check_question(question: Question) -> Question:
    """Check a ``hawse trace`` question to another host, and return it; raises ValueError if it is malformed."""
    for identity in (question.node, question.network_id, question.source, question.target, question.id, question.asker):
        _require(ID.fullmatch(identity), "id")
    _require(question.protocol in PROTOCOLS, "protocol")
    _require(0 <= question.port < 2**16 and (question.port == 0) == (question.protocol == "icmp"), "port")
    _require(question.version in (4, 6), "IP version")
    _require(0 <= question.lease < 2**63, "lease")
    return question


def _check_interface(text: str, family: int, longest: int) -> None:
    """Check that ``text`` is ``ADDRESS/LENGTH`` with an address of the address family; raises ValueError if not.

    ``family`` is socket.AF_INET or socket.AF_INET6, ``longest`` the greatest valid LENGTH. The function does not use
    the module `ipaddress`, because a joining host checks about a thousand addresses and `ipaddress` is too slow.
    """
    address, slash, length = text.partition("/")
    try:
        socket.inet_pton(family, address)
    except OSError:
        raise ValueError(f"address {text!r}") from None
    _require(slash and length.isascii() and length.isdigit() and int(length) <= longest, f"address {text!r}")


def _require(truth: object, what: str) -> None:
    if not truth:
        raise ValueError(f"its {what} cannot be")


def read_node(key: str, value: str) -> Node:
    """Return a node's record from an etcd key and its value; raises ValueError if the record is invalid."""
    node = check_node(decode(Node, value))
    _require(key == keys.node(node.id), "key")
    return node


def read_endpoint(key: str, value: str) -> SharedEndpoint:
    """Return an endpoint's record from an etcd key and its value; raises ValueError if the record is invalid."""
    endpoint = check_endpoint(decode(SharedEndpoint, value))
    _require(key == keys.endpoint(endpoint.network_id, endpoint.node, endpoint.id), "key")
    return endpoint


def read_question(key: str, value: str) -> Question:
    """Return the `Question` in an etcd key and its value; raises ValueError if the question is invalid."""
    question = check_question(decode(Question, value))
    _require(key == keys.question(question.asker, question.node, question.id), "key")
    return question


def read_network(key: str, value: str) -> NetworkRecord:
    """Return a network's record from an etcd key and its value; raises ValueError if the record is invalid.

    A record is also invalid if its subnets or VXLAN ids cannot be parsed.
    """
    network = decode(NetworkRecord, value)
    _require(key == keys.network(network.id), "key")
    for pool in network.pools:
        ip_network(pool.subnet)
    for vni in vnis_of(network) if network.driver == "overlay" else ():
        int(vni)
    return network


def read_balancer(key: str, value: str) -> str:
    """Return the IP address in ``value``; raises ValueError for any other text.

    This is a host's own address on a network, which Docker calls the load balancer's address. ``key`` is not used.
    """
    return str(ip_address(value))


def readable(
    values: Values, read: Callable[[str, str], T], refused: Callable[[str, str], None] = lambda key, why: None
) -> dict[str, T]:
    """Return the valid records by etcd key; for each invalid record, call ``refused`` with the key and the reason.

    ``values`` are pairs of key and value. ``read`` is one of the functions above.
    """
    records = {}
    for key, value in values:
        try:
            records[key] = read(key, value)
        except (ValueError, RecursionError) as error:
            refused(key, str(error))
    return records


def all_readable(pairs: Iterable[KeyValue], read: Callable[[str, str], T]) -> list[T]:
    """Return the valid records among the keys and values that an etcd client has read.

    ``read`` is one of the functions above. Invalid records are left out without a message, because the agent logs them.
    """
    return list(readable(((kv.key, kv.value) for kv in pairs), read).values())
