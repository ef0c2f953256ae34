"""Router advertisements on a bridge: the host believes none that a container sends.

hawse's own bridges listen to no router at all, and neither does a bridge of the user's that nothing else is plugged
into; what that one did before is noted in HAWSE_RUN, for as long as the kernel keeps the parameter, and restored. A
bridge with other ports may have its router behind one of them, so it goes on listening, and the containers' ports are
muted instead (`drivers.firewall.spoof_guard`).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from drivers.linux import link, names, sysctl
from drivers.linux.netlink import Session

DEAF = "0"


def are_believed(bridge: str) -> bool:
    """Tell whether the host listens to routers on a bridge."""
    return sysctl.read(_parameter(bridge)) not in (DEAF, None)


def ignore(bridge: str) -> None:
    """Have the host listen to no router on a bridge of our own."""
    sysctl.write_if_present(_parameter(bridge), DEAF)


def ignore_where_alone(session: Session, bridge: link.Link, run: Path) -> None:
    """Do the same on a bridge of the user's, unless something that is not ours is plugged into it; idempotent.

    ``run`` is HAWSE_RUN.
    """
    before = sysctl.read(_parameter(bridge.name))
    if before in (DEAF, None) or any(_is_foreign_port(found, bridge) for found in link.all_links(session)):
        return
    note = _note(bridge.name, run)
    note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(note, flags, 0o600), "w", encoding="ascii") as file:
        file.write(str(before))
    ignore(bridge.name)


def restore(bridge: str, run: Path) -> None:
    """Let a bridge of the user's, if it is still there, do what it did before `ignore_where_alone`; idempotent."""
    note = _note(bridge, run)
    with suppress(FileNotFoundError):
        before = note.read_text()
        if before and sysctl.read(_parameter(bridge)) == DEAF:
            sysctl.write(_parameter(bridge), before)
        note.unlink()
    with suppress(OSError):
        note.parent.rmdir()


def _parameter(bridge: str) -> str:
    return sysctl.conf("ipv6", bridge, "accept_ra")


def _is_foreign_port(found: link.Link, bridge: link.Link) -> bool:
    return found.master == bridge.index and not found.alias.startswith(names.ENDPOINT_MARK)


def _note(bridge: str, run: Path) -> Path:
    return run / "accept_ra" / bridge
