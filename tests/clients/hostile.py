"""``python -m tests.clients.hostile HAWSE_SOCKET DOCKER_SOCKET``: compare the answers to thousands of hostile requests.

Both hosts need the image bb, a running container c1, and a network n1. The program lists the requests whose status or
message differs. No request changes a host, because new names are already in use, and the named images and containers do
not exist.
"""

from __future__ import annotations

import http.client
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from urllib.parse import quote

from api.docker import request_types as types
from engine.golang.json_types import GoType, ListOf, MapOf, Struct

from .conftest import UnixConnection

JSON = {"Content-Type": "application/json"}
VALUES = [b"null", b"true", b"5", b"-1", b"1.5", b"1e999", b"9223372036854775808", b'""', b'"x"', b'"\\ud800"', b"[]",
          b"{}", b"[null]", b"[1]", b'["x"]', b"[[]]", b"[{}]", b'{"a":null}', b'{"a":1}', b'{"a":"b"}', b'{"a":[]}',
          b'{"a":{}}', b"NaN", b"01", b'"\xff"', b'"\n"', b"[", b"{", b"tru", b"[" * 300 + b"]" * 300]  # fmt: skip
BODIES = [
    ("/networks/create", types.NETWORK_CREATE, b'{"Name":"n1",%s}'),
    ("/networks/n1/connect", types.NETWORK_CONNECT, b'{"Container":"none",%s}'),
    ("/networks/n1/disconnect", types.NETWORK_DISCONNECT, b'{"Container":"none",%s}'),
    ("/containers/create", types.CONTAINER_CREATE, b'{"Image":"none:x",%s}'),
    ("/containers/none/update", types.CONTAINER_UPDATE, b"{%s}"),
    ("/containers/none/exec", types.EXEC_CREATE, b'{"Cmd":["true"],%s}'),
    ("/exec/none/start", types.EXEC_START, b"{%s}"),
]
TEXTS = ["", "0", "1", "-1", "x", "1.5", "1e3", " 1", "+1", "0x10", "1_0", "9" * 20, "true", "no", "\0", "a\nb", "%ff",
         "\u0661"]  # fmt: skip
QUERIES = {
    "GET /containers/json": "all limit size", "GET /containers/c1/json": "size", "GET /networks/n1": "verbose scope",
    "POST /containers/none/stop": "t signal", "POST /containers/none/restart": "t", "GET /system/df": "type",
    "POST /containers/none/kill": "signal", "POST /containers/none/wait": "condition", "POST /exec/none/resize": "h w",
    "POST /containers/none/resize": "h w", "POST /containers/none/rename": "name", "GET /containers/c1/top": "ps_args",
    "GET /events?until=1": "since", "GET /containers/c1/logs?stdout=1&until=1": "since tail timestamps",
}  # fmt: skip
FILTERS = ["{", "[]", "5", "null", "x", '{"driver":5}', '{"driver":null}', '{"driver":["a",null]}',
           '{"driver":{"a":5}}', '{"driver":{"a":null}}', '{"driver":"a"}', '{"bad":[]}', '{"id":["["]}',
           '{"name":["(?<=a)"]}', '{"type":["bad"]}', '{"dangling":["x"]}', '{"dangling":["true","false"]}',
           '{"label":[""]}', '{"until":["x"]}', '{"until":["1","2"]}', '{"status":["bad"]}', '{"exited":["x"]}',
           '{"publish":["70000"]}', '{"expose":["5-1"]}', '{"before":["none"]}', '{"driver":["a"]}x',
           "[" * 3000]  # fmt: skip

Case = tuple[str, str, bytes | None]


def cases() -> Iterator[Case]:
    """Yield method, path and body of each request."""
    for path, struct, body in BODIES:
        for value in VALUES:
            yield "POST", path, value
            yield from (("POST", path, body % member) for member in members(struct, value))
    for request, names in QUERIES.items():
        method, _, path = request.partition(" ")
        for name in names.split():
            mark = "&" if "?" in path else "?"
            yield from ((method, f"{path}{mark}{name}={quote(text, safe='%')}", None) for text in TEXTS)
    for path in ("/networks", "/containers/json", "/images/json", "/events", "/nodes"):
        for text in FILTERS:
            yield "GET", f"{path}?until=1&filters={quote(text)}", None


def members(kind: GoType, value: bytes) -> Iterator[bytes]:
    """Yield members for JSON objects of the type ``kind``. Each member contains the hostile ``value`` at one place."""
    if isinstance(kind, Struct):
        for name, _, inner in kind.fields.values():
            key = json.dumps(name).encode()
            yield key + b":" + value
            for member in members(inner, value):
                yield key + b":" + (b"[{%s}]" if isinstance(inner, ListOf) else b"{%s}") % member
    elif isinstance(kind, ListOf):
        yield from members(kind.item, value)
    elif isinstance(kind, MapOf) and isinstance(kind.item, Struct) and kind.item.fields:
        yield from (b'"n1":{%s}' % member for member in members(kind.item, value))


def ask(path_of_socket: str, case: Case) -> tuple[int, str]:
    """Send a request; return the status and the error message, or 0 and the exception's name if no answer comes.

    The word ID replaces each id in the message.
    """
    connection = UnixConnection(path_of_socket)
    try:
        connection.request(*case, headers=JSON if case[2] is not None else {})
        response = connection.getresponse()
        text = response.read(1 << 16).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, type(error).__name__
    finally:
        connection.close()
    message = json.loads(text)["message"] if response.status >= 400 and text.startswith("{") else ""
    return response.status, re.sub(r"[0-9a-f]{12,64}", "ID", message)


def main() -> None:
    """Send each request to both services, and print the answers that differ and the number of differences."""
    counts = Counter[str]()
    for case in cases():
        counts["requests"] += 1
        ours, docker = (ask(path_of_socket, case) for path_of_socket in sys.argv[1:])
        if ours != docker:
            counts["status" if ours[0] != docker[0] else "message"] += 1
            print(f"{case[0]} {case[1][:120]} {(case[2] or b'')[:120]!r}\n  hawse  {ours}\n  docker {docker}")
    print(dict(counts))


if __name__ == "__main__":
    main()
