"""The agent's cluster service. The service imports the cluster code only while this host is in a cluster.

Five threads do the blocking work (`engine.agentd.cluster`). The thread of the agent's loop only distributes their
results. On a manager, it also restarts the etcd member and the manager's server if these processes have ended.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from drivers.model import Difference
from engine.agent.service import Snapshot
from engine.cluster import membership as memberships
from engine.errors import EngineError
from engine.eventloop.loop import Loop
from engine.eventloop.wakeup import Wakeup

if TYPE_CHECKING:
    from engine.agentd.cluster.node import ClusterNode
    from engine.cluster.model import ClusterMembership

CHECK_INTERVAL_SECONDS = 1.0
"""Seconds between two checks that a manager's processes (etcd member and server) are running."""


class ClusterService:
    """The cluster service. The function ``changed`` is called to make the agent read the local store again."""

    name = "cluster"

    changed: Callable[[], object] = staticmethod(lambda: None)

    def __init__(self, loop: Loop, root: Path, run: Path, heal: Callable[[], bool] = lambda: True) -> None:
        self._loop, self._root, self._run, self._heal = loop, root, run, heal
        self._node: ClusterNode | None = None
        self._failure = ""
        self._wakeup = Wakeup()  # the cluster threads wake up the agent's loop
        loop.watch(self._wakeup.fileno(), lambda _: self._woken())

    def extend(self, state: Snapshot) -> Snapshot:
        """Return the snapshot ``state`` plus the endpoints that other hosts have on this host's networks."""
        if self._node is None:
            return state
        return replace(state, endpoints=[*state.endpoints, *self._node.remote_endpoints(state.networks)])

    def reconcile(self, state: Snapshot) -> None:
        """Start, update or stop the cluster threads to match this host's membership and networks."""
        membership = self._membership()
        if self._node is not None and (membership is None or membership.node_id != self._node.node_id):
            self._node.close()
            self._node = None
        if membership is not None and self._node is None:
            from engine.agentd.cluster.node import ClusterNode

            self._node = ClusterNode(self._root, self._run, membership, self._wakeup.send, self._heal)
            self._keep(self._node)
            self._wakeup.send()  # make the agent read the local store again, and add the other hosts' endpoints
        if self._node is not None:
            self._node.follow(state)

    def _membership(self) -> ClusterMembership | None:
        """Return this host's record of its cluster membership, or None if the host is in no cluster.

        Also returns None if another version of hawse wrote the record. This is not logged, because every command
        reports it.
        """
        try:
            return memberships.load(self._root)
        except EngineError:
            return None

    def _woken(self) -> None:
        self._wakeup.clear()
        self.changed()

    def _keep(self, node: ClusterNode) -> None:
        """Call ``node.keep_processes`` now and every `CHECK_INTERVAL_SECONDS`, until ``node`` is replaced or removed.

        A failure is logged once. The same failure is logged again only after a success or another failure.
        """
        if node is not self._node:
            return
        failure = ""
        try:
            node.keep_processes()
        except Exception as error:
            failure = f"cannot keep the cluster's processes: {error}"
        if failure and failure != self._failure:
            print(failure, file=sys.stderr, flush=True)
        self._failure = failure
        self._loop.after(CHECK_INTERVAL_SECONDS, partial(self._keep, node))

    def verify(self, network_id: str) -> Sequence[Difference]:
        """Repair the devices and tables of one of this host's overlay networks; return the differences.

        Other threads may call this method.
        """
        node = self._node
        return node.verify(network_id) if node is not None else ()

    def needed(self) -> bool:
        """Return whether this host is in a cluster."""
        return self._node is not None

    def close(self) -> None:
        """Ask the threads to end; etcd and the manager's server keep running, so that the next agent can use them."""
        if self._node is not None:
            self._node.close()
        self._loop.forget(self._wakeup.fileno())  # it stays open, because a thread that still runs may use it
