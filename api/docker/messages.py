"""A request as handlers see it, and the answer that a handler returns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

from api.docker.errors import ApiError, bad_request
from api.docker.exchange import Exchange
from api.docker.fields import Fields
from api.docker.golang_json import decode, syntax_error
from api.docker.stream import ChunkedStream, Hijacked
from api.docker.versions import Version
from api.docker.workers import Job, Workers
from engine.api import Engine

P = ParamSpec("P")
T = TypeVar("T")
Json = dict[str, Any]

BODY_LIMIT = 4 << 20
"""The limit of a JSON body in bytes; a longer body is refused. Bodies of archives have no limit here."""
RAW_STREAM = "application/vnd.docker.raw-stream"
MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream"
_FALSE = ("", "0", "no", "false", "none")


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer. ``body`` is bytes that are sent as they are; without a body, its length is 0."""

    status: int = 200
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()


def json_response(document: Any, status: int = 200) -> Response:
    """Return an answer with a JSON document, written as Go does: without spaces, and with a line break at the end."""
    return Response(status, encode(document), (("Content-Type", "application/json"),))


def encode(document: Any) -> bytes:
    """Return a document as one line of JSON; bytes that are not UTF-8 become U+FFFD, as in Go."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace") + b"\n"


NO_CONTENT = Response(204)
NOT_MODIFIED = Response(304)
EMPTY = Response(200)


@dataclass(slots=True)
class Request:
    """One request.

    ``path`` has no version. ``parameters`` are the parts of the path that the route names. ``headers`` have names in
    lower case. ``query`` has all values of each key. ``engine`` only reads; `change` runs the work that changes the
    host.
    """

    method: str
    path: str
    version: Version
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    exchange: Exchange
    workers: Workers
    engine: Engine
    parameters: Mapping[str, str] = field(default_factory=dict)

    def value(self, name: str, default: str = "") -> str:
        """Return the first value of a query parameter."""
        return next(iter(self.query.get(name, ())), default)

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a query parameter by Docker's rule: all values except "", 0, no, false and none count as true."""
        return self.value(name).strip().lower() not in _FALSE if name in self.query else default

    def number(self, name: str) -> int | None:
        """Return a query parameter as a number, or None without it; raises ApiError (500) for another text."""
        text = self.value(name)
        if not text:
            return None
        try:
            return int(text)
        except ValueError:
            raise ApiError(500, f'strconv.Atoi: parsing "{text}": invalid syntax') from None  # Docker's status too

    def filters(self) -> dict[str, list[str]]:
        """Return the query parameter ``filters``, a map of lists or of maps whose values are true; raises ApiError
        (400).
        """
        text = self.value("filters")
        if not text:
            return {}
        try:
            given = json.loads(text)
        except ValueError:
            raise bad_request("invalid filter") from None
        if not isinstance(given, dict):
            raise bad_request("invalid filter")
        return {str(key): _filter_values(values) for key, values in given.items()}

    def json(self, name: str, embedded: str = "") -> Fields:
        """Read the body as one JSON object; an empty body gives an empty object.

        ``name`` is the object's Go type, such as "types.NetworkCreateRequest"; see `Fields` for ``embedded``.

        Raises ApiError (400) with Docker's texts.
        """
        struct = name.rpartition(".")[2]
        if not self.exchange.has_body and not self.headers.get("content-type"):
            return Fields({}, struct, embedded)
        self._require_json()
        if not self.exchange.has_body:
            return Fields({}, struct, embedded)
        data = self.exchange.read_body(BODY_LIMIT)
        if not data.strip():
            raise bad_request("invalid JSON: got EOF while reading request body")
        try:
            document = decode(data)
        except (ValueError, RecursionError) as error:
            raise bad_request(f"invalid JSON: {syntax_error(error, data)}") from None
        if document is None:
            return Fields({}, struct, embedded)
        if not isinstance(document, dict):
            kind = {list: "array", str: "string", bool: "bool"}.get(type(document), "number")
            raise bad_request(f"invalid JSON: json: cannot unmarshal {kind} into Go value of type {name}")
        return Fields(document, struct, embedded)

    def body(self) -> Iterator[bytes]:
        """Yield the body in pieces as they arrive, without a limit; raises ClientGone."""
        return self.exchange.body()

    def change(self, job: Callable[Concatenate[Engine, P], T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Run a job in a worker, and return its result; raises ApiError.

        ``job`` is a function at module level, and its first argument is the worker's engine. Arguments and result are
        pickled.
        """
        return self.workers.run(job, *arguments, **keywords)

    def start_job(self, job: Callable[..., Any], *arguments: Any, files: Sequence[int] = ()) -> Job:
        """Start a job in a worker without waiting: ``job(engine, files, *arguments)``, with copies of these files."""
        return self.workers.start(job, arguments, files=files)

    def start_session(self, job: Callable[..., Any], *arguments: Any, files: Sequence[int] = ()) -> Job:
        """Start a job as `start_job` does; the job may run for as long as a container."""
        return self.workers.start(job, arguments, files=files, counted=False)

    def open_stream(self, content_type: str = "application/json", status: int = 200) -> ChunkedStream:
        """Send the head of a chunked answer now; the handler then writes the body to the stream, and returns None."""
        return self.exchange.open_stream(status, (("Content-Type", content_type),))

    def hijack(self, content_type: str = RAW_STREAM) -> Hijacked:
        """Answer 101 UPGRADED (or 200 if the client asks for no upgrade), and return the bare connection.

        The handler returns None when it has finished; the connection is then closed.
        """
        return self.exchange.hijack(content_type)

    def _require_json(self) -> None:
        given = self.headers.get("content-type", "")
        if not given:
            raise bad_request("malformed Content-Type header (): mime: no media type")
        if given.partition(";")[0].strip().lower() != "application/json":
            raise bad_request(f"unsupported Content-Type header ({given}): must be 'application/json'")


Handler = Callable[[Request], Response | None]
"""A handler returns the answer, or None if it has sent a stream itself.

It may raise ApiError, EngineError and ClientGone.
"""


def _filter_values(values: Any) -> list[str]:
    if isinstance(values, dict):
        return [str(value) for value, wanted in values.items() if wanted]
    if isinstance(values, list) and all(isinstance(value, str) for value in values):
        return list(values)
    raise bad_request("invalid filter")
