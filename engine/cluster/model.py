"""The values that hosts share: a cluster, its nodes and the endpoints of its networks.

Also generates the ids of these values, and reads the VXLAN ids of a network.
"""

from __future__ import annotations

import secrets

from msgspec import Struct

from drivers.options import VNIS
from engine.model import NetworkRecord

MANAGER, WORKER = "manager", "worker"
FIRST_VNI, LAST_VNI = 4096, 2**24 - 1
"""The range of the VXLAN ids that networks get automatically."""


class Cluster(Struct, frozen=True, omit_defaults=True):
    """The settings that all hosts of a cluster share.

    New subnets with the prefix length ``subnet_size`` are taken from the address ranges ``pools``. VXLAN packets go to
    the UDP port ``data_path_port``. ``layout`` is the version of the key names in etcd (`keys.LAYOUT`).
    """

    id: str
    created: str
    pools: tuple[str, ...] = ("10.0.0.0/8",)
    subnet_size: int = 24
    data_path_port: int = 4789
    layout: int = 1


class AdmittedHost(Struct, frozen=True, omit_defaults=True):
    """The record with which a manager admitted a host: node id, role ("worker" or "manager") and node index.

    ``index`` is a small number that no other host has.
    """

    id: str
    role: str
    index: int


class Node(Struct, frozen=True, omit_defaults=True):
    """The record in which a host describes itself; a manager sets the fields ``id``, ``role`` and ``index``.

    VXLAN packets for the host go to ``data_address``. A manager's server listens at ``address`` and
    ``enrollment_port``. ``index`` is a small number that no other host has.
    """

    id: str
    created: str
    hostname: str
    role: str
    address: str
    data_address: str
    index: int
    version: str = ""
    architecture: str = ""
    cpus: int = 0
    memory: int = 0  # bytes of main memory
    enrollment_port: int = 2377
    wireguard_key: str = ""  # the host's public WireGuard key
    updated: str = ""


class SharedEndpoint(Struct, frozen=True, omit_defaults=True):
    """The record of an endpoint in the etcd store, where all hosts can read it.

    ``node`` is the id of the endpoint's host. ``ipv4`` and ``ipv6`` are ``ADDRESS/LENGTH``, or "" without an address.
    ``owner`` names the process that created the endpoint; only the endpoint's own host uses this field.
    """

    id: str
    network_id: str
    container_id: str
    node: str
    mac: str
    ipv4: str = ""  # e.g. "10.0.1.2/24"
    ipv6: str = ""
    names: tuple[str, ...] = ()
    owner: str = ""
    former: bool = False  # true if the endpoint is in no sandbox, and only keeps its addresses (phase `FORMER`)


class Question(Struct, frozen=True, omit_defaults=True):
    """A question of ``hawse trace`` to another host: does its endpoint ``target`` receive and answer packets?

    The asked host has the endpoint ``target``. The packets come from ``source``, an endpoint of the asking host on the
    same network. A manager sets the fields ``id``, ``asker`` (a node id) and ``lease``.
    """

    node: str  # id of the host that is asked
    network_id: str
    source: str  # endpoint id
    target: str  # endpoint id
    protocol: str  # tcp, udp or icmp
    port: int  # 0 with icmp
    version: int  # IP version, 4 or 6
    id: str = ""
    asker: str = ""
    lease: int = 0  # the etcd lease of the question and of its answer


class Cursor(Struct, frozen=True, omit_defaults=True):
    """The last allocated subnet, VXLAN id and node index.

    The next allocation takes values after these, so that a released value is not reused soon.
    """

    subnet: str = ""
    vni: int = FIRST_VNI - 1
    node: int = 0


class Tokens(Struct, frozen=True, omit_defaults=True):
    """The secrets that let a host join a cluster, one secret for each role."""

    worker: str
    manager: str


class ClusterMembership(Struct, frozen=True, omit_defaults=True):
    """This host's membership, stored in HAWSE_ROOT/cluster/membership.json (mode 0600).

    - ``address``, ``port``: where other hosts reach this host
    - ``data_address``: where other hosts send VXLAN packets for this host
    - ``external``: whether the user, and not hawse, runs the cluster's etcd store
    - ``urls``, ``user``, ``password``: those of the external store; only managers have them
    - ``index``: this host's node index, a number that no other host has
    - ``layout``: the version of the key names in etcd
    """

    cluster_id: str
    node_id: str
    role: str
    address: str
    data_address: str
    managers: tuple[str, ...] = ()  # addresses of managers' servers, e.g. "192.0.2.1:2377"
    urls: tuple[str, ...] = ()
    user: str = ""
    password: str = ""
    external: bool = False
    port: int = 2377
    index: int = 0
    wireguard_key: str = ""  # this host's private WireGuard key
    layout: int = 1

    def __repr__(self) -> str:
        """Return a text without the password and the private key."""
        return f"ClusterMembership({self.cluster_id}, {self.node_id}, {self.role})"

    @property
    def is_manager(self) -> bool:
        """Whether this host is a manager. Only managers may change the cluster."""
        return self.role == MANAGER

    @property
    def has_etcd(self) -> bool:
        """Whether hawse runs an etcd member on this host: the host is a manager, and the store is not external."""
        return self.is_manager and not self.external


def vnis_of(record: NetworkRecord) -> list[str]:
    """Return all VXLAN ids of a network, as decimal texts; an id may be listed twice."""
    shown = (record.options or {}).get(VNIS, "")
    return [v for v in f"{shown},{(record.host_options or {}).get(VNIS, '')}".split(",") if v]


ID_LENGTH = 25  # digits of base 36, as in Docker's ids of swarm objects


DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_id() -> str:
    """Return a random id in the format of Docker's swarm: 25 characters, base 36."""
    return base36(secrets.randbits(128), ID_LENGTH)


def derived_id(hexadecimal: str) -> str:
    """Convert the hexadecimal id ``hexadecimal`` to an id in the format of Docker's swarm (see `new_id`)."""
    return base36(int(hexadecimal[:32], 16), ID_LENGTH)


def base36(number: int, length: int) -> str:
    """Return a number in base 36 with at least ``length`` digits."""
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = DIGITS[rest] + digits
    return digits.rjust(length, "0")
