"""The agent's own table ``inet hawse_standby``, which blocks packets while the table ``inet hawse`` is lost.

The agent's netlink socket owns the table (Linux 5.12). Therefore, other programs cannot flush the table, and the kernel
removes the table when the agent ends. The file ``standby.nft`` explains the table's rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from drivers.firewall.elements import name
from drivers.linux.libnftables import Context

TABLE = "inet hawse_standby"
SETS = ("blocked", "enclosed", "strangers")


class Standby:
    """The table ``inet hawse_standby``; the constructor creates it, and `close` removes it.

    The table blocks packets while the table ``inet hawse`` is lost. The constructor raises a `DriverError` if the
    kernel or libnftables does not support tables that one socket owns.
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
        """Block new connections through ``bridges``, and forwarding between interfaces that are not in ``bridges``.

        - ``internal``: the bridges of internal networks; new connections from them to the host are blocked too
        - ``families``: the address families (``ipv4``, ``ipv6``) in which the forwarding is blocked
        """
        sets = zip(SETS, (map(name, bridges), map(name, internal), families), strict=True)
        listed = [(set_name, ", ".join(keys)) for set_name, keys in sets]
        script = "".join(f"add element {TABLE} {s} {{ {keys} }}\n" for s, keys in listed if keys)
        if script != self._blocking:
            self._context.run(script)
            self._blocking = script

    def unblock(self) -> None:
        """Stop the blocking that `block` started; idempotent."""
        if self._blocking:
            self._context.run("".join(f"flush set {TABLE} {set_name}\n" for set_name in SETS))
            self._blocking = ""

    def close(self) -> None:
        """Remove the standby table; idempotent."""
        self._context.close()
