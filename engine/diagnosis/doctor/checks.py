"""The results of checks, and the data that all checks share: the host, its records and the agent's state.

In this package, ``name`` is the text that names the examined object (`Check.object`), such as "container web".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from msgspec import Struct, field

from drivers import bridge_options
from drivers.model import Difference
from drivers.options import HEAL
from engine.agent.service import Snapshot
from engine.api import FAULT, OK, WARNING, Check
from engine.events import repair as repairs
from engine.host import Host, network_spec
from engine.model import ContainerRecord, NetworkRecord
from engine.recovery.link_repair import heals

REPAIR = "hawse doctor --fix"
"""The command that repairs hawse's own objects."""


def ok(name: str, what: str) -> Check:
    """Return the result for a sound object ``name``; ``what`` is its state, such as "is valid for 40 days"."""
    return Check(OK, name, what)


def warning(name: str, what: str, cause: str = "", fix: str = "") -> Check:
    """Return a finding about a problem that does not interrupt hawse's networks, or that may be intended."""
    return Check(WARNING, name, what, cause, fix)


def fault(name: str, what: str, cause: str = "", fix: str = REPAIR) -> Check:
    """Return a finding about a problem that stops traffic, name resolution or commands."""
    return Check(FAULT, name, what, cause, fix)


def not_compared(name: str, error: Exception) -> Check:
    """Return the finding that the object ``name`` could not be compared with the records."""
    return fault(name, f"cannot be compared with the records: {error}", fix="")


class Examined(Struct, frozen=True, dict=True):
    """A host with its records at one moment.

    ``ask_agent`` returns the agent's state and the agent's warnings (`processes.agent_state`). It is called once, by
    the first check that needs them. ``damaged`` has the names of objects that differ from their records, such as
    "container web". The check of links fills it, and later checks read it.
    """

    host: Host
    records: Snapshot
    ask_agent: Callable[[], tuple[str, Sequence[str]]] = lambda: ("not running", ())
    damaged: set[str] = field(default_factory=set)

    @cached_property
    def _answer(self) -> tuple[str, Sequence[str]]:
        return self.ask_agent()

    @property
    def agent(self) -> str:
        """The agent's state, such as "running" or "stopped by a signal"."""
        return self._answer[0]

    @property
    def fights(self) -> Sequence[str]:
        """The agent's warnings about other programs that repeatedly undo the agent's repairs."""
        return self._answer[1]

    @cached_property
    def networks(self) -> Sequence[NetworkRecord]:
        """The active networks, whose kernel objects must exist; empty if the records are from before the last boot."""
        live = [n for n in self.records.networks if n.phase == "live" and not n.config_only]
        return live if self.records.of_this_boot else []

    @cached_property
    def bridges(self) -> Mapping[str, str]:
        """The name of each bridge network's bridge, by the network's id."""
        specs = [network_spec(network) for network in self.networks if network.driver == "bridge"]
        return {spec.id: bridge_options.parse(spec).bridge for spec in specs}

    @cached_property
    def containers(self) -> Sequence[ContainerRecord]:
        """The containers that run according to the records; empty if the records are from before the last boot."""
        running = [c for c in self.records.containers if c.status == "running" and c.sandbox_path]
        return running if self.records.of_this_boot else []

    def cause(self, *records: NetworkRecord | ContainerRecord) -> str:
        """Return the text that says why damage to the objects of ``records`` exists and is not repaired yet.

        The reason is a repair that the user has disabled, the state of the agent, or a conflict with another program.
        Without ``records``, the text is about state that all networks share, such as the firewall.
        """
        if not self.host.config.heal:
            return "another program changed it; daemon.json switches repairs off (heal: false)"
        for record in records:
            if not heals(record):
                return f"another program changed it; {HEAL}=false switches its repair off"
        if self.agent != "running":
            return f"another program changed it, and the agent that repairs is {self.agent}"
        if self.fights:
            return self.fights[0]
        return "another program changed it, and the agent has not repaired it yet"


def of_differences(name: str, differences: Iterable[Difference], cause: str) -> Iterator[Check]:
    """Yield one fault for each group of ``differences``, such as all missing addresses ("missing address").

    The differences of a group have the same kind ("missing") and the same place ("address"). Routine updates are left
    out, because they are not damage.
    """
    damage = [difference for difference in differences if difference.is_damage]
    for group, whats in repairs.grouped(damage).items():
        yield fault(name, f"{group}: {repairs.brief(whats)}", cause)
