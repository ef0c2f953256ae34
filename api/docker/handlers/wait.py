"""/containers/{id}/wait."""

from __future__ import annotations

import time

from api.docker.attachments import ATTACHMENTS
from api.docker.errors import ApiError, bad_request
from api.docker.messages import Request, encode
from api.docker.router import Route
from api.docker.stream import ChunkedStream
from api.docker.versions import Version
from engine.errors import NotFound
from engine.golang import timestamps
from engine.golang.strconv import quote

CONDITIONAL: Version = (1, 30)
"""The first API version with the parameter ``condition``. Docker ignores it in requests of earlier versions."""
CONDITIONS = ("not-running", "next-exit", "removed")
LOOK_SECONDS = 1.0
"""Seconds between two checks whether a container still exists, while it has not started."""
REMOVAL_LOOK_SECONDS = 0.05
"""Seconds between two checks whether a container still exists, after it has ended."""


def wait(request: Request) -> None:
    """Answer POST /containers/{id}/wait.

    Clients start the container when they get the head of the answer. The wait therefore begins before the head is sent.
    """
    condition = (request.version >= CONDITIONAL and request.value("condition")) or "not-running"
    if condition not in CONDITIONS:
        raise bad_request(f"invalid condition: {quote(condition)}")
    document = request.engine.containers.inspect(request.parameters["id"])
    container_id, state = document["Id"], document["State"]
    code = int(state["ExitCode"])
    if condition == "not-running" and not (state["Running"] or state["Restarting"]):
        failure = {"Error": {"Message": state["Error"]}} if state["Error"] else {}
        with request.exchange.open_stream() as stream:
            ATTACHMENTS.await_output(container_id, timestamps.to_seconds(state["FinishedAt"]))
            stream.write(encode({**failure, "StatusCode": code}))
        return
    # If the container runs, wait only for the present run, even if this run ends before the wait begins: a container
    # with --rm has no next run.
    wait_for_start = state["Restarting"] or not state["Running"]
    with _Waiting(request, container_id, next_run=wait_for_start) as waiting, request.exchange.open_stream() as stream:
        code = waiting.for_end(stream, code)
        if condition == "removed":
            waiting.for_removal(stream)
        stream.write(encode({"StatusCode": code}))


class _Waiting:
    """A wait for the end of one container's run. The wait begins when the object is created.

    If the container does not run, a wait without ``next_run`` ends at once. A wait with ``next_run`` ends at the end of
    the container's next run.
    """

    def __init__(self, request: Request, container_id: str, *, next_run: bool) -> None:
        self._request, self._id, self._next_run = request, container_id, next_run
        self._containers = request.engine.containers
        self._end = self._containers.watch_end(self._id, next_run=next_run)

    def __enter__(self) -> _Waiting:
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    def for_end(self, stream: ChunkedStream, code: int) -> int:
        """Wait until the container's run has ended and its addresses and ports are released; return the exit code.

        Some attached clients close their connection when they get the answer. Therefore the method also waits until
        these clients have got the last output. If the container is removed before the run begins, return ``code``, the
        exit code of the earlier run.
        ``stream`` is the open answer to the client. Raises ClientGone if the client disconnects.
        """
        while True:
            if not stream.wait(LOOK_SECONDS if self._next_run else None, self._end.fileno()):
                if not self._exists():
                    return code
                continue
            ended = self._end.exit_code()
            if ended is not None:
                now = time.time()
                _settle(self._request, self._id)
                ATTACHMENTS.await_output(self._id, now)
                return ended
            self._end.close()  # the supervisor (the parent of containers) was killed: ask the next supervisor
            self._end = self._containers.watch_end(self._id, next_run=self._next_run)

    def for_removal(self, stream: ChunkedStream) -> None:
        """Wait until the container no longer exists; raises ClientGone if the client disconnects.

        ``stream`` is the open answer to the client.
        """
        while self._exists():
            stream.wait(REMOVAL_LOOK_SECONDS)

    def _exists(self) -> bool:
        try:
            self._containers.inspect(self._id)
        except NotFound:
            return False
        return True


def _settle(request: Request, container_id: str) -> None:
    """Release the addresses and ports of a container that has ended, unless it no longer exists."""
    try:
        request.worker.containers.finalize_exit(container_id)
    except ApiError as error:
        if error.status != NotFound.status:
            raise


ROUTES = [Route("POST", "/containers/{id:.*}/wait", wait)]
