"""Requests that take over the connection: there is nothing to send, the request is refused, or the output is large.

dockerd 26.1.5 gave the same answers.
"""

from __future__ import annotations

import threading
import time

import pytest

from tests.clients.conftest import Service
from tests.conftest import loaded, until

UPGRADE = b"Connection: Upgrade\r\nUpgrade: tcp\r\n"


def exchange(service: Service, path: str) -> tuple[str, bytes]:
    """Send a POST request with an upgrade; return the first line of the answer's head, and the bytes after the head.

    Blocks until the service has closed the connection.
    """
    with service.connect(seconds=5) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\n".encode() + UPGRADE + b"Content-Length: 0\r\n\r\n")
        received = b""
        while data := connection.recv(4096):
            received += data
    head, _, body = received.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0].decode(), body


@pytest.mark.parametrize(
    ("path", "line", "text"),
    [
        ("/containers/nosuch/attach?stream=1", "HTTP/1.1 404 Not Found", "No such container: nosuch"),
        ("/containers/c1/attach?detachKeys=bad", "HTTP/1.1 400 Bad Request", "Invalid detach keys (bad) provided"),
    ],
)
def test_a_refused_attach_is_answered_with_plain_text(service, path, line, text):
    service.docker("create", "--name", "c1", "bb", "true")
    assert exchange(service, path) == (line, text.encode() + b"\r\n")


@pytest.mark.parametrize("command", [("create",), ("run", "-d")])
def test_an_attach_without_a_stream_ends_at_once(service, command):
    """Without OpenStdin, the container has no input to attach to."""
    service.docker(*command, "--name", "c1", "bb", "sleep", "300")
    for streams in ("", "&stdin=1"):
        assert exchange(service, f"/containers/c1/attach?stream=1{streams}") == ("HTTP/1.1 101 UPGRADED", b"")


def test_an_attach_without_a_stream_waits_if_the_input_ends_with_its_first_client(service):
    body = {"Image": "bb", "Cmd": ["sleep", "1"], "OpenStdin": True, "StdinOnce": True}
    container = service.ask("POST", "/containers/create", body).json["Id"]
    service.docker("start", container)
    assert exchange(service, f"/containers/{container}/attach?stream=1") == ("HTTP/1.1 101 UPGRADED", b"")
    assert not service.ask("GET", f"/containers/{container}/json").json["State"]["Running"]


def test_an_exec_ends_with_the_run_of_its_container(service):
    service.docker("run", "-d", "--name", "c1", "bb", "sleep", "300")
    exec_id = service.ask("POST", "/containers/c1/exec", {"Cmd": ["true"]}).json["Id"]
    assert service.ask("GET", "/containers/c1/json").json["ExecIDs"] == [exec_id]
    service.docker("restart", "-t0", "c1")
    assert service.ask("GET", "/containers/c1/json").json["ExecIDs"] is None
    for method, request in (("GET", "json"), ("POST", "start"), ("POST", "resize?h=1&w=1")):
        answer = service.ask(method, f"/exec/{exec_id}/{request}")
        assert (answer.status, answer.message) == (404, f"No such exec instance: {exec_id}"), request


def test_an_exec_with_wrong_detach_keys_is_refused(service):
    service.docker("run", "-d", "--name", "c1", "bb", "sleep", "300")
    answer = service.ask("POST", "/containers/c1/exec", {"Cmd": ["true"], "DetachKeys": "bad"})
    assert (answer.status, answer.message) == (500, "Invalid escape keys (bad) provided")


@pytest.mark.parametrize("begun", ["while the container runs", "after its end"])
def test_wait_answers_after_an_attached_client_has_got_the_last_output(service, begun):
    """Some clients, such as dockerode's ``run``, close the attachment as soon as the wait is answered."""
    service.docker("create", "--name", "c1", "bb", "sh", "-c", "sleep 1; head -c 400000 /dev/zero")
    waiting = threading.Thread(target=service.ask, args=("POST", "/containers/c1/wait"))
    with service.connect() as attached:
        attached.sendall(b"POST /containers/c1/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert attached.recv(4096).startswith(b"HTTP/1.1 200")
        service.docker("start", "c1")
        if begun == "while the container runs":
            waiting.start()
        until(lambda: service.ask("GET", "/containers/c1/json").json["State"]["Status"] == "exited")
        if begun == "after its end":
            waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        received = 0
        while data := attached.recv(65536):
            received += len(data)
    assert received > 400_000
    waiting.join(10)
    assert not waiting.is_alive()


def test_wait_does_not_wait_for_clients_that_read_nothing_or_attached_after_the_end(service):
    service.docker("run", "--name", "c1", "bb", "sh", "-c", "head -c 400000 /dev/zero")
    with service.connect() as attached:
        attached.sendall(b"POST /containers/c1/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert attached.recv(4096).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        assert service.ask("POST", "/containers/c1/wait").json == {"StatusCode": 0}
        assert time.monotonic() - began < loaded(1)
        service.docker("start", "c1")
        assert service.ask("POST", "/containers/c1/wait").json == {"StatusCode": 0}
