"""The manager's server: accepts connections, finds the node of each connection, and answers the node's requests."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from engine.cluster import keys
from engine.cluster import membership as memberships
from engine.cluster.etcd import Client, EtcdError, EtcdUnavailable
from engine.cluster.etcd.errors import kind_of
from engine.cluster.etcd.http import Json
from engine.cluster.model import MANAGER, AdmittedHost, ClusterMembership
from engine.cluster.node_operations import AUTHORITY, JOIN, PATH
from engine.errors import EngineError, Forbidden, InvalidArgument, Unavailable
from engine.swarm import certificates
from engine.swarm.server import access, admission, http, store_calls
from engine.swarm.server.connections import IDLE_SECONDS, KNOWN_SECONDS, Visit, Visits
from engine.swarm.server.rate_limit import ASKING, CHANGING, READING, Budgets

COSTLY = (PATH + "ask", PATH + "publish")
"""The requests that make other hosts work: a question to one host, and a node record, which all hosts read."""
ADMITTED = "(joining)"
"""Value used as node id for a host that has shown a valid token but has no certificate yet."""
PENALTY_SECONDS = 1.0
"""Seconds by which the answer to an invalid token is delayed, so that a client cannot try many tokens."""
CLOSE_DELAY_SECONDS = 2.0
"""Seconds that the server gives the other side to read the last answer before the connection is closed."""
ACCEPT_PAUSE_SECONDS = 1.0
SILENCE_SECONDS = 60.0
STACK = 1024 * 1024
"""Stack size of each thread in bytes; small, because each connection has its own thread."""


class ManagerServer:
    """A manager's server, which answers the other hosts of the cluster; ``root`` is the manager's HAWSE_ROOT."""

    def __init__(self, root: Path) -> None:
        self.root, self.visits, self._budgets = root, Visits(), Budgets()
        self._certificate: tuple[int, ssl.SSLContext] | None = None

    # ------------------------------------------------------------------------------------------- connections

    def serve(self, listener: socket.socket) -> None:
        """Accept connections from the listening socket ``listener`` forever."""
        threading.stack_size(STACK)
        self.visits.start()
        threading.Thread(target=self._follow_members, name="members", daemon=True).start()
        while True:
            try:
                connection, address = listener.accept()
            except OSError as error:
                print(f"cannot take a connection: {error}", file=sys.stderr, flush=True)
                time.sleep(ACCEPT_PAUSE_SECONDS)
                continue
            self._begin(connection, str(address[0]))

    def _begin(self, connection: socket.socket, address: str) -> None:
        try:
            secure = self._context().wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        except OSError:
            connection.close()
            return
        visit = self.visits.enter(secure, address)
        try:
            threading.Thread(target=self._attend, args=(visit, secure), daemon=True).start()
        except RuntimeError:  # no new thread could be started, so close the connection
            self._end(visit)

    def _context(self) -> ssl.SSLContext:
        """Return the TLS context with this manager's current certificate.

        The certificate file is read again when the file changes.
        """
        path = memberships.directory(self.root) / memberships.MANAGER
        stamp = path.stat().st_mtime_ns
        if self._certificate is None or self._certificate[0] != stamp:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.num_tickets = 0
            context.load_cert_chain(path)
            context.verify_mode = ssl.CERT_OPTIONAL
            context.load_verify_locations(memberships.directory(self.root) / memberships.AUTHORITY)
            self._certificate = stamp, context
        return self._certificate[1]

    def _attend(self, visit: Visit, secure: ssl.SSLSocket) -> None:
        try:
            with suppress(OSError, ValueError):
                secure.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                secure.do_handshake()
                self._converse(visit, secure)
            self._linger(visit)
        finally:
            self._end(visit)

    def _linger(self, visit: Visit) -> None:
        """Close the sending side of a connection, and wait up to `CLOSE_DELAY_SECONDS` until the other side closes too.

        Data that arrives during the wait is dropped. Without the wait, the kernel would drop the last answer if the
        other side has sent data that is still unread.
        """
        visit.allow(CLOSE_DELAY_SECONDS)
        with suppress(OSError):
            socket.socket.shutdown(visit.socket, socket.SHUT_WR)
            while not visit.closed and socket.socket.recv(visit.socket, store_calls.CHUNK):
                continue

    def _end(self, visit: Visit) -> None:
        self.visits.leave(visit)
        with suppress(OSError):
            visit.socket.close()

    # ---------------------------------------------------------------------------------------------- requests

    def _converse(self, visit: Visit, secure: ssl.SSLSocket) -> None:
        """Answer the requests of a connection until the host disconnects or a watch ends.

        ``secure`` is the connection's TLS socket. An error is sent to the host. For a guest (`connections`), an error
        ends the connection too.
        """
        certificate = secure.getpeercert()
        node = access.node_of(certificate)
        with secure.makefile("rb") as file, ExitStack() as opened:
            store: Client | None = None
            while not visit.closed:
                try:
                    request = http.read(file, http.LARGEST if node else http.LARGEST_GUEST)
                    if request is None:
                        return
                    access.check_layout(request.layout)
                    if request.path == AUTHORITY:
                        secure.sendall(http.answer(200, {"authority": certificates.authority(self.root)}))
                        continue
                    if store is None:
                        store = self._open()
                        opened.callback(store.close)
                    if not node:
                        secure.sendall(http.answer(200, self._guest(visit, store, request)))
                    elif not self._known(visit, store, node, access.expiry_of(certificate), request):
                        return
                except EngineError as error:
                    secure.sendall(refusal(error))
                    if not visit.node:
                        return

    def _guest(self, visit: Visit, client: Client, request: http.HttpRequest) -> Json:
        """Admit a guest that asks to join; return the cluster's settings and the guest's new certificates.

        Raises InvalidArgument for an invalid token, after a delay. Raises Forbidden for any other request.
        """
        if request.path != JOIN:
            raise Forbidden("this takes a certificate of the cluster's authority")
        role = admission.admitted_role(client, request.body)
        if not role:
            time.sleep(PENALTY_SECONDS)
            raise InvalidArgument(admission.REFUSED)
        return self._admit(visit, client, request.body, role)

    def _admit(self, visit: Visit, client: Client, request: Json, role: str) -> Json:
        """Admit a host with a valid token for ``role``; return the cluster's settings and the host's certificates.

        Raises Unavailable if too many hosts join at the same time.
        """
        if not self.visits.know(visit, ADMITTED):
            raise Unavailable("too many hosts join at once")
        visit.allow(KNOWN_SECONDS)
        with access.well_formed():
            return admission.admit(self.root, client, self._membership(), request, role)

    def _known(self, visit: Visit, client: Client, node: str, expires: float, request: http.HttpRequest) -> bool:
        """Answer a host that has shown a certificate; return whether the connection can be used for more requests.

        ``node`` is the host's node id, ``expires`` the time when its certificate expires, in seconds since 1970.
        """
        member = self._admitted(visit, client, node, expires)
        visit.allow(KNOWN_SECONDS)
        self._charge(member, request)
        if request.path == store_calls.WATCH:
            access.member_of(client, node)  # check again, because `_charge` may have waited
            store_calls.watch(visit, client, access.watch_request(member, request.body))
            return False
        answer = access.answer(self.root, client, member, request.path, request.body)
        visit.socket.sendall(http.packed(200, answer))
        visit.allow(IDLE_SECONDS)
        return True

    def _charge(self, member: AdmittedHost, request: http.HttpRequest) -> None:
        """Delay a worker's request if the worker's request budget (`rate_limit`) is used up.

        Raises Unavailable if the delay would be too long. Managers are not limited, because they could make the same
        requests to their own etcd member.
        """
        if member.role == MANAGER:
            return
        reading = request.path in (store_calls.RANGE, store_calls.WATCH)
        cost = READING if reading else ASKING if request.path in COSTLY else CHANGING
        wait = self._budgets.spend(member.id, request.size + cost)
        if wait is None:
            raise Unavailable("this node asks for too much at once")
        time.sleep(wait)

    def _admitted(self, visit: Visit, client: Client, node: str, expires: float) -> AdmittedHost:
        """Return the current admission record of the node ``node``; count ``visit`` among the node's connections.

        Raises Unavailable if the node was removed or has too many connections.
        """
        try:
            member = access.member_of(client, node)
        except EtcdUnavailable:  # the etcd store restarted after this connection was opened: try again
            member = access.member_of(client, node)
        if not visit.node and not self.visits.know(visit, node, expires):
            raise Unavailable("this node has too many connections to this manager")
        return member

    # ------------------------------------------------------------------------------------------------- store

    def _membership(self) -> ClusterMembership:
        membership = memberships.load(self.root)
        if membership is None:
            raise Unavailable("this host is in no cluster any more")
        return membership

    def _open(self) -> Client:
        """Return an etcd client that connects only to this manager's own etcd member, or to the external etcd store.

        The client does not use other managers' servers, because they could forward the request back to this server.
        """
        membership = self._membership()
        if membership.external:
            return memberships.open_client(self.root, membership)
        return Client([memberships.socket_url(self.root)])

    def _follow_members(self) -> None:
        """Watch the records of admitted hosts, and close the connections of a node as soon as the node is removed."""
        while True:
            try:
                client = self._open()
                try:
                    self._follow_with(client)
                finally:
                    client.close()
            except EngineError:
                time.sleep(ACCEPT_PAUSE_SECONDS)

    def _follow_with(self, client: Client) -> None:
        pairs, revision = client.range(keys.MEMBERS)
        members = {kv.key.removeprefix(keys.MEMBERS) for kv in pairs} | {"", ADMITTED}
        self.visits.close_where(lambda v: v.node not in members)
        for _, events in client.watch(keys.MEMBERS, revision + 1, SILENCE_SECONDS):
            gone = {e.key.removeprefix(keys.MEMBERS) for e in events if e.deleted}
            self.visits.close_where(lambda v: v.node in gone)  # noqa: B023 (called in this iteration)


def refusal(error: EngineError) -> bytes:
    """Return the HTTP answer for an error.

    The answer has the class name (`kind_of`) and the text of the error. If etcd refused a call, the answer has etcd's
    own format: the gRPC code and the message.
    """
    if isinstance(error, EtcdError):
        return http.answer(503, {"code": error.code, "message": error.reason})
    return http.answer(error.status, {"kind": kind_of(error), "message": str(error)})
