"""The errors of the etcd store: the store does not answer, refuses, or no longer has the requested revision.

A worker reaches the etcd store through a manager's server. If this server refuses a request, the server sends the class
name and the text of an engine error. The worker then raises the same error.
"""

from __future__ import annotations

from engine.errors import Conflict, EngineError, Forbidden, InvalidArgument, NotFound, Unavailable

UNAVAILABLE, UNAUTHENTICATED = 14, 16
"""Two gRPC status codes: the member has no quorum; the token of the call has expired or is unknown."""
ELECTION = ("etcdserver: no leader", "etcdserver: leader changed")
"""The messages of a member that refuses a call without any effect because of an election.

Source: the errors ErrGRPCNoLeader and ErrGRPCLeaderChanged of etcd. etcd sends the second only for reads.
"""


class EtcdUnavailable(Unavailable):
    """Raised if no member of the etcd store answers."""


class NoLeader(EtcdUnavailable):
    """Raised if an etcd member refuses a call because the members are electing a leader; the call changed nothing."""


class EtcdError(Unavailable):
    """Raised if the etcd store refuses a call; ``code`` is the gRPC status of the refusal."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(f"the cluster's store refuses: {message}")
        self.code, self.reason = code, message


class Compacted(EtcdError):
    """Raised if a watch cannot continue from its revision. The caller must read all records again.

    etcd no longer has the revision, or the etcd store was restored from a backup that does not have the revision.
    """


KINDS: dict[str, type[EngineError]] = {
    kind.__name__: kind for kind in (Conflict, EtcdUnavailable, Forbidden, InvalidArgument, NotFound, Unavailable)
}
"""The error classes that a manager's server sends by class name."""


def refusal(message: str, code: int) -> Unavailable:
    """Return the exception for an error answer of etcd with the text ``message`` and the gRPC status ``code``.

    It is EtcdUnavailable or `NoLeader` if the status means that etcd is unavailable, and otherwise EtcdError.
    """
    if code == UNAVAILABLE:
        kind = NoLeader if message in ELECTION else EtcdUnavailable
        return kind(f"the cluster's store does not answer: {message}")
    return EtcdError(message, code)


def named(kind: str, message: str) -> EngineError:
    """Return the error that a manager's server has sent, from its class name ``kind`` and its text ``message``.

    If ``kind`` is not in `KINDS`, the class is Unavailable.
    """
    return KINDS.get(kind, Unavailable)(message)


def kind_of(error: EngineError) -> str:
    """Return the class name that a manager's server sends for ``error``.

    This is the name of the error's class, if the name is in `KINDS`. Otherwise, it is the name of the nearest base
    class in `KINDS`, or "Unavailable" if `KINDS` has none of them.
    """
    return next((k.__name__ for k in type(error).__mro__ if k.__name__ in KINDS), "Unavailable")
