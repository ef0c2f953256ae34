"""hawse answers hostile requests with the status and message that dockerd 26.1.5 gives.

`tests.clients.hostile` sends many more such requests to hawse and to a real dockerd, and lists the differences.
"""

from __future__ import annotations

import json
import socket
from urllib.parse import quote

import pytest

UNMARSHAL = "invalid JSON: json: cannot unmarshal"
CREATE, CONNECT, CONTAINER = "/networks/create", "/networks/bridge/connect", "/containers/create"
BODIES = [
    (CREATE, b"NaN", "invalid JSON: invalid character 'N' looking for beginning of value"),
    (CREATE, b'{"Name":tru}', "invalid JSON: invalid character '}' in literal true (expecting 'e')"),
    (CREATE, b'{"Name":"a\x00"}', "invalid JSON: invalid character '\\x00' in string literal"),
    (CREATE, b'\xff{"Name":"a"}', "invalid JSON: invalid character 'ÿ' looking for beginning of value"),
    (CREATE, b"{}{}", "unexpected content after JSON"),
    (CREATE, b"{} ]", "invalid name: "),
    (CREATE, b"  ", "invalid JSON: got EOF while reading request body"),
    (CREATE, b"[" * 200_000, "invalid JSON: invalid character '[' exceeded max depth"),
    (CREATE, b'{"Name":"\\ud800","NAME":"","Labels":null,"unknown":1e999}', "invalid name: "),
    (CREATE, b'{"Name":' + b"9" * 10_000 + b"}",
     f"{UNMARSHAL} number into Go struct field NetworkCreateRequest.Name of type string"),
    (CREATE, b'{"Name":"a","Attachable":5}',
     f"{UNMARSHAL} number into Go struct field NetworkCreateRequest.NetworkCreate.Attachable of type bool"),
    (CREATE, b'{"Name":"a","IPAM":{"Config":[5]}}',
     f"{UNMARSHAL} number into Go struct field IPAM.NetworkCreate.IPAM.Config of type network.IPAMConfig"),
    (CREATE, b'{"Name":"a","Labels":{"a":[]}}',
     f"{UNMARSHAL} array into Go struct field NetworkCreateRequest.NetworkCreate.Labels of type string"),
    (CONNECT, b'{"Container":"x","EndpointConfig":{"IPAMConfig":{"LinkLocalIPs":"x"}}}',
     f"{UNMARSHAL} string into Go struct field EndpointIPAMConfig.EndpointConfig.IPAMConfig.LinkLocalIPs of type "
     "[]string"),
    (CONNECT, b'{"Container":"x","EndpointConfig":{"IPPrefixLen":1.5}}',
     f"{UNMARSHAL} number 1.5 into Go struct field EndpointSettings.EndpointConfig.IPPrefixLen of type int"),
    (CONTAINER, b'{"Unknown":1}', "config cannot be empty in order to create a container"),
    (CONTAINER, b'{"Image":null}', "no command specified"),
    (CONTAINER, b'{"Image":"bb","Env":[null]}', "invalid environment variable: "),
    (CONTAINER, b'{"Image":"bb","Volumes":[]}', f"{UNMARSHAL} array into Go struct field "
     "ContainerConfigWrapper.Config.Volumes of type map[string]struct {}"),
    (CONTAINER, b'{"Image":"bb","HostConfig":{"Memory":9223372036854775808}}', f"{UNMARSHAL} number "
     "9223372036854775808 into Go struct field HostConfig.HostConfig.Resources.Memory of type int64"),
    (CONTAINER, b'{"Image":"bb","HostConfig":{"Devices":{}}}', f"{UNMARSHAL} object into Go struct field "
     "HostConfig.HostConfig.Resources.Devices of type []container.DeviceMapping"),
    (CONTAINER, b'{"Image":"bb","HostConfig":{"PortBindings":{"80/tcp":{}}}}',
     f"{UNMARSHAL} object into Go struct field HostConfig.HostConfig.PortBindings of type []nat.PortBinding"),
    (CONTAINER, b'{"Image":"bb","HostConfig":{"CapAdd":[null]}}', 'invalid CapAdd: unknown capability: "CAP_"'),
    (CONTAINER, b'{"Image":"bb","HostConfig":{"UTSMode":"x"}}', "invalid UTS mode: x"),
    ("/containers/none/exec", b'{"Cmd":"true"}',
     f"{UNMARSHAL} string into Go struct field ExecConfig.Cmd of type []string"),
    ("/containers/none/update", b'{"PidsLimit":true}',
     f"{UNMARSHAL} bool into Go struct field UpdateConfig.Resources.PidsLimit of type int64"),
    ("/exec/none/start", b'{"ConsoleSize":[-1]}',
     f"{UNMARSHAL} number -1 into Go struct field ExecStartCheck.ConsoleSize of type uint"),
]  # fmt: skip
QUERIES = [
    ("GET", "/containers/json?limit=%201", 500, 'strconv.Atoi: parsing " 1": invalid syntax'),
    ("GET", "/containers/json?limit=1_0", 500, 'strconv.Atoi: parsing "1_0": invalid syntax'),
    ("GET", f"/containers/json?limit={'9' * 20}", 500, f'strconv.Atoi: parsing "{"9" * 20}": value out of range'),
    ("GET", "/containers/json?limit=%ff", 500, 'strconv.Atoi: parsing "\\xff": invalid syntax'),
    ("POST", "/containers/none/stop?t=%D9%A1", 500, 'strconv.Atoi: parsing "\u0661": invalid syntax'),
    ("POST", f"/containers/none/kill?signal={'9' * 20}", 400,
     f"cannot kill container: none: invalid signal: {'9' * 20}"),
    ("POST", "/containers/none/wait?condition=a%0ab", 400, 'invalid condition: "a\\nb"'),
    ("POST", "/containers/none/resize?h=-1&w=x", 400, 'strconv.Atoi: parsing "x": invalid syntax'),
    ("POST", "/exec/none/resize?h=&w=1", 400, 'strconv.Atoi: parsing "": invalid syntax'),
    ("GET", "/events?until=x", 500, 'strconv.ParseInt: parsing "x": invalid syntax'),
    ("GET", "/networks/bridge?verbose=%ff", 400,
     'invalid value for verbose: \ufffd: strconv.ParseBool: parsing "\\xff": invalid syntax'),
    ("GET", "/networks/a%00", 404, "network a\0 not found"),
    ("GET", "/networks/%ff", 404, "network \ufffd not found"),
    ("GET", "/networks?a;b", 400, "invalid semicolon separator in query"),
    ("GET", "/networks?%zz=1&a=b;c", 400, "invalid semicolon separator in query"),
    ("GET", "/networks?a=b%zzz%", 400, 'invalid URL escape "%zz"'),
    ("GET", "/networks?a=%z", 400, 'invalid URL escape "%z"'),
    ("DELETE", "/networks/missing?a;b", 400, "invalid semicolon separator in query"),
    ("POST", "/networks/create?a;b", 400, "invalid semicolon separator in query"),
    ("GET", "/containers/none/json?a;b", 404, "No such container: none"),
    ("GET", "/exec/none/json?a=%", 404, "No such exec instance: none"),
]  # fmt: skip
MALFORMED = [
    (b"garbage\r\n\r\n", "400 Bad Request"),
    (b"GET /_ping\r\n\r\n", "400 Bad Request"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400 Bad Request"),
    (b"\r\nGET /_ping HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request"),
    (b"GET /_ping http/1.1\r\nHost: a\r\n\r\n", "400 Bad Request"),
    (b"GET /_ping HTTP/2.0\r\nHost: a\r\n\r\n", "505 HTTP Version Not Supported: unsupported protocol version"),
    (b"GET /_ping HTTP/1.1\r\n\r\n", "400 Bad Request: missing required Host header"),
    (b"GET /_ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400 Bad Request"),
    (b"GET /_ping HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", "400 Bad Request"),
    (b"GET /_ping HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", "400 Bad Request"),
    (b"GET /_\x01ping HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request"),
    (b"POST /networks/prune HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "400 Bad Request"),
    (b"GET /networks/%zz HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request"),
    (b"GET networks HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request"),
]  # fmt: skip
FILTERS = [
    ("/networks", '{"driver":{"a":5}}', 400, "invalid filter"),
    ("/networks", '{"driver":["a"]}x', 400, "invalid filter"),
    ("/networks", "[" * 3000, 400, "invalid filter"),
    ("/networks", '{"driver":NaN}', 400, "invalid filter"),
    ("/containers/json", '{"driver":null}', 400, "invalid filter 'driver'"),
    ("/containers/json", '{"label":{"a":true,"b":"x"}}', 400, "invalid filter"),
    ("/images/json", '{"dangling":["true","false"]}', 400, "invalid filter 'dangling=[true false]'"),
    ("/images/json", '{"until":["x"]}', 500, 'failed to parse value as time or duration: "x"'),
    ("/images/prune", '{"bad":[]}', 400, "invalid filter 'bad'"),
]


@pytest.fixture(scope="module", autouse=True)
def no_traceback(service):
    """No request may have raised an error that is not handled."""
    yield
    assert "Traceback" not in service.log.read_text()
    assert service.ask("GET", "/_ping").body == b"OK"


def test_hostile_bodies_get_dockers_errors(service):
    for path, body, message in BODIES:
        answer = service.ask("POST", path, body, **{"Content-Type": "application/json"})
        assert (answer.status, answer.message) == (400, message), (path, body[:80])


UNEXPECTED = "invalid JSON: unexpected EOF"
CUT = [
    (b"Content-Length: 99\r\n\r\n" + b'{"Name":""}', 400, "invalid name: "),
    (b"Content-Length: 99\r\n\r\n" + b'{"Name":""', 400, UNEXPECTED),
    (b"Content-Length: 99\r\n\r\n", 400, UNEXPECTED),
    (b'Transfer-Encoding: chunked\r\n\r\n99\r\n{"Name":""}', 400, "invalid name: "),
    (b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"Nam', 400, UNEXPECTED),
    (b"Transfer-Encoding: chunked\r\n\r\n", 400, UNEXPECTED),
    (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}", 400, "invalid JSON: invalid byte in chunk length"),
    (b"Transfer-Encoding: chunked\r\n\r\n1\r\n{xx0\r\n\r\n", 400, "invalid JSON: malformed chunked encoding"),
]


def test_a_body_that_is_cut_off_gets_dockers_answer(service):
    """dockerd 26.1.5 gave the same answers."""
    for rest, status, message in CUT:
        with service.connect() as connection:
            head = b"POST /networks/create HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            connection.sendall(head + rest)
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda connection=connection: connection.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 %d " % status), rest
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["message"] == message, rest


@pytest.mark.parametrize("body", [b'{"a":1}x', b"12345678"])
def test_a_start_with_a_body_is_refused(service, body):
    answer = service.ask("POST", "/containers/none/start", body)
    text = "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24"
    assert (answer.status, answer.message) == (400, text)
    assert service.ask("POST", "/containers/none/start", b"{}").status == 404


def test_a_head_may_have_a_megabyte_as_with_docker(service):
    assert service.ask("GET", "/networks/missing", **{"X-Long": "a" * 1_040_000}).status == 404
    assert service.ask("GET", "/networks/missing", **{"X-Long": "a" * 3_000_000}).status == 431


def test_hostile_queries_and_filters_get_dockers_errors(service):
    listed = [(("POST" if path.endswith("prune") else "GET"), f"{path}?filters={quote(text)}", status, message)
              for path, text, status, message in FILTERS]  # fmt: skip
    for method, path, status, message in [*QUERIES, *listed]:
        answer = service.ask(method, path)
        assert (answer.status, answer.message) == (status, message), path[:80]
    assert len(service.ask("GET", "/networks?filters=null").json) == 3


def test_a_request_that_is_not_http_gets_the_answer_of_go_and_the_connection_ends(service):
    for request, text in MALFORMED:
        with service.connect() as connection:
            connection.sendall(request)
            answer = b"".join(iter(lambda connection=connection: connection.recv(4096), b""))
        head = f"HTTP/1.1 {text}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
        assert answer.decode() == head + text, request


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("a b", "malformed Content-Type header (a b): mime: expected slash after first token"),
        ("application/", "malformed Content-Type header (application/): mime: expected token after slash"),
        ("application/json; q", "malformed Content-Type header (application/json; q): mime: invalid media parameter"),
        ("/json", "malformed Content-Type header (/json): mime: no media type"),
        ("application/json, text/plain", "malformed Content-Type header (application/json, text/plain): mime: "
         "unexpected content after media subtype"),
        ("json", "unsupported Content-Type header (json): must be 'application/json'"),
        ('APPLICATION/JSON ; charset="utf-8"', "invalid name: "),
    ],
)  # fmt: skip
def test_malformed_content_types_get_dockers_errors(service, header, message):
    answer = service.ask("POST", CREATE, b"{}", **{"Content-Type": header})
    assert (answer.status, answer.message) == (400, message)


def test_a_path_may_have_letters_that_are_not_escaped(service):
    """dockerd 26.1.5 gave the same answer; curl sends such paths."""
    assert service.ask("POST", "/networks/create", {"Name": "büro"}).status == 201
    head = " HTTP/1.1\r\nHost: x\r\nX-Name: büro\r\n"
    for request in (f"GET /networks/büro{head}\r\n", f"DELETE /networks/büro{head}Connection: close\r\n\r\n"):
        with service.connect() as connection:
            connection.sendall(request.encode())
            assert connection.recv(4096).split()[1] in (b"200", b"204")


def test_the_first_of_several_content_types_counts(service):
    for types, expected in (
        (("application/json", "text/plain"), "invalid name: "),
        (("text/plain", "application/json"), "unsupp"),
    ):
        with service.connect() as connection:
            lines = "".join(f"Content-Type: {each}\r\n" for each in types)
            connection.sendall(f"POST {CREATE} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: 2\r\n\r\n{{}}".encode())
            assert expected in connection.recv(4096).decode()


def test_a_memory_limit_that_docker_refuses_is_refused(service):
    answers = [
        service.ask("POST", "/containers/create", {"Image": "none", "HostConfig": {"Memory": limit}})
        for limit in (-1, (6 << 20) - 1, 6 << 20, 0)
    ]
    assert [answer.status for answer in answers] == [400, 400, 404, 404]
    assert answers[0].message == "Minimum memory limit allowed is 6MB"


def test_huge_bodies_are_refused(service):
    body = json.dumps({"Name": "x" * (10 << 20)}).encode()
    assert service.ask("POST", CREATE, body, **{"Content-Type": "application/json"}).status == 413
