"""engine.api.Swarm: the cluster's verbs, each only a call."""

from __future__ import annotations

from collections.abc import Callable

from engine.api import Documents, Json, Strings, SwarmInit, SwarmJoin
from engine.cluster import membership
from engine.cluster.membership import NOT_IN_SWARM
from engine.errors import Unavailable
from engine.filters.nodes import filter_nodes
from engine.host import Host
from engine.model import Filters
from engine.swarm import nodes, swarm
from engine.swarm import verify as swarm_verify


class SwarmVerbs:
    """The verbs of one host; ``prepare`` makes it ready to be changed."""

    def __init__(self, host: Host, prepare: Callable[[], Host]) -> None:
        self.host, self._prepare = host, prepare

    def init(self, request: SwarmInit) -> str:
        """Make a cluster."""
        return swarm.init(self._prepare(), request)

    def join(self, request: SwarmJoin) -> str:
        """Join a cluster."""
        return swarm.join(self._prepare(), request)

    def leave(self, *, force: bool = False) -> None:
        """Leave the cluster."""
        swarm.leave(self._prepare(), force=force)

    def join_token(self, role: str, *, rotate: bool = False) -> tuple[str, str]:
        """The token by which hosts join."""
        return swarm.join_token(self.host, role, rotate=rotate)

    def nodes(self, filters: Filters) -> Documents:
        """Documents of the nodes that match."""
        return filter_nodes(nodes.list_documents(self.host), filters)

    def inspect_node(self, reference: str) -> Json:
        """The document of one node."""
        return nodes.inspect(self.host, reference)

    def remove_node(self, reference: str, *, force: bool = False) -> None:
        """Remove a node."""
        nodes.remove(self.host, reference, force=force)

    def node_id(self) -> str:
        """This host's own node id."""
        me = membership.load(self.host.root)
        if me is None:
            raise Unavailable(NOT_IN_SWARM)
        return me.node_id

    def verify(self, reference: str, *, fix: bool = False) -> Strings:
        """Compare this host's tables with the store."""
        return swarm_verify.verify(self._prepare(), reference, fix=fix)
