"""The agent's own table ``inet hawse_standby``, which protects while the table ``inet hawse`` is lost.

The netlink socket of this process owns the table (Linux 5.12). Therefore, other programs cannot flush it, and it is
removed when the process ends. ``standby.nft`` explains its rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from drivers.firewall.elements import name
from drivers.linux.libnftables import Context

TABLE = "inet hawse_standby"
SETS = ("blocked", "enclosed", "strangers")


class Standby:
    """The standby table, from creation to `close`.

    Raises a `DriverError` if the kernel or libnftables does not support table owners.
    """

    def __init__(self) -> None:
        self._context = Context()
        self._blocking = ""
        try:
            self._context.run((Path(__file__).parent / "standby.nft").read_text())
        except BaseException:
            self._context.close()
            raise

    def block(self, bridges: Iterable[str], internal: Iterable[str], families: Iterable[str]) -> None:
        """Block new connections of these bridges, and forwarding of other interfaces' packets.

        From ``internal`` bridges, new connections to the host are blocked too. ``families`` (``ipv4``, ``ipv6``) are
        those in which other interfaces' packets are dropped.
        """
        sets = zip(SETS, (map(name, bridges), map(name, internal), families), strict=True)
        listed = [(set_name, ", ".join(keys)) for set_name, keys in sets]
        script = "".join(f"add element {TABLE} {s} {{ {keys} }}\n" for s, keys in listed if keys)
        if script != self._blocking:
            self._context.run(script)
            self._blocking = script

    def unblock(self) -> None:
        """End the blocking that `block` started; idempotent."""
        if self._blocking:
            self._context.run("".join(f"flush set {TABLE} {set_name}\n" for set_name in SETS))
            self._blocking = ""

    def close(self) -> None:
        """Remove the table; idempotent."""
        self._context.close()
