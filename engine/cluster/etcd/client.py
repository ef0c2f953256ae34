"""Client of etcd v3: keys, transactions, leases and watches, through any member that answers.

Keys and values are str in Python and base64 in the messages. Calls use the first member that is ready, and fail quickly
if no member is ready.
"""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from engine.cluster.etcd.dial import NobodyReady, first
from engine.cluster.etcd.errors import UNAUTHENTICATED, Compacted, EtcdError, EtcdUnavailable, NoLeader
from engine.cluster.etcd.http import EtcdConnection, Json
from engine.cluster.keys import CLUSTER
from engine.errors import EngineError, in_words

CONNECT_SECONDS, READY_SECONDS, ANSWER_SECONDS, IDLE_SECONDS = 2.0, 4.0, 10.0, 30.0
"""Four durations in seconds: to connect to a member, to wait for a ready member, to wait for each answer, and to keep
an unused connection open.

A member with a slow disk accepts a connection immediately, but takes seconds to answer. Therefore `READY_SECONDS` is
longer than `CONNECT_SECONDS`.
"""
ELECTION_SECONDS, ELECTION_PAUSE_SECONDS = 3.0, 0.1
"""Seconds for which a call waits for a new leader, and the pause between two attempts.

etcd's members begin an election one to two seconds after they have lost their leader.
"""

EXPIRED = (
    "this host's certificate has expired: compare the clocks of the hosts; "
    'a host that was off for longer than its certificate lives has to use "hawse swarm leave", and join again'
)
SILENT_PENALTY_SECONDS = 1.0
"""Seconds for which all calls fail immediately after no etcd member has answered in time.

Otherwise a command would wait for the members again at each call.
"""
_silences: dict[tuple[str, ...], tuple[float, EngineError]] = {}
"""For each list of member URLs: the last time at which no member answered, and the error that was raised."""


T = TypeVar("T")


class KeyValue(Struct, frozen=True):
    """A key with its value and the revision that wrote it; ``deleted`` is True only if a watch reports a deletion."""

    key: str
    value: str
    revision: int = 0
    deleted: bool = False


class Outcome(Struct, frozen=True):
    """The result of a transaction.

    ``succeeded`` is True if all conditions were true. ``values`` has one list for each read operation that was run. The
    list has the keys that this operation found, with their values.
    """

    succeeded: bool
    values: Sequence[Sequence[KeyValue]]


def b64(text: str) -> str:
    """Encode a text in base64, as etcd's JSON gateway requires."""
    return b64encode(text.encode()).decode()


