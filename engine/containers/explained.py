"""What the processes of a container change in its network namespace, for ``--explain``.

The command does not make these changes itself, so the recorder does not see them.
"""

from __future__ import annotations

from drivers.linux import recording
from engine.model import ContainerRecord
from engine.runtime.rootfs import DEFAULT_SYSCTLS


def new_namespace(record: ContainerRecord) -> None:
    """Record that the container's process has a new network namespace, and the sysctls that the process sets there."""
    path = record.sandbox_path
    recording.comment(
        f"The supervisor starts the container's process in a new network namespace, as unshare --net: {path}"
    )
    for name, value in DEFAULT_SYSCTLS.items():
        _sysctl(path, f"net.ipv4.{name}", value.decode())


def start(record: ContainerRecord) -> None:
    """Record the values of ``--sysctl``, which the container's process sets before it executes the command.

    With ``--rm``, also record who removes the container.
    """
    for key, value in record.host.sysctls.items():
        _sysctl(record.sandbox_path, key, value)
    if record.host.auto_remove:
        recording.comment("At the end, the supervisor starts a program that removes the container, as hawse rm does.")


def _sysctl(path: str, key: str, value: str) -> None:
    if key.startswith("net."):
        recording.command("nsenter", f"--net={path}", "sysctl", "-w", f"{key}={value}")
