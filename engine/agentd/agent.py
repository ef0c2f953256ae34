"""The agent: runs its services on one event loop, and updates the services when the local store changes.

The agent ends when no service needs it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from socket import socket

from engine.agent.service import Service, Snapshot
from engine.agentd.control import Control
from engine.containers import lookup
from engine.endpoints import boots
from engine.errors import Damaged, EngineError, Outdated
from engine.eventloop.loop import Loop, Timer
from engine.runtime.guarded import Guarded
from engine.store.api import Store

IDLE_SECONDS = 10.0
"""Seconds after which the agent ends if no service needs it."""


class Agent:
    """The agent: runs its services until a signal, or until two checks in a row find that nothing needs it.

    - ``later``: services that no command needs; they are updated last, after waiting commands have got their answer
    - ``idle``: twice the number of seconds between two checks
    - ``stays``: the agent ends only after a signal or a call of `leave`
    - ``guarded`` is notified when the guard (`engine.runtime.guard`) connects or ends
    - ``extend`` adds the endpoints of other hosts to a snapshot
    - ``warnings`` returns the warnings about other programs
    - ``signalled`` is True after a signal, and ``superseded`` after a call of `leave`
    """

    def __init__(
        self,
        loop: Loop,
        store: Store,
        services: Sequence[Service],
        listener: socket,
        *,
        later: Sequence[Service] = (),
        idle: float = IDLE_SECONDS,
        guarded: Guarded | None = None,
        stays: bool = False,
        extend: Callable[[Snapshot], Snapshot] = lambda state: state,
        warnings: Callable[[], Sequence[str]] = lambda: (),
    ) -> None:
        self._loop, self._store, self._idle = loop, store, idle
        self._services, self._later = services, later
        self._update: Timer | None = None
        self._extend, self._warnings = extend, warnings
        self._stays = stays
        self._control = Control(loop, listener, self.reconcile, self.status, guarded)
        self._quiet, self._read, self._records = 0, object(), Snapshot()
        self._unneeded, self.signalled, self.superseded = False, False, False
        # True if the last snapshot had networks. If the next snapshot has none, the store was deleted.
        self._known = False

    def reconcile(self) -> bool:
        """Read the local store and update every service; return False if a service that commands need has failed.

        The services in ``later`` are updated afterwards. If one service fails, the other services are still updated.
        Raises the local store's errors. If the store was deleted, the services keep the last snapshot as long as it is
        in use (`_is_in_use`). If a newer version of hawse wrote the store (`Outdated`), the agent ends. The next
        command starts an agent of the newer version.
        """
        try:
            stamp = self._store.stamp()
            records = snapshot(self._store)
            state = self._extend(records)
            if self._known and not state.networks and _is_in_use(self._records):
                raise Damaged("the store has no networks any more: the agent goes on with the last state")
            self._known, self._records, self._read = bool(state.networks), records, stamp
        except Outdated:
            self._loop.stop()
            raise
        if self._update is not None:
            self._update.cancel()
        self._update = self._loop.after(0, partial(self._update_later, state))
        return _update(self._services, state)

    def _update_later(self, state: Snapshot) -> None:
        self._update = None
        _update(self._later, state)

    def status(self) -> str:
        """Return the agent's status as one line of JSON: its pid, which services need the agent, and its warnings.

        The warnings are about other programs that repeatedly undo the agent's repairs.
        """
        needed = {s.name: s.needed() for s in self._all()}
        return json.dumps({"pid": os.getpid(), "services": needed, "warnings": list(self._warnings())})

    def move(self, listener: socket) -> None:
        """Answer commands on the socket ``listener``, because the file of the old socket was deleted."""
        self._control.move(listener)

    def run(self) -> None:
        """Update all services, and run the event loop until the agent should end; then close all services."""
        self._loop.watch_signals()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop())
        self._loop.after(0, self._begin)
        self._loop.after(self._idle, self._consider)
        self._loop.run()
        self._control.close()
        for service in self._all():
            service.close()

    def _begin(self) -> None:
        self.reconcile()

    def leave(self) -> None:
        """End the agent, because a newer version of hawse has probably changed the kernel state."""
        self.superseded = True
        self._loop.stop()

    def overlooks(self) -> bool:
        """Return whether a new agent must be started, because this agent may have ended too early.

        A new agent is needed if this agent ended because no service needed it, and the store has changed since the last
        read.
        """
        if not self._unneeded or self._store.stamp() == self._read:
            return False
        try:
            return snapshot(self._store) != self._records  # a backup changes the store's files, but no records
        except EngineError:
            return False

    def _all(self) -> Sequence[Service]:
        return [*self._services, *self._later]

    def needed(self) -> bool:
        """Return whether a service or a connected command needs the agent."""
        return self._stays or any(s.needed() for s in self._all()) or self._control.busy

    def _consider(self) -> None:
        """End the agent if two checks in a row find that nothing needs it. The checks are half the idle time apart.

        If the store has changed, a check reads it first, because a killed command may not have notified the agent.
        """
        with suppress(EngineError):  # ignore the error: the services keep the last snapshot
            if self._store.stamp() != self._read:
                self.reconcile()
        # Services that are still to be updated may need the agent.
        self._quiet = 0 if self._update is not None or self.needed() else self._quiet + 1
        if self._quiet >= 2:
            self._unneeded = True
            self._loop.stop()
        else:
            self._loop.after(self._idle / 2, self._consider)

    def _stop(self) -> None:
        self.signalled = True
        self._loop.stop()


def _update(services: Sequence[Service], state: Snapshot) -> bool:
    """Update the services; return False if a service failed."""
    done = True
    for service in services:
        try:
            service.reconcile(state)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            done = False
    return done


def _is_in_use(state: Snapshot) -> bool:
    """Return whether a container of the snapshot still runs, or the snapshot has a cluster network.

    Containers on other hosts may need the cluster network, even if no container of this host runs.
    """
    return any(map(lookup.is_alive, state.containers)) or any(n.scope == "swarm" for n in state.networks)


def snapshot(store: Store) -> Snapshot:
    """Read one consistent snapshot of the local store."""
    with store.read() as reader:
        return boots.read_records(reader)
