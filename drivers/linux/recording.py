"""The recorder of ``--explain`` and ``--dry-run``, which receives each change to the kernel before it is made.

The modules that change the kernel (`drivers.linux.netlink`, `drivers.linux.sysctl`, `drivers.linux.libnftables` and
`drivers.linux.persistent_netns`) pass each change to the recorder. Without a recorder, these modules only compare
one variable with None. This module imports nothing of hawse, because the other modules import it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Recorder(Protocol):
    """The interface of recorders. The modules that change the kernel call these methods.

    The argument ``act`` makes the change:

    - With ``--explain``, each method calls ``act``. If ``act`` raises an error, the change is not recorded, and the
      method raises the error.
    - With ``--dry-run``, `netlink` and `nft` call ``act`` only for queries, and for changes in this process's temporary
      network namespaces. The other methods do not call ``act``.
    """

    def netlink(self, session: Any, messages: Sequence[Any], act: Callable[[], T], nothing: T) -> T:
        """Record netlink messages that ``act`` sends together, and return the result of ``act``.

        If the messages are not sent, the result is ``nothing``, or an answer that the recorder makes. ``session`` is a
        `drivers.linux.netlink.Session`, ``messages`` are `drivers.linux.netlink.Message`.
        """

    def sysctl(self, path: str, value: str, act: Callable[[], object]) -> None:
        """Record the write of a sysctl, which ``act`` makes; ``path`` is below /proc/sys.

        The sysctl is in the calling thread's network namespace.
        """

    def nft(self, script: str, act: Callable[[], object]) -> None:
        """Record an nftables script, which ``act`` runs in the calling thread's network namespace."""

    def command(self, argv: Sequence[str], act: Callable[[], object], *, secret: bool = False) -> None:
        """Record the command line ``argv`` for a change of the kernel that ``act`` makes.

        With ``secret``, the program's input contains secrets and is not shown.
        """

    def comment(self, text: str) -> None:
        """Record a comment line that says what another process does."""

    def opened(self, path: str, inode: int) -> None:
        """Record the path by which a network namespace was opened; ``inode`` is its inode number."""

    def sysctl_value(self, path: str) -> str | None:
        """Return the value that a sysctl has in the dry run, or None if the caller must ask the kernel.

        The sysctl is in the calling thread's network namespace.
        """

    def link_index(self, name: str, session: Any = None) -> int | None:
        """Return a link's index if the dry run has made the link, 0 if the dry run has deleted the link, else None.

        If the result is None, the caller must ask the kernel. The link is in the namespace of ``session``. Without
        ``session``, the link is in the calling thread's network namespace.
        """

    def rule_comments(self, table: str, chain: str) -> list[str]:
        """Return the comments of the rules that a dry run would have added to a chain.

        ``table`` is family and name. The table is in the calling thread's network namespace.
        """

    def listed(self, session: Any, kind: int, bodies: list[bytes]) -> list[bytes]:
        """Return the kernel's list of objects, without the objects that a recorded change would have removed.

        ``kind`` is the netlink type of the request, and ``bodies`` are the messages of the list.
        """

    @property
    def is_dry_run(self) -> bool:
        """Whether the recorder makes no changes."""


recorder: Recorder | None = None
"""The recorder of this process, or None. Only `engine.explain` sets it."""


def stop() -> None:
    """Record no further changes of this process. A process that outlives the command calls this function."""
    global recorder  # noqa: PLW0603
    recorder = None


def is_recording() -> bool:
    """Return whether this process records its changes."""
    return recorder is not None


def is_dry_run() -> bool:
    """Return whether this process only records changes, and makes none."""
    return recorder is not None and recorder.is_dry_run


def comment(text: str) -> None:
    """Record a comment line that says what another process does for this command; no effect without a recorder."""
    if recorder is not None:
        recorder.comment(text)


def command(*argv: str, act: Callable[[], object] = lambda: None, secret: bool = False) -> None:
    """Make a change by calling ``act``; with a recorder, also record the equivalent command ``argv``.

    A dry run records the command and does not call ``act``. Without ``act``, the caller makes the change. With
    ``secret``, the command's input contains secrets and is not shown.
    """
    if recorder is None:
        act()
    else:
        recorder.command(argv, act, secret=secret)
