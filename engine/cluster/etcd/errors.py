"""The errors of the store: it does not answer, it refuses, or the requested revision has been compacted.

A manager's server between a worker and the store refuses with the engine's own errors. Their text arrives unchanged.
"""

from __future__ import annotations

from engine.errors import Conflict, EngineError, Forbidden, InvalidArgument, NotFound, Unavailable

UNAVAILABLE, UNAUTHENTICATED = 14, 16
"""gRPC status of a member without quorum, and of a call with an unknown or expired token."""


class EtcdUnavailable(Unavailable):
    """No member of the cluster's store answers."""


class EtcdError(Unavailable):
    """The store refuses a call; ``code`` is its gRPC status."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(f"the cluster's store refuses: {message}")
        self.code, self.reason = code, message


class Compacted(EtcdError):
    """A watch asks for revisions that no longer exist. Everything must be read again."""


KINDS: dict[str, type[EngineError]] = {
    kind.__name__: kind for kind in (Conflict, EtcdUnavailable, Forbidden, InvalidArgument, NotFound, Unavailable)
}
"""The errors that a manager's server sends by name."""


def refusal(message: str, code: int) -> Unavailable:
    """Return the error for etcd's error answer.

    It is EtcdUnavailable if etcd is unavailable, otherwise EtcdError.
    """
    if code == UNAVAILABLE:
        return EtcdUnavailable(f"the cluster's store does not answer: {message}")
    return EtcdError(message, code)


def named(kind: str, message: str) -> EngineError:
    """Return the error that a manager's server sent by name; an unknown name becomes Unavailable."""
    return KINDS.get(kind, Unavailable)(message)


def kind_of(error: EngineError) -> str:
    """Return the name under which a manager's server sends an error: its nearest base class in `KINDS`."""
    return next((k.__name__ for k in type(error).__mro__ if k.__name__ in KINDS), "Unavailable")
