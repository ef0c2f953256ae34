"""The values that hosts share: a cluster, its nodes, and the endpoints of its networks; and how ids are made."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

MANAGER, WORKER = "manager", "worker"


@dataclass(frozen=True, slots=True)
class Cluster:
    """What all hosts agree on. Addresses of networks come from ``pools``, cut into subnets of ``subnet_size`` bits."""

    id: str
    created: str
    pools: Sequence[str] = ("10.0.0.0/8",)
    subnet_size: int = 24
    data_path_port: int = 4789
    layout: int = 1


@dataclass(frozen=True, slots=True)
class Member:
    """What a manager has admitted a host as. ``index`` is a small number no other node has."""

    id: str
    role: str
    index: int


@dataclass(frozen=True, slots=True)
class Node:
    """A host of the cluster, as it describes itself but for ``id``, ``role`` and ``index``.

    ``data_address`` carries VXLAN packets. A manager's server is at ``address`` and ``enrollment_port``.
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
    memory: int = 0  # bytes
    enrollment_port: int = 2377
    wireguard_key: str = ""  # public
    updated: str = ""


@dataclass(frozen=True, slots=True)
class SharedEndpoint:
    """An endpoint as all hosts see it. ``owner`` names the process that made it, for its own host alone."""

    id: str
    network_id: str
    container_id: str
    node: str
    mac: str
    ipv4: str = ""  # "10.0.1.2/24"
    ipv6: str = ""
    names: Sequence[str] = ()
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The automatic subnet and the VXLAN id handed out last, and the node index: none is used again at once."""

    subnet: str = ""
    vni: int = 4095
    node: int = 0


@dataclass(frozen=True, slots=True)
class Tokens:
    """The secrets that let a host join, by the role it gets."""

    worker: str
    manager: str


@dataclass(frozen=True, slots=True)
class ClusterMembership:
    """What this host knows of its own part: kept in HAWSE_ROOT/cluster/membership.json (0600).

    ``managers`` are the places of all managers' servers. ``urls``, ``user`` and ``password`` reach a store that is not
    ours to run (``external``); managers alone have them.
    """

    cluster_id: str
    node_id: str
    role: str
    address: str
    data_address: str
    managers: Sequence[str] = ()  # "192.0.2.1:2377"
    urls: Sequence[str] = ()
    user: str = ""
    password: str = field(default="", repr=False)
    external: bool = False
    port: int = 2377
    index: int = 0
    wireguard_key: str = field(default="", repr=False)  # private
    renew_at: float = 0.0  # seconds since 1970, by this host's clock: when its certificates are to be renewed
    layout: int = 1

    @property
    def is_manager(self) -> bool:
        """Whether this host may change the cluster."""
        return self.role == MANAGER


ID_LENGTH = 25


DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_id() -> str:
    """Make up an id as Docker's swarm has them: 25 characters, base 36."""
    return base36(secrets.randbits(128), ID_LENGTH)


def derived_id(hexadecimal: str) -> str:
    """The id that stands for an object which has a hexadecimal one."""
    return base36(int(hexadecimal[:32], 16), ID_LENGTH)


def base36(number: int, length: int) -> str:
    """Write a number with at least ``length`` digits."""
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = DIGITS[rest] + digits
    return digits.rjust(length, "0")
