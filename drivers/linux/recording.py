"""The recorder that sees each change of the kernel before it is made, while ``--explain`` or ``--dry-run`` is on.

The modules that act (`drivers.linux.netlink`, `drivers.linux.sysctl`, `drivers.linux.libnftables` and
`drivers.linux.persistent_netns`) pass each change to the recorder. Without a recorder they compare one variable with
None. This module imports nothing of hawse, because the modules that act import it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Recorder(Protocol):
    """What the acting modules require of a recorder. Each method that gets ``act`` returns the result of ``act``, or
    a value of the same type if the recorder replaces the change.

    A recorder keeps only changes that the kernel accepted. Errors of ``act`` pass through.
    """

    def netlink(self, session: Any, messages: Sequence[Any], act: Callable[[], T], nothing: T) -> T:
        """Record netlink messages that are sent together; ``nothing`` is the result if they are not sent.

        ``session`` is a `drivers.linux.netlink.Session`, ``messages`` are `drivers.linux.netlink.Message`.
        """

    def sysctl(self, path: str, value: str, act: Callable[[], object]) -> None:
        """Record the write of a sysctl in the calling thread's network namespace; ``path`` is below /proc/sys."""

    def nft(self, script: str, act: Callable[[], object]) -> None:
        """Record an nftables script in the calling thread's network namespace."""

    def command(self, argv: Sequence[str], act: Callable[[], object], *, secret: bool = False) -> None:
        """Record a change that equals a command; with ``secret``, its input has secrets and is not shown."""

    def comment(self, text: str) -> None:
        """Record a line for the reader about what another process does."""

    def opened(self, path: str, inode: int) -> None:
        """Note the path of a network namespace that was opened."""

    def sysctl_value(self, path: str) -> str | None:
        """Return the value of a sysctl that only the recorder knows, in the calling thread's network namespace, or
        None.
        """

    def link_index(self, name: str, session: Any = None) -> int | None:
        """Return the index of a link that only the recorder knows, 0 if it is deleted, or None if the kernel knows.

        Without ``session``, the link is in the calling thread's network namespace.
        """

    def listed(self, session: Any, kind: int, bodies: list[bytes]) -> list[bytes]:
        """Return the kernel's list of objects, without objects that a recorded change would have removed."""

    @property
    def is_dry_run(self) -> bool:
        """Whether changes do not happen."""


recorder: Recorder | None = None
"""The recorder of this process, or None. Only `engine.explain` sets it."""


def stop() -> None:
    """Make changes without a recorder from now on; for a process that outlives the command."""
    global recorder  # noqa: PLW0603
    recorder = None


def is_dry_run() -> bool:
    """Return whether this process only records changes, and makes none."""
    return recorder is not None and recorder.is_dry_run


def comment(text: str) -> None:
    """Record a line about what another process does for this command; no effect without a recorder."""
    if recorder is not None:
        recorder.comment(text)


def command(*argv: str, act: Callable[[], object] = lambda: None, secret: bool = False) -> None:
    """Make a change that equals a command, and record the command if a recorder is on."""
    if recorder is None:
        act()
    else:
        recorder.command(argv, act, secret=secret)
