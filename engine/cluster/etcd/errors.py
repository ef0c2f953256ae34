"""How etcd fails: it does not answer, it refuses, or what was asked for has been compacted away."""

from __future__ import annotations

from engine.errors import Unavailable

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


def refusal(message: str, code: int) -> Unavailable:
    """What an answer with an error in it means: that the store can't be used just now, or that it refuses the call."""
    if code == UNAVAILABLE:
        return EtcdUnavailable(f"the cluster's store does not answer: {message}")
    return EtcdError(message, code)
