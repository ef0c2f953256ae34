"""Finds out which network or endpoint a change in an overlay network's namespace may have damaged."""

from __future__ import annotations

from collections.abc import Iterable

from drivers.linux.link_notifications import Change
from engine.agentd.host_links import marked
from engine.recovery.link_repair import Subject


class SwitchLinks:
    """The links in one overlay network's namespace: the network's own devices, and the ports of endpoints.

    Because the kernel reports the flags of a bridge port without the endpoint's mark, the indexes of the marked ports
    are recorded. ``present`` are the links that exist already.
    """

    def __init__(self, network: Subject, present: Iterable[Change]) -> None:
        self._network = network
        self._ports: dict[int, Subject] = {}
        for change in present:
            self._learn(change)

    def concerns(self, change: Change) -> Subject | None:
        """Return the endpoint or network that a change may have damaged, or None.

        The agent's own changes are reported too. The comparison then finds no difference.
        """
        if change.kind in ("link", "port"):
            subject = self._ports.get(change.link, self._network)
            return self._learn(change) or subject
        is_lost = change.kind == "neighbor" or (change.kind == "address" and change.gone)
        return self._network if is_lost else None

    def _learn(self, change: Change) -> Subject | None:
        """Record the index of an endpoint's port; return the endpoint or network of a marked link, else None."""
        subject = marked(change)
        if change.gone and change.kind == "link":
            self._ports.pop(change.link, None)
        elif subject is not None:
            self._ports[change.link] = subject
        return subject
