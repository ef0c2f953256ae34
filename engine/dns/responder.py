"""Decides whether a DNS query is answered from the DNS tables, refused or forwarded. Handles bytes, not sockets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.dns import wire
from engine.dns.mmsg import ID
from engine.dns.sandbox_view import SandboxView
from engine.dns.table import EMPTY, Answer, LinkTable, NetworkTable, Table

MOST_READY = 256
"""Maximum number of cached replies for one sandbox; a full cache is cleared."""


class Responder:
    """The networks, links and DNS tables from which one sandbox's queries are answered.

    ``networks`` has the DNS tables by network id. If a network or link of the sandbox changes, a new Responder replaces
    the old one. DNS tables are changed in place. ``ready`` is a cache that maps queries to replies; queries and replies
    are stored without their ids. After a change of the tables, a new dict replaces the cache.
    """

    __slots__ = ("_links", "_tables", "ready", "view")

    def __init__(self, view: SandboxView, networks: Mapping[str, NetworkTable]) -> None:
        self.view = view
        self.ready: dict[bytes, bytes] = {}
        known = [networks[n] for n in view.networks if n in networks]
        # As in Docker, all networks are first searched for the name itself, and then for ``name.network``.
        self._tables: Sequence[Table] = (*(n.plain for n in known), *(n.qualified for n in known))
        self._links = LinkTable() if view.links else None
        for link in view.links:
            if self._links is not None and link.network_id in networks:
                self._links.add(link.alias, link.target, networks[link.network_id])

    def find(self, key: bytes) -> Answer | None:
        """Return the answer to a question from the links and the DNS tables, or None if the name is unknown.

        ``key`` is the question's lookup key (`wire.Query.key`). The links are searched first, then the DNS tables:

        - The name is the alias of a link: returns the link's answer, or None if the link's target has no endpoint. The
          tables are not searched.
        - A table has records for the question: returns the records of the first such table.
        - A table knows the name, but no table has records for the question: returns an empty answer.
        """
        if self._links is not None:
            linked = self._links.answers.get(key)
            if linked is not None or key in self._links.hidden:
                return linked
        empty = None
        for table in self._tables:
            answer = table.get(key)
            if answer is not None:
                if answer.records:
                    return answer
                empty = answer
        return empty

    def respond(self, message: bytes, *, stream: bool = False) -> bytes | wire.Query | None:
        """Process a message: return the reply, the parsed query if it must be forwarded, or None if there is no reply.

        ``stream`` is True if the message came by TCP.
        """
        try:
            query = wire.parse_query(message, stream=stream)
        except wire.MalformedMessage as malformed:
            return malformed.reply
        ready = self.ready  # before the search: another thread first changes the tables and then replaces the cache
        answer = self.find(query.key) or self._implicit(query)
        if answer is not None:
            reply = wire.reply(query, wire.NOERROR, answer.shuffled())
            if not (stream or answer.several or query.optional):
                _keep(ready, message, reply)
            return reply
        if self.view.upstreams:
            return query
        return wire.reply(query, wire.SERVFAIL, [])

    def _implicit(self, query: wire.Query) -> Answer | None:
        """Return an empty answer for a query that must not be forwarded, or None if the query may be forwarded.

        `find` has no answer for this query. Two kinds of query must not be forwarded:

        - An MX query for a name that is in the DNS tables.
        - An A or AAAA query for a name of one label, if the user has set the option ndots.
        """
        name = query.key[:-4]
        if query.type == wire.MX and self.find(wire.question(name, wire.A)) is not None:
            return EMPTY  # after an empty answer to an MX query, the mail client sends mail to the host with this name
        if self.view.ndots and query.single_label and query.type in (wire.A, wire.AAAA):
            return EMPTY  # after an empty answer, the client tries the name with its search domains
        return None


def _keep(ready: dict[bytes, bytes], message: bytes, reply: bytes) -> None:
    if len(ready) >= MOST_READY:
        ready.clear()
    ready[message[ID:]] = reply[ID:]
