"""The agent's own table ``inet hawse_standby``, which holds while another program has taken our table away.

The table belongs to the netlink socket of this process (Linux 5.12): flushes of others pass it by, and it ends with the
process. What is in it, and why, says ``standby.nft``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from drivers.firewall.elements import name
from drivers.linux.libnftables import Context

TABLE = "inet hawse_standby"
SETS = ("blocked", "enclosed", "strangers")


class Standby:
    """The table, from here to `close`; raises a `DriverError` where the kernel or the library does not know owners."""

    def __init__(self) -> None:
        self._context = Context()
        self._blocking = ""
        try:
            self._context.run((Path(__file__).parent / "standby.nft").read_text())
        except BaseException:
            self._context.close()
            raise

    def block(self, bridges: Iterable[str], internal: Iterable[str], families: Iterable[str]) -> None:
        """Let no new connection pass these bridges, nor strangers of these families (``ipv4``, ``ipv6``)."""
        given = zip(SETS, (map(name, bridges), map(name, internal), families), strict=True)
        listed = [(set_name, ", ".join(keys)) for set_name, keys in given]
        script = "".join(f"add element {TABLE} {s} {{ {keys} }}\n" for s, keys in listed if keys)
        if script != self._blocking:
            self._context.run(script)
            self._blocking = script

    def unblock(self) -> None:
        """End `block`; idempotent."""
        if self._blocking:
            self._context.run("".join(f"flush set {TABLE} {set_name}\n" for set_name in SETS))
            self._blocking = ""

    def close(self) -> None:
        """Remove the table; idempotent."""
        self._context.close()
