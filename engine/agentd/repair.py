"""Repairs kernel state that a driver's networks share; runs one thread for each driver with such state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from drivers.api import Driver, Repairer
from drivers.errors import Missing
from drivers.registry import load
from engine.agent.service import Snapshot
from engine.agentd.repair_thread import RepairThread, Word
from engine.config import Config, load_config
from engine.errors import EngineError
from engine.eventloop.loop import Loop
from engine.eventloop.wakeup import Wakeup
from engine.host import configure
from engine.store.api import Store


class RepairService:
    """The repair service: runs a repair thread for each driver with active networks.

    - ``relay`` returns the ports at which the agent's port proxy listens, by protocol ("tcp" or "udp").
    - ``changed`` (set by the agent's main program) makes the agent read the local store again.
    - ``leave`` (set by the agent's main program) makes the agent end.
    """

    name = "repair"

    changed: Callable[[], object] = staticmethod(lambda: None)
    leave: Callable[[], object] = staticmethod(lambda: None)

    def __init__(
        self,
        loop: Loop,
        store: Store,
        relay: Callable[[], Mapping[str, int]],
        run: Path,
        heal: Callable[[], bool] = lambda: True,
    ) -> None:
        self._loop, self._store, self._relay, self._run, self._heal = loop, store, relay, run, heal
        self._threads: dict[str, RepairThread] = {}
        self._superseded = False  # True after a thread has sent the message "superseded"
        self._wakeup = Wakeup()
        loop.watch(self._wakeup.fileno(), lambda _: self._heard())

    def reconcile(self, state: Snapshot) -> None:
        """Run one repair thread for each driver with active networks; notify running threads of changed records."""
        up = (
            {n.driver for n in state.networks if n.phase == "live" and not n.config_only}
            if state.of_this_boot and self._heal()
            else set()
        )
        for name in self._threads.keys() - up:
            self._threads.pop(name).close()
        for name in self._threads.keys() & up:
            self._threads[name].changed()
        for name in up - self._threads.keys():
            with suppress(Missing):
                self._start(name)

    def _start(self, name: str) -> None:
        driver = load(name)
        if isinstance(driver, Repairer):
            configure(driver, Config(), self._run)
            self._threads[name] = RepairThread(
                driver, name, self._store, relay=self._relay, configure=lambda: self._configure(driver), tell=self._say
            )

    def _configure(self, driver: Driver) -> None:
        """Apply the current daemon.json to the driver, as commands do; keep the old settings if the file is invalid."""
        with suppress(EngineError):
            configure(driver, load_config(), self._run)

    def _say(self, word: Word) -> None:
        """Make the agent's loop act on the message ``word`` of a repair thread; called by the threads."""
        if word == "superseded":
            self._superseded = True
        self._wakeup.send()

    def _heard(self) -> None:
        self._wakeup.clear()
        (self.leave if self._superseded else self.changed)()

    def needed(self) -> bool:
        """Return whether any active network has a driver with shared kernel state to repair."""
        return bool(self._threads)

    def fights(self) -> list[str]:
        """Return sentences about other programs that repeatedly undo repairs, at most one for each driver."""
        return [thread.fight for thread in self._threads.values() if thread.fight]

    def close(self) -> None:
        """End the repair threads; blocks up to 5 s for each thread."""
        for thread in self._threads.values():
            thread.close()
        self._threads.clear()
        self._loop.forget(self._wakeup.fileno())  # do not close the wakeup, because a running thread may still use it
