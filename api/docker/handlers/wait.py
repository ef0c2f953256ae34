"""/containers/{id}/wait."""

from __future__ import annotations

from api.docker.errors import ApiError, bad_request
from api.docker.messages import Request, encode
from api.docker.router import Route
from api.docker.stream import ChunkedStream
from engine.api import Engine
from engine.errors import NotFound

CONDITIONS = ("not-running", "next-exit", "removed")
REMOVAL_INTERVAL_SECONDS = 1.0
"""Seconds between two looks whether a container that does not run has been removed."""


def wait(request: Request) -> None:
    """Answer POST /containers/{id}/wait.

    The head of the answer is sent as soon as the wait has begun, because clients start the container then.
    """
    condition = request.value("condition") or "not-running"
    if condition not in CONDITIONS:
        raise bad_request(f'invalid condition: "{condition}"')
    document = request.engine.containers.inspect(request.parameters["id"])
    container_id, state = document["Id"], document["State"]
    runs = state["Running"] or state["Restarting"]
    waiting = _Waiting(request, container_id)
    try:
        if runs or condition != "not-running":
            waiting.watch()
        with request.open_stream() as stream:
            code = int(state["ExitCode"])
            if runs or condition != "not-running":
                code = waiting.for_end(stream, code, removed=condition == "removed")
            stream.write(encode({"StatusCode": code}))
    finally:
        waiting.close()


class _Waiting:
    """A wait for the end of one container's run."""

    def __init__(self, request: Request, container_id: str) -> None:
        self._request, self._id = request, container_id
        self._containers = request.engine.containers

    def watch(self) -> None:
        """Begin to watch, before the client hears of it."""
        self._end = self._containers.watch_end(self._id, next_run=True)

    def for_end(self, stream: ChunkedStream, code: int, *, removed: bool) -> int:
        """Wait until the run has ended (or, with ``removed``, until the container is removed); return the exit code.

        ``code`` is the exit code if the container is removed before it runs. Raises ClientGone.
        """
        while True:
            if not stream.wait(REMOVAL_INTERVAL_SECONDS, self._end.fileno()):
                if not self._exists():
                    return code
                continue
            ended = self._end.exit_code()
            if ended is not None:
                return self._settled(ended, removed=removed)
            self._end.close()
            self.watch()

    def close(self) -> None:
        """Stop watching; idempotent."""
        if hasattr(self, "_end"):
            self._end.close()

    def _settled(self, code: int, *, removed: bool) -> int:
        """Wait until the container's addresses and ports are released; return the exit code."""
        try:
            self._request.change(_settle, self._id, "removed" if removed else "not-running")
        except ApiError as error:
            if error.status != 404:
                raise
        return code

    def _exists(self) -> bool:
        try:
            self._containers.inspect(self._id)
        except NotFound:
            return False
        return True


def _settle(engine: Engine, container_id: str, condition: str) -> None:
    engine.containers.wait(container_id, condition=condition)


ROUTES = [Route("POST", "/containers/{id:.*}/wait", wait)]
