"""A double that the tests of commands on containers share."""

from __future__ import annotations


class Session:
    """A double of a connection to a container's streams.

    A test can give the function ``during``, which the double runs while the connection is open.
    """

    def __init__(self, during=lambda: None, exit_code=None, detached=False) -> None:
        self.run, self.exit_code, self.detached = during, exit_code, detached
        self.closed = False

    def close(self) -> None:
        self.closed = True