def end_of(prefix: str) -> str:
    """Return the first key (in etcd's order) after all keys that begin with ``prefix``."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def absent(key: str, *, prefix: bool = False) -> Json:
    """Return the transaction condition that a key does not exist; with ``prefix``, that no key begins with ``key``."""
    return {**_range(key, prefix=prefix), "target": "CREATE", "result": "EQUAL", "create_revision": 0}


def present(key: str) -> Json:
    """Return the transaction condition that the key exists."""
    return {"key": b64(key), "target": "CREATE", "result": "GREATER", "create_revision": 0}


def unchanged(key: str, revision: int) -> Json:
    """Return the transaction condition that the key was last written at ``revision``.

    With ``revision`` 0, the condition is that the key does not exist.
    """
    return {"key": b64(key), "target": "MOD", "result": "EQUAL", "mod_revision": revision}


def none_since(prefix: str, revision: int) -> Json:
    """Return the transaction condition that no key beginning with ``prefix`` was written after ``revision``."""
    return {**_range(prefix, prefix=True), "target": "MOD", "result": "LESS", "mod_revision": revision + 1}


def put(key: str, value: str, lease: int = 0) -> Json:
    """Return the transaction operation that writes a key.

    If ``lease`` (the id of a lease) is not 0, etcd deletes the key when this lease ends.
    """
    return {"request_put": {"key": b64(key), "value": b64(value), **({"lease": lease} if lease else {})}}


def delete(key: str, *, prefix: bool = False) -> Json:
    """Return the transaction operation that deletes a key; with ``prefix``, all keys that begin with ``key``."""
    return {"request_delete_range": _range(key, prefix=prefix)}


def read(key: str, *, prefix: bool = False) -> Json:
    """Return the transaction operation that reads a key; with ``prefix``, all keys that begin with ``key``."""
    return {"request_range": _range(key, prefix=prefix)}


def _range(key: str, *, prefix: bool) -> Json:
    return {"key": b64(key), **({"range_end": b64(end_of(key))} if prefix else {})}


def _text(value: str) -> str:
    return b64decode(value).decode()


def _pair(item: Json, *, deleted: bool = False) -> KeyValue:
    return KeyValue(_text(item["key"]), _text(item.get("value", "")), int(item.get("mod_revision", 0)), deleted)


class Client:
    """A client of the etcd members at ``urls``; not safe for use by several threads. The constructor's parameters are:

    - ``context`` is a function that makes the ssl.SSLContext for https.
    - ``name`` is the name that a member's certificate must have, by default the host of the member's URL.
    - ``user``: if set, the client logs in with the password and sends the resulting token with every call.
    - ``switched`` is called when another member than the first in ``urls`` is used. It gets the URL of this member.

    A URL may also be the URL of a manager's server, which limits each caller to the caller's rights. The client
    connects when the first call is made.
    """

    answer_seconds = ANSWER_SECONDS
    """Seconds that a new connection of this client waits for each answer."""

    def __init__(
        self,
        urls: Sequence[str],
        context: Callable[[], Any] = lambda: None,
        user: str = "",
        password: str = "",
        switched: Callable[[str], None] = lambda url: None,
        name: str = "",
    ) -> None:
        self._urls, self._context, self._switched, self._name = list(urls), context, switched, name
        self._user, self._password = user, password
        self._connection: EtcdConnection | None = None
        self._used = 0.0

    # ------------------------------------------------------------------------------------------------ keys

    def get(self, key: str) -> KeyValue | None:
        """Return one key with its value, or None if the key does not exist."""
        return next(iter(self.range(key, prefix=False)[0]), None)

    def range(self, key: str, *, prefix: bool = True) -> tuple[list[KeyValue], int]:
        """Return the keys that begin with ``key``, in order and with their values, and the revision of the read.

        With ``prefix`` False, only the key ``key`` itself is returned.
        """
        answer = self.call("/v3/kv/range", _range(key, prefix=prefix))
        return [_pair(item) for item in answer.get("kvs", [])], int(answer["header"]["revision"])

    def count(self, prefix: str) -> int:
        """Return the number of keys that begin with ``prefix``."""
        return int(self.call("/v3/kv/range", {**_range(prefix, prefix=True), "count_only": True}).get("count", 0))

    def put(self, key: str, value: str, lease: int = 0) -> None:
        """Write one key.

        If ``lease`` (the id of a lease) is not 0, etcd deletes the key when this lease ends.
        """
        self.call("/v3/kv/put", put(key, value, lease)["request_put"])

    def transact(self, conditions: Sequence[Json], success: Sequence[Json], failure: Sequence[Json] = ()) -> Outcome:
        """Run one atomic transaction: the operations ``success`` if all conditions are true, otherwise ``failure``."""
        body = {"compare": list(conditions), "success": list(success), "failure": list(failure)}
        answer = self.call("/v3/kv/txn", body)
        reads = (r["response_range"] for r in answer.get("responses", []) if "response_range" in r)
        pairs = [[_pair(item) for item in part.get("kvs", [])] for part in reads]
        return Outcome(bool(answer.get("succeeded")), pairs)

    def read_all(self, *keys: str) -> Sequence[KeyValue | None]:
        """Return several keys with their values, all read at one revision. A missing key gives None."""
        results = self.transact([], [read(key) for key in keys]).values
        return [next(iter(part), None) for part in results]

    # ---------------------------------------------------------------------------------------------- leases

    def grant(self, seconds: int) -> int:
        """Create a lease, and return its id. The lease expires ``seconds`` after its last renewal."""
        return int(self.call("/v3/lease/grant", {"TTL": seconds})["ID"])

    def renew(self, lease: int) -> bool:
        """Renew a lease; return False if the lease has already expired."""
        return int(self.call("/v3/lease/keepalive", {"ID": lease}).get("result", {}).get("TTL", 0)) > 0

    def revoke(self, lease: int) -> None:
        """Revoke a lease; etcd then deletes all keys that are bound to the lease."""
        self.call("/v3/lease/revoke", {"ID": lease})

    # --------------------------------------------------------------------------------------------- watching

    def watch(self, prefix: str, revision: int, silence: float) -> Iterator[tuple[int, list[KeyValue]]]:
        """Yield (revision, events) for each message about the keys that begin with ``prefix``, from ``revision`` on.

        An event is a written or deleted key. A message without events shows that the watch works. A later watch can
        continue after the yielded revision, because no earlier event is missing. The iteration ends if the member ends
        the watch, for example after the loss of its quorum.

        Raises `Compacted` if etcd no longer has the revision ``revision``, or has only earlier revisions. Raises
        EtcdError if etcd cancels the watch for another reason. Raises EtcdUnavailable after ``silence`` seconds without
        a message, and if the connection fails.
        """
        connection = self.take()
        request = {**_range(prefix, prefix=True), "start_revision": revision, "progress_notify": True}
        try:
            connection.set_timeout(silence)
            for message in connection.stream("/v3/watch", {"create_request": request}):
                result = message.get("result", {})
                if result.get("created") and int(result["header"]["revision"]) < revision - 1:
                    raise Compacted("the store has only earlier revisions")
                if result.get("canceled") and int(result.get("compact_revision", 0)):
                    raise Compacted("the revision has been compacted", 11)
                if result.get("canceled"):
                    raise EtcdError(str(result.get("cancel_reason", "the watch was ended")))
                events = [_pair(e["kv"], deleted=e.get("type") == "DELETE") for e in result.get("events", [])]
                yield _seen_revision(result, events, revision), events
        except OSError as error:
            raise EtcdUnavailable(f"the cluster's store went silent: {reason(error)}") from error
        finally:
            connection.close()

    # ----------------------------------------------------------------------------------------------- calls

    def call(self, path: str, body: Json) -> Json:
        """Post the call ``path`` (such as /v3/kv/range) to any ready member, and return the JSON answer.

        If the token has expired, the client gets a new token and repeats the call. If the members have lost their
        leader, the client waits up to `ELECTION_SECONDS` for the next leader, and repeats the call.
        """
        return self._answered(lambda connection: connection.post(path, body))

    def fetch(self, path: str, body: Json) -> bytes:
        """Post the call ``path`` (such as /v3/kv/range) to any ready member, and return the answer as unparsed bytes.

        The caller forwards these bytes to another host. Calls are repeated as by `call`.
        """
        return self._answered(lambda connection: connection.fetch(path, body))

    def _answered(self, ask: Callable[[EtcdConnection], T]) -> T:
        for last in (False, False, True):
            connection = self._ready()
            try:
                return ask(connection)
            except NoLeader:
                if last:
                    raise
                self.close()
            except EtcdError as error:
                if last or not self._user or not _is_outdated(error):
                    raise
                self.close()
            except OSError as error:
                self.close()
                raise EtcdUnavailable(f"the cluster's store does not answer: {reason(error)}") from error
        raise AssertionError("unreachable")

    def take(self) -> EtcdConnection:
        """Give the client's connection to the caller, who must close it. The next call opens another connection."""
        connection = self._ready()
        self._connection = None
        return connection

    def _ready(self) -> EtcdConnection:
        """Return the client's connection; open a new one if there is none, or if it was unused for `IDLE_SECONDS`.

        A new connection is logged in if the client has a user.
        """
        if self._connection is not None and time.monotonic() - self._used > IDLE_SECONDS:
            self.close()
        if self._connection is None:
            self._connection = self._first()
        self._used = time.monotonic()
        return self._connection

    def _first(self) -> EtcdConnection:
        """Connect to the first member that is ready, and put this member first in the list for later calls.

        If no member is ready, raises the error that `_meaning` returns. If the search took `CONNECT_SECONDS` or longer,
        later calls raise the same error at once, for `SILENT_PENALTY_SECONDS`.
        """
        began = time.monotonic()
        silent, problem = _silences.get(tuple(self._urls), (-SILENT_PENALTY_SECONDS, None))
        if problem is not None and began - silent < SILENT_PENALTY_SECONDS:
            raise problem
        try:
            url, connection = self._first_ready(began)
        except NobodyReady as error:
            problem = _meaning(error)
            if time.monotonic() - began >= CONNECT_SECONDS:
                _silences[tuple(self._urls)] = time.monotonic(), problem
            raise problem from error
        if url != self._urls[0]:
            self._urls.sort(key=lambda other: other != url)
            self._switched(url)
        return connection

    def _first_ready(self, began: float) -> tuple[str, EtcdConnection]:
        """Return the URL of the first ready member, and a connection to it; wait while the members elect a leader.

        ``began`` is the time on the monotonic clock when the search began. Raises `NobodyReady`.
        """
        while True:
            try:
                return first(self._urls, self._open, began + READY_SECONDS - time.monotonic())
            except NobodyReady as error:
                electing = any(isinstance(problem, NoLeader) for problem in error.problems.values())
                if not electing or time.monotonic() - began >= ELECTION_SECONDS:
                    raise
            time.sleep(ELECTION_PAUSE_SECONDS)

    def _open(self, url: str) -> EtcdConnection:
        """Connect to the member at ``url`` and make a first call; raises an error if the member is not ready.

        The first call needs a quorum. Therefore a member that cannot reach the other members is not ready.
        """
        connection = EtcdConnection(url, self._context, CONNECT_SECONDS, self._name)
        try:
            connection.set_timeout(self.answer_seconds)
            if self._user:
                login = {"name": self._user, "password": self._password}
                connection.token = str(connection.post("/v3/auth/authenticate", login)["token"])
            else:
                connection.post("/v3/kv/range", {**_range(CLUSTER, prefix=False), "keys_only": True})
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Close the connection; the next call opens another connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def _seen_revision(result: Json, events: Sequence[KeyValue], start: int) -> int:
    """Return the revision up to which a watch has delivered all events, after a message of the watch.

    - A message with events: the highest revision of these events. The revision in the message's header may be higher.
      It is not used, because a later message may have events of revisions between the two.
    - The first message of the watch: the revision before ``start``, which is the first watched revision.
    - Any other message: the revision in its header.
    """
    if events:
        return max(event.revision for event in events)
    return start - 1 if result.get("created") else int(result["header"]["revision"])


