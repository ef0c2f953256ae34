"""Leaving nothing behind: when the last container and the last network of a host are gone, so is all else of hawse.

The default bridge, the firewall table and the forwarding that hawse switched on are taken away a moment after the
command that removed the last user has returned, so that a script which goes on neither waits nor has them made again.
Commands that change something hold the host's lock together; the sweep needs it alone, and gives way to any of them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from dataclasses import replace
from pathlib import Path

from drivers import firewall
from engine import intents
from engine.dispatch.errors import translate_driver_errors
from engine.dispatch.specs import network_spec
from engine.host import Host
from engine.intents import IntentKind
from engine.paths import make_private_directory, open_private
from engine.store import driver_state
from engine.store.api import Reader

DELAY = 1.0
"""Seconds after which a host that nobody uses is swept."""

_held: dict[Path, int] = {}


def hold_shared_lock(host: Host) -> None:
    """Keep the sweep away until this process ends."""
    path = host.run / "locks" / "host"
    if path not in _held:
        make_private_directory(path.parent)
        _held[path] = open_private(path, os.O_RDWR | os.O_CREAT)
        fcntl.flock(_held[path], fcntl.LOCK_SH)


def schedule_cleanup(host: Host) -> None:
    """Sweep in a moment, in a process of its own, if nothing is left that anybody uses."""
    with host.store.read() as reader:
        if not _is_unused(reader):
            return
    if os.fork() == 0:
        _detach()
        time.sleep(DELAY)
        with contextlib.suppress(Exception):
            remove_idle_state(host)
        os._exit(0)


def _detach() -> None:
    """Become nobody's child, with no terminal, no output and no lock."""
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    for descriptor in _held.values():
        os.close(descriptor)
    _held.clear()


def remove_idle_state(host: Host) -> None:
    """Take away the default bridge, the firewall table and our forwarding, unless somebody works or uses them."""
    descriptor = open_private(host.run / "locks" / "host", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with host.store.write() as tx:
            if not _is_unused(tx):
                return
            made = [n for n in tx.networks() if n.predefined and n.driver == "bridge" and n.phase == "live"]
            for network in made:
                tx.put_network(replace(network, phase="planned"))
                intents.begin(tx, IntentKind.NETWORK_ACTIVATE, network.id)
            driver_state.clear(tx)
        for network in made:
            with translate_driver_errors():
                host.driver(network.driver).delete_network(network_spec(network))
            with host.store.write() as tx:
                intents.end(tx, IntentKind.NETWORK_ACTIVATE, network.id)
        firewall.teardown()
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)


def _is_unused(reader: Reader) -> bool:
    return not (reader.has_custom_networks() or reader.has_containers() or reader.intents())
