"""Make the host ignore the router advertisements that containers send on bridges.

There are three kinds of bridges:

- On its own bridges, hawse switches accept_ra off.
- On a user's bridge with only ports of hawse, hawse switches accept_ra off too. It stores the earlier value of
  accept_ra in HAWSE_RUN and restores it later. HAWSE_RUN lasts until the next boot, as the sysctl does.
- On a user's bridge with other ports, accept_ra stays on, because a router may be behind one of these ports. The
  firewall drops the advertisements that arrive at the containers' ports (`drivers.firewall.spoof_guard`).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from drivers.linux import link, sysctl
from drivers.linux.netlink import Session

IGNORED = "0"


def are_accepted(bridge: str) -> bool:
    """Return whether the host accepts router advertisements on a bridge."""
    return sysctl.read(_parameter(bridge)) not in (IGNORED, None)


def ignore(bridge: str) -> None:
    """Make the host ignore router advertisements on a bridge."""
    sysctl.write_if_present(_parameter(bridge), IGNORED)


def ignore_where_alone(session: Session, bridge: link.Link, run: Path) -> None:
    """Make the host ignore router advertisements on a user's bridge if all ports of the bridge are hawse's; idempotent.

    If any port of the bridge is not hawse's, nothing is changed. The earlier value of the sysctl accept_ra is stored
    below ``run``, which is HAWSE_RUN, so that `restore` can restore it.
    """
    before = sysctl.read(_parameter(bridge.name))
    if before in (IGNORED, None) or any(_is_foreign_port(interface, bridge) for interface in link.all_links(session)):
        return
    note = _note(bridge.name, run)
    note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(note, flags, 0o600), "w", encoding="ascii") as file:
        file.write(str(before))
    ignore(bridge.name)


def restore(bridge: str, run: Path) -> None:
    """Restore the value of accept_ra that `ignore_where_alone` changed on a user's bridge; idempotent.

    ``run`` is HAWSE_RUN. A missing bridge is ignored.
    """
    note = _note(bridge, run)
    with suppress(FileNotFoundError):
        before = note.read_text()
        if before and sysctl.read(_parameter(bridge)) == IGNORED:
            sysctl.write(_parameter(bridge), before)
        note.unlink()


def _parameter(bridge: str) -> str:
    return sysctl.conf("ipv6", bridge, "accept_ra")


def _is_foreign_port(interface: link.Link, bridge: link.Link) -> bool:
    return interface.master == bridge.index and not interface.endpoint_id


def _note(bridge: str, run: Path) -> Path:
    return run / "accept_ra" / bridge
