"""How the store fails: it does not answer, it refuses, or what was asked for has been compacted away.

A manager's server that stands between refuses with one of the engine's own errors; its text arrives as it was written.
"""

from __future__ import annotations

from engine.errors import Conflict, EngineError, Forbidden, InvalidArgument, NotFound, Unavailable

UNAVAILABLE, UNAUTHENTICATED = 14, 16
"""The gRPC status of a member that is without the others, and of a call whose token is unknown or has expired."""


class EtcdUnavailable(Unavailable):
    """No member of the cluster's store answers."""


class EtcdError(Unavailable):
    """The store refuses a call; ``code`` is its gRPC status."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(f"the cluster's store refuses: {message}")
        self.code, self.reason = code, message


class Compacted(EtcdError):
    """A watch asks for revisions that are no longer kept: everything has to be read anew."""


KINDS: dict[str, type[EngineError]] = {
    kind.__name__: kind for kind in (Conflict, EtcdUnavailable, Forbidden, InvalidArgument, NotFound, Unavailable)
}
"""The errors that a manager's server names."""


def refusal(message: str, code: int) -> Unavailable:
    """What an answer with an error in it means: that the store can't be used just now, or that it refuses the call."""
    if code == UNAVAILABLE:
        return EtcdUnavailable(f"the cluster's store does not answer: {message}")
    return EtcdError(message, code)


def named(kind: str, message: str) -> EngineError:
    """The error that a manager's server has answered with."""
    return KINDS.get(kind, Unavailable)(message)


def kind_of(error: EngineError) -> str:
    """What a manager's server calls an error: the nearest of its classes that has a name here."""
    return next((k.__name__ for k in type(error).__mro__ if k.__name__ in KINDS), "Unavailable")
