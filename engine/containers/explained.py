"""Record for ``--explain`` the changes that the container's process and the agent make in the container's namespace.

The recorder sees only the changes that the command itself makes. Therefore these functions add the changes of the other
processes to the recorder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import IPv4Address
from typing import TypeVar

from drivers.errors import DriverError
from drivers.firewall import resolver_redirect
from drivers.linux import netns, recording
from engine.endpoints.sandbox import JoinedEndpoint
from engine.model import ContainerRecord
from engine.resolv_conf import INTERNAL_RESOLVER
from engine.runtime.rootfs import DEFAULT_SYSCTLS

T = TypeVar("T")
SERVES_NAMES = "The agent serves DNS in the container's network namespace, at 127.0.0.11."


def new_namespace(record: ContainerRecord) -> None:
    """Record for ``--explain`` the container's new network namespace, and the sysctls that its process sets there."""
    path = record.sandbox_path
    recording.comment(
        f"The supervisor starts the container's process in a new network namespace, as unshare --net: {path}"
    )
    for name, value in DEFAULT_SYSCTLS.items():
        _sysctl(path, f"net.ipv4.{name}", value.decode())


def start(record: ContainerRecord) -> None:
    """Record for ``--explain`` the sysctls of the option ``--sysctl``.

    The container's process sets these sysctls before it executes the container's command. With ``--rm``, also records
    which process removes the container.
    """
    for key, value in record.host.sysctls.items():
        _sysctl(record.sandbox_path, key, value)
    if record.host.auto_remove:
        recording.comment("At the end, the supervisor starts a program that removes the container, as hawse rm does.")


def serves_names(record: ContainerRecord) -> bool:
    """Return whether the agent has redirected DNS queries in the container's namespace."""
    return _bound_port(record) > 0


def resolver(record: ContainerRecord, members: Sequence[JoinedEndpoint]) -> None:
    """Record for ``--explain`` the redirection of DNS queries that the agent has just made in a container's namespace.

    ``members`` are the container's endpoints. Nothing is recorded for a container that is only on predefined networks,
    because containers have no DNS names there.
    """
    if recording.recorder is None or all(member.network.predefined for member in members):
        return
    recording.comment(SERVES_NAMES)
    port = _bound_port(record)
    if port:
        script = resolver_redirect.script(IPv4Address(INTERNAL_RESOLVER), port)
        _inside(record, partial(recording.recorder.nft, script, lambda: None))


def _bound_port(record: ContainerRecord) -> int:
    try:
        return _inside(record, resolver_redirect.bound_port)
    except DriverError:
        return 0  # the container has ended


def _inside(record: ContainerRecord, action: Callable[[], T]) -> T:
    return netns.run_in_netns(record.sandbox_path, action, record.sandbox_inode)


def _sysctl(path: str, key: str, value: str) -> None:
    if key.startswith("net."):
        recording.command("nsenter", f"--net={path}", "sysctl", "-w", f"{key}={value}")
