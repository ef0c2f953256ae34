"""A request as handlers see it, and the answer that a handler returns."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

import msgspec

from api.docker.errors import ApiError, bad_request
from api.docker.exchange import Exchange
from api.docker.fields import Fields
from api.docker.media_type import require_json
from api.docker.request_types import FILTERS, OLD_FILTERS
from api.docker.versions import Version
from api.docker.workers import Workers, WorkerVerb
from engine.api import Engine
from engine.golang.json_text import UNFINISHED, MoreContent, decode
from engine.golang.json_types import Mismatch, Struct
from engine.golang.strconv import atoi

Json = dict[str, Any]

BODY_LIMIT = 4 << 20
"""The limit of a JSON body in bytes; a longer body is refused. Bodies of archives have no limit here."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_FALSE = ("", "0", "no", "false", "none")


class Response(msgspec.Struct, frozen=True):
    """A complete answer. The bytes of ``body`` are sent unchanged; an answer without a body has b""."""

    status: int = 200
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()


def json_response(document: Any, status: int = 200) -> Response:
    """Return an answer with a JSON document, written as Go does: without spaces, and with a line break at the end."""
    return Response(status, encode(document), (("Content-Type", "application/json"),))


def encode(document: Any) -> bytes:
    """Return a document as one line of JSON.

    Python represents bytes that are not UTF-8 by lone surrogates. Such surrogates become U+FFFD, as in Go.
    """
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text).encode()


NO_CONTENT = Response(204)
NOT_MODIFIED = Response(304)
EMPTY = Response(200)


class Request(msgspec.Struct):
    """One request.

    - ``path``: without the version
    - ``query``: all values of each key
    - ``headers``: by name in lower case
    - ``engine``: the engine for operations that only read; operations that change the host use `worker` instead
    - ``parameters``: the parts of the path that the route names, such as "id"
    """

    method: str
    path: str
    version: Version
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    exchange: Exchange
    workers: Workers
    engine: Engine
    parameters: Mapping[str, str]

    def value(self, name: str) -> str:
        """Return the first value of a query parameter, or "" if the query does not have the parameter."""
        return next(iter(self.query.get(name, ())), "")

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a query parameter as a boolean, or ``default`` if the query does not have the parameter.

        By Docker's rule, all values except "", 0, no, false and none count as true.
        """
        return self.value(name).strip().lower() not in _FALSE if name in self.query else default

    def number(self, name: str) -> int | None:
        """Return a query parameter as a whole number, or None if it is missing or empty.

        Raises ApiError (500) if it is not a whole number.
        """
        text = self.value(name)
        try:
            return atoi(text) if text else None
        except ValueError as error:
            raise ApiError(500, str(error)) from None  # Docker also answers 500

    def filters(self) -> dict[str, list[str]]:
        """Return the values of each filter in the query parameter ``filters``, or {} if it is missing or empty.

        Example: {"name": {"web": true}} and the older form {"name": ["web"]} give {"name": ["web"]}. As in Docker,
        ``false`` counts as ``true``. Raises ApiError (400) if the parameter has neither form.
        """
        text = self.value("filters")
        if not text:
            return {}
        with suppress(ValueError):
            document = decode(text.encode("utf-8", "surrogateescape"), whole=True)
            for form in (FILTERS, OLD_FILTERS):
                with suppress(Mismatch):
                    values_by_name = form.document(document)
                    return {key: list(values or ()) for key, values in values_by_name.items()}
        raise bad_request("invalid filter")

    def json(self, struct: Struct) -> Fields:
        """Read the body as one JSON object of the type ``struct``; an empty body gives an empty object.

        Raises ApiError (400), with Docker's texts, if the body is no such object or the header Content-Type is wrong.
        Raises ApiError (413) if the body is too large.
        """
        if not self.exchange.has_body and not self.headers.get("content-type"):
            return Fields({})
        require_json(self.headers.get("content-type", ""))
        if not self.exchange.has_body:
            return Fields({})
        data, broken = self.exchange.read_body(BODY_LIMIT)
        if not data.strip():
            raise bad_request(f"invalid JSON: {broken or 'got EOF while reading request body'}")
        try:
            return Fields(struct.document(decode(data)))
        except MoreContent as error:
            raise bad_request(str(error)) from None
        except ValueError as error:
            text = broken if broken and str(error) == UNFINISHED else str(error)
            raise bad_request(f"invalid JSON: {text}") from None

    @property
    def worker(self) -> Engine:
        """An engine whose verbs run in workers. A call of a verb starts a worker and waits for the verb's result.

        Arguments and result are pickled. The call raises ApiError if the verb fails or no worker can be started.
        """
        return cast("Engine", WorkerVerb(self.workers))


Handler = Callable[[Request], Response | None]
"""A handler returns the answer, or None if it has sent a stream or taken over the connection itself (`Exchange`).

A handler may raise ApiError, EngineError and ClientGone.
"""