def _meaning(error: NobodyReady) -> EngineError:
    """Return the error to raise if no member was ready.

    If a member refused the first call, the result is the error of this member. Otherwise, it is EtcdUnavailable, and
    its text has the reason for each member.
    """
    for problem in error.problems.values():
        if isinstance(problem, EngineError) and not isinstance(problem, EtcdUnavailable):
            return problem
    reasons = ", ".join(f"{_place(url)}: {reason(p)}" for url, p in error.problems.items())
    return EtcdUnavailable(f"the cluster's store does not answer ({reasons or 'no members'})")


def _place(url: str) -> str:
    return "this host" if url.startswith("unix:") else url.rpartition("/")[2].rpartition("@")[2]


def _is_outdated(error: EtcdError) -> bool:
    """Return whether a call failed because its token has expired or is older than the last change of etcd's users.

    A token can become too old at any time, because etcd's users change whenever a manager admits another host.
    """
    if error.code == UNAUTHENTICATED:
        return True
    return any(text in error.reason for text in ("auth token", "user name is empty", "revision of auth store is old"))


def reason(error: BaseException) -> str:
    """Return the reason of an error as one phrase for an error message.

    For a certificate that has expired or is not valid yet, the phrase says to compare the hosts' clocks.
    """
    code = getattr(error, "verify_code", 0)
    if code in (9, 10):
        when = "is not valid yet" if code == 9 else "has expired"
        return f"its certificate {when}: compare the clocks of the hosts"
    if "CERTIFICATE_EXPIRED" in str(getattr(error, "reason", "")):
        return EXPIRED
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, EtcdUnavailable):
        return str(error).rpartition("answer: ")[2]
    return str(getattr(error, "verify_message", "") or in_words(error)).lower()
