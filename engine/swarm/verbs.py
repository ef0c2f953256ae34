"""Implements `engine.api.Swarm` by calls to the other modules of this package."""

from __future__ import annotations

from collections.abc import Callable

from engine.api import Documents, Json, SwarmInit, SwarmJoin
from engine.cluster import membership as memberships
from engine.errors import Unavailable
from engine.filters.nodes import filter_nodes
from engine.host import Host, raises_engine_errors
from engine.model import Filters
from engine.swarm import nodes, swarm
from engine.validate.network import NOT_IN_SWARM


@raises_engine_errors
class SwarmVerbs:
    """The swarm methods of one host; ``prepare`` makes the host ready for changes and returns it."""

    def __init__(self, host: Host, prepare: Callable[[], Host]) -> None:
        self.host, self._prepare = host, prepare

    def init(self, request: SwarmInit) -> str:
        """Create a cluster; return this host's node id."""
        return swarm.init(self._prepare(), request)

    def join(self, request: SwarmJoin) -> str:
        """Join a cluster; return the role that this host has in the cluster."""
        return swarm.join(self._prepare(), request)

    def leave(self, *, force: bool = False) -> None:
        """Let this host leave the cluster; raises Unavailable for a manager without ``force``."""
        swarm.leave(self._prepare(), force=force)

    def join_token(self, role: str, *, rotate: bool = False) -> tuple[str, str]:
        """Return the join token of a role, and this manager's address (`swarm.join_token`)."""
        return swarm.join_token(self.host, role, rotate=rotate)

    def nodes(self, filters: Filters) -> Documents:
        """Return Docker's JSON documents of the nodes that match the filters."""
        return filter_nodes(nodes.list_documents(self.host), filters)

    def inspect_node(self, reference: str) -> Json:
        """Return Docker's JSON document of one node (`nodes.inspect`)."""
        return nodes.inspect(self.host, reference)

    def remove_node(self, reference: str, *, force: bool = False) -> None:
        """Remove a node from the cluster (`nodes.remove`)."""
        nodes.remove(self.host, reference, force=force)

    def node_id(self) -> str:
        """Return this host's own node id; raises Unavailable if this host is in no cluster."""
        membership = memberships.load(self.host.root)
        if membership is None:
            raise Unavailable(NOT_IN_SWARM)
        return membership.node_id
