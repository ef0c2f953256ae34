"""The tests check how docker's own command line (run, exec, logs, attach, wait) carries the streams of containers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pexpect
import pytest
import websocket

from tests.conftest import loaded, until

from .conftest import front_of


@pytest.fixture
def terminal(service):
    """Return a function that runs docker's command line on a terminal with 33 rows and 101 columns."""
    started = []

    def spawn(*argv: str) -> pexpect.spawn:
        started.append(pexpect.spawn("docker", list(argv), env=service.environment, dimensions=(33, 101), timeout=15))
        return started[-1]

    yield spawn
    for each in started:
        each.close(force=True)


def ended(session: pexpect.spawn) -> int:
    """Wait for the end of a session, and return the exit code."""
    session.expect(pexpect.EOF)
    return session.wait()


def open_docker(service, *argv: str, **kw) -> subprocess.Popen:
    """Start docker's command line without waiting for its end."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **kw}
    return subprocess.Popen(["docker", *argv], env=service.environment, **pipes)


def test_run_passes_streams_and_the_exit_code(service):
    docker = service.docker
    done = docker("run", "--rm", "bb", "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    assert docker("run", "-i", "--rm", "bb", "cat", input="data\n").stdout == "data\n"
    assert docker("run", "-i", "--rm", "bb", "cat", input="").stdout == ""
    much = "x" * 79 + "\n"
    assert docker("run", "-i", "--rm", "bb", "cat", input=much * 50_000).stdout == much * 50_000
    assert docker("run", "--rm", "bb", "cat", input="nobody reads this").stdout == ""
    missing = docker("run", "--rm", "bb", "nosuch", check=False)
    assert missing.returncode == 127 and "executable file not found" in missing.stderr
    for _ in range(3):
        nobody = docker("run", "--rm", "-u", "0:nosuch", "bb", "true", check=False)
        assert "unable to find group nosuch" in nobody.stderr, "the error is that of the start, not of the removal"
    assert docker("ps", "-aq").stdout == ""


def test_run_on_a_terminal_follows_its_size_and_can_be_left(service, terminal):
    session = terminal("run", "-it", "--name", "c1", "bb", "sh")
    session.expect("# ")
    session.sendline("stty size")
    session.expect("33 101")
    session.setwinsize(20, 50)
    until(lambda: session.sendline("stty size") and session.expect(["20 50", "33 101"]) == 0, pause=0.2)
    session.send("\x10\x11")
    assert ended(session) == 0
    again = terminal("attach", "c1")
    again.sendline("echo a$((1+1))b")
    again.expect("a2b")
    again.sendline("exit 9")
    assert ended(again) == 9
    third = terminal("start", "-ai", "c1")
    third.expect("# ")
    third.sendline("exit 3")
    assert ended(third) == 3


def test_exec_passes_streams_environment_and_exit_code(service, terminal):
    docker = service.docker
    docker("run", "-d", "--name", "c1", "-e", "A=1", "bb", "sleep", "300")
    done = docker("exec", "-e", "B=2", "-w", "/bin", "c1", "sh", "-c", "echo $A $B $PWD; echo err >&2; exit 5",
                  check=False)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (5, "1 2 /bin\n", "err\n")
    assert docker("exec", "-i", "c1", "cat", input="abc" * 100_000).stdout == "abc" * 100_000
    missing = docker("exec", "c1", "nosuch", check=False)
    assert missing.returncode == 126 and missing.stdout.startswith("OCI runtime exec failed: exec failed: ")
    detached = docker("exec", "-d", "c1", "nosuch", check=False)
    assert detached.returncode == 1 and "OCI runtime exec failed" in detached.stderr
    docker("exec", "-d", "c1", "sh", "-c", "echo there > /flag; sleep 300")
    until(lambda: docker("exec", "c1", "cat", "/flag", check=False).stdout == "there\n")
    session = terminal("exec", "-it", "c1", "sh")
    session.expect("# ")
    session.sendline("stty size; exit 4")
    session.expect("33 101")
    assert ended(session) == 4
    docker("kill", "c1")
    stopped = docker("exec", "c1", "true", check=False)
    assert stopped.returncode == 1 and "is not running" in stopped.stderr


def start_exec(connection: socket.socket, exec_id: str) -> None:
    """Send the request that starts an exec instance, and do not wait for the answer."""
    head = "Host: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
    connection.sendall(f"POST /exec/{exec_id}/start HTTP/1.1\r\n{head}{{}}".encode())


@pytest.mark.parametrize(("keys", "typed"), [("", b"\x10\x11"), ("ctrl-x,x", b"\x10\x11\x18x")])
def test_the_detach_keys_of_an_exec_end_the_connection_and_not_the_command(service, keys, typed):
    service.docker("run", "-d", "--name", "c1", "bb", "sleep", "300")
    body = {"Cmd": ["sh", "-c", "sleep 1; exit 7"], "Tty": True, "AttachStdin": True, "DetachKeys": keys}
    exec_id = service.ask("POST", "/containers/c1/exec", body).json["Id"]
    with service.connect(seconds=0.9) as connection:
        start_exec(connection, exec_id)
        connection.recv(4096)
        for key in typed:
            connection.sendall(bytes([key]))
        while connection.recv(4096):
            pass
    assert service.ask("GET", f"/exec/{exec_id}/json").json["Running"]
    until(lambda: service.ask("GET", f"/exec/{exec_id}/json").json["ExitCode"] == 7)


@pytest.mark.parametrize(("terminal", "raw"), [(True, True), (True, False), (False, True), (False, False)])
def test_the_start_of_an_exec_decides_about_frames(service, terminal, raw):
    """dockerd 26.1.5 sent the same bytes: without frames, a command without a terminal has no stderr."""
    service.docker("run", "-d", "--name", "c1", "bb", "sleep", "300")
    command = ["sh", "-c", "echo out; sleep 0.2; echo err >&2"]
    body = {"Cmd": command, "Tty": terminal, "AttachStdout": True, "AttachStderr": True}
    exec_id = service.ask("POST", "/containers/c1/exec", body).json["Id"]
    answer = service.ask("POST", f"/exec/{exec_id}/start", {"Tty": raw})
    end, second = (b"\r\n", 1) if terminal else (b"\n", 2)
    sent = [(1, b"out" + end), (second, b"err" + end)]
    if raw:
        assert answer.body == b"".join(text for stream, text in sent if stream == 1)
    else:
        assert answer.body == b"".join(bytes([stream, 0, 0, 0, 0, 0, 0, len(text)]) + text for stream, text in sent)
    assert answer.headers["content-type"] == "application/vnd.docker.raw-stream"


@pytest.mark.parametrize(("version", "kind"), [("1.41", "raw"), ("1.42", "multiplexed")])
def test_only_the_answer_to_an_upgrade_names_the_frames(service, version, kind):
    """dockerd 26.1.5 sent these types; an answer 200 has frames too."""
    service.docker("run", "-d", "--name", "c1", "bb", "sleep", "300")
    for headers, status, named in (({}, 200, "raw"), ({"Upgrade": "tcp", "Connection": "Upgrade"}, 101, kind)):
        answer = service.ask("POST", f"/v{version}/containers/c1/attach?logs=1&stdout=1", **headers)
        assert (answer.status, answer.headers["content-type"]) == (status, f"application/vnd.docker.{named}-stream")


def test_an_exec_instance_reports_its_state_and_exit_code(service):
    service.docker("run", "-d", "--name", "c1", "bb", "sleep", "300")
    settings = {"Cmd": ["sh", "-c", "exit 3"], "AttachStdout": True, "Tty": False}
    exec_id = service.ask("POST", "/containers/c1/exec", settings).json["Id"]
    assert service.ask("GET", f"/exec/{exec_id}/json").json["ExitCode"] is None
    assert service.ask("POST", f"/exec/{exec_id}/start", {"Detach": True}).status == 200
    document = until(lambda: (d := service.ask("GET", f"/exec/{exec_id}/json").json)["ExitCode"] is not None and d)
    assert (document["ExitCode"], document["Running"]) == (3, False)
    assert document["ProcessConfig"]["entrypoint"] == "sh"
    refusal = f"Error: Exec command {exec_id} has already run"
    again = service.ask("POST", f"/exec/{exec_id}/start", {"Detach": True})
    assert (again.status, again.message) == (409, refusal)
    again = service.ask("POST", f"/exec/{exec_id}/start", {"Detach": False, "Tty": True})
    assert (again.status, again.body) == (200, refusal.encode() + b"\r\n")
    assert service.ask("GET", "/exec/nosuch/json").message == "No such exec instance: nosuch"
    assert service.ask("POST", "/containers/c1/exec", {"Cmd": []}).status == 400


def test_an_exec_instance_that_could_not_be_started_does_not_run(service):
    service.docker("run", "-d", "--name", "c1", "bb", "sleep", "300")
    size = service.ask("POST", "/containers/c1/exec", {"Cmd": ["true"], "Tty": True, "ConsoleSize": [1 << 16, 80]})
    assert (size.status, size.message) == (400, "invalid ConsoleSize: [65536 80]")
    assert service.ask("GET", "/containers/c1/json").json["ExecIDs"] is None
    exec_id = service.ask("POST", "/containers/c1/exec", {"Cmd": ["true"]}).json["Id"]
    with service.connect() as connection:
        start_exec(connection, exec_id)
    until(lambda: service.ask("GET", f"/exec/{exec_id}/json").json["ExitCode"] is not None)


def test_logs_select_streams_lines_and_times(service):
    docker = service.docker
    docker("run", "--name", "c1", "bb", "sh", "-c", "echo one; echo two >&2; sleep 0.2; echo three")
    shown = docker("logs", "c1")
    assert (shown.stdout, shown.stderr) == ("one\nthree\n", "two\n")
    assert docker("logs", "--tail", "1", "c1").stdout == "three\n"
    stamps, texts = zip(*(line.split(" ") for line in docker("logs", "-t", "c1").stdout.splitlines()), strict=True)
    assert texts == ("one", "three") and stamps[0] < stamps[1]
    middle = stamps[1][:-9] + "0Z"  # the tenth of a second in which the last line was written
    assert docker("logs", "--since", middle, "c1").stdout == "three\n"
    assert docker("logs", "--until", middle, "c1").stdout == "one\n"
    docker("run", "-d", "--name", "c2", "bb", "sh", "-c", "echo a; sleep 1; echo b")
    started = time.monotonic()
    assert docker("logs", "-f", "c2").stdout == "a\nb\n"
    assert time.monotonic() - started < loaded(10), "it ends with the container"
    neither = service.ask("GET", "/containers/c1/logs")
    assert (neither.status, neither.message) == (400, "Bad parameters: you must choose at least one stream")


def test_followed_logs_and_waits_end_when_the_client_goes(service):
    service.docker("run", "-d", "--name", "c1", "bb", "sleep", "300")
    before = threads(service)
    clients = [open_docker(service, *argv) for argv in (("logs", "-f", "c1"), ("wait", "c1"), ("attach", "c1"),
                                                        ("events",)) for _ in range(3)]  # fmt: skip
    until(lambda: threads(service) >= before + len(clients))
    for each in clients:
        each.kill()
        each.communicate()
    until(lambda: threads(service) <= before + 1)


def threads(service) -> int:
    """Return the number of threads of the service's processes. Each connection has one thread."""
    pid = str(service.process.pid)
    counts = subprocess.run(["ps", "-o", "nlwp=", "-p", pid, "--ppid", pid], capture_output=True, text=True).stdout
    return sum(map(int, counts.split()))


def test_hundreds_of_clients_follow_one_container(service):
    """The test has more clients than a user may have inotify descriptors.

    Some file descriptors of the service get numbers above 1024, which select(2) cannot handle.
    """
    script = "while [ ! -e /go ]; do sleep 0.2; done; echo now; sleep 300"
    service.docker("run", "-di", "--name", "c1", "bb", "sh", "-c", script)
    paths = ("GET /containers/c1/logs?follow=1&stdout=1", "POST /containers/c1/attach?stream=1&stdout=1")
    clients = [(path, opened(service, path)) for path in paths * 150]
    for _, each in clients:
        assert each.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
    service.docker("exec", "c1", "sh", "-c", "> /go")
    for path, each in clients:
        seen = b""
        while b"now\n" not in seen:
            seen += each.recv(65536) or pytest.fail(f"{path} ended: {seen!r}")
        each.close()


def test_hundreds_of_clients_follow_the_events(service):
    """The clients share one inotify descriptor, because a user may have only 128 inotify descriptors."""
    names = [f"n{number}" for number in range(5)]
    clients = [opened(service, "GET /events?filters={%22event%22:[%22create%22]}") for _ in range(200)]
    for each in clients:
        assert each.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
    assert inotify_descriptors(service) == 1
    for name in names:
        service.ask("POST", "/networks/create", {"Name": name})
    for each in clients:
        seen = b""
        while seen.count(b'"Action":"create"') < len(names):
            seen += each.recv(65536) or pytest.fail(f"the events ended: {seen!r}")
        events = [json.loads(line) for line in seen.split(b"\r\n") if line.startswith(b"{")]
        assert [event["Actor"]["Attributes"]["name"] for event in events] == names
        each.close()
    until(lambda: inotify_descriptors(service) == 0)


def inotify_descriptors(service) -> int:
    """Return the number of inotify descriptors of the service."""
    links = 0
    for file in Path(f"/proc/{front_of(service)}/fd").iterdir():
        with suppress(FileNotFoundError):
            links += "inotify" in os.readlink(file)
    return links


def opened(service, line: str) -> socket.socket:
    """Send the head of a request, and return the connection."""
    connection = service.connect()
    connection.sendall(f"{line} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return connection


def test_wait_returns_the_exit_code_of_the_run(service):
    docker = service.docker
    docker("create", "--name", "c1", "bb", "sh", "-c", "sleep 0.3; exit 6")
    waiting = open_docker(service, "wait", "c1")
    assert waiting.communicate(timeout=15)[0] == b"0\n", "a container that has not run has exit code 0"
    docker("start", "c1")
    assert docker("wait", "c1").stdout == "6\n"
    assert docker("wait", "c1").stdout == "6\n"
    body = {"Image": "bb", "Cmd": ["sh", "-c", "exit 8"], "HostConfig": {"AutoRemove": True}}
    for condition in ("removed", "next-exit") * 4:  # the run may end before, during and after the begin of the wait
        created = service.ask("POST", "/containers/create", body).json["Id"]
        service.ask("POST", f"/containers/{created}/start")
        answer = service.ask("POST", f"/containers/{created}/wait?condition={condition}")
        assert answer.status == 404 or answer.json["StatusCode"] == 8
        if condition == "removed":
            assert docker("ps", "-aq", "--filter", f"id={created}").stdout == ""
    assert service.ask("POST", "/v1.29/containers/c1/wait?condition=never").json == {"StatusCode": 6}
    bad = service.ask("POST", "/containers/c1/wait?condition=never")
    assert (bad.status, bad.message) == (400, 'invalid condition: "never"')


def test_wait_says_why_the_last_start_failed(service):
    """dockerd 26.1.5 gave the same answer."""
    service.docker("network", "create", "n1")
    service.docker("create", "--name", "c1", "--network", "n1", "bb", "true")
    assert service.ask("POST", "/containers/c1/wait").json == {"StatusCode": 0}
    service.docker("network", "rm", "n1")
    assert service.ask("POST", "/containers/c1/start").message == "network n1 not found"
    failed = {"Error": {"Message": "network n1 not found"}, "StatusCode": 128}
    assert service.ask("POST", "/containers/c1/wait").json == failed


def test_wait_ends_with_a_run_although_the_container_restarts(service):
    service.docker("run", "-d", "--restart", "always", "--name", "c1", "bb", "sh", "-c", "sleep 0.5; exit 2")
    assert service.docker("wait", "c1").stdout == "2\n"
    service.docker("rm", "-f", "c1")
    service.docker("run", "-d", "--restart", "always", "--name", "c2", "bb", "false")
    until(lambda: service.ask("GET", "/containers/c2/json").json["RestartCount"] >= 4, 60, pause=0.2)
    until(lambda: service.ask("GET", "/containers/c2/json").json["State"]["Restarting"])
    for path, body in (("/containers/c2/exec", {"Cmd": ["true"]}), ("/containers/c2/attach?stream=1", None)):
        refused = service.ask("POST", path, body)  # an attach is refused with plain text
        assert refused.status == 409 and b"is restarting, wait until the container is running" in refused.body


def test_stats_and_top_show_traffic_and_processes(service):
    docker = service.docker
    docker("network", "create", "n1")
    docker("run", "-d", "--name", "c1", "--network", "n1", "bb", "sleep", "300")
    docker("run", "--rm", "--network", "n1", "bb", "ping", "-c", "3", "-s", "1400", "-i", "0.2", "c1")
    shown = docker("stats", "--no-stream", "--format", "{{.Name}} {{.NetIO}} {{.PIDs}}", "c1").stdout.split()
    assert shown[0] == "c1" and shown[1].endswith("kB") and shown[-1] == "1", shown
    assert docker("top", "c1", "-o", "pid,args").stdout.splitlines()[1].endswith("sleep 300")
    stream = opened(service, "GET /containers/c1/stats")
    seen = b""
    while seen.count(b'"eth0":{"rx_bytes":') < 2:
        seen += stream.recv(65536)
    stream.close()
    assert service.ask("GET", "/containers/nosuch/stats").status == 404


def test_attach_gives_the_output_to_every_client(service):
    loop = "while read l; do echo got $l; done"
    container = service.docker("run", "-di", "--name", "c1", "bb", "sh", "-c", loop).stdout.strip()
    clients = [open_docker(service, "attach", "c1", stdin=subprocess.PIPE) for _ in range(3)]
    attached = f'/events?since=1&until=%d&filters={{"container":["{container}"],"event":["attach"]}}'
    until(lambda: service.ask("GET", attached % (time.time() + 1)).body.count(b"\n") == 3)
    for number, each in enumerate(clients):
        each.stdin.write(f"{number}\n".encode())
        each.stdin.flush()
    for each in clients:
        assert sorted(each.stdout.readline() for _ in clients) == [b"got 0\n", b"got 1\n", b"got 2\n"]
    service.docker("kill", "c1")
    for each in clients:
        assert each.wait(15) == 137


def test_a_late_reader_gets_the_head_of_a_hijack_apart_from_the_output(service):
    """docker-py drops output that it reads together with the head of the answer."""
    service.docker("run", "-d", "--name", "c1", "bb", "sh", "-c", "echo out; sleep 300")
    until(lambda: service.ask("GET", "/containers/c1/logs?stdout=1").body)
    connection = opened(service, "POST /containers/c1/attach?logs=1&stdout=1")
    time.sleep(0.05)
    assert connection.recv(4096).endswith(b"\r\n\r\n")
    assert connection.recv(4096) == b"\x01\0\0\0\0\0\0\x04out\n"
    connection.close()


def web_socket(service, path: str) -> websocket.WebSocket:
    return websocket.create_connection(f"ws://localhost{path}", socket=service.connect(seconds=15))


def received(client: websocket.WebSocket, end: bytes) -> bytes:
    """Receive binary messages until their joined content ends with ``end``, and return the content."""
    seen = b""
    while not seen.endswith(end):
        operation, data = client.recv_data()
        assert operation == websocket.ABNF.OPCODE_BINARY
        seen += data
    return seen


def test_a_websocket_attaches_to_one_stream_without_frames(service):
    """The test uses the WebSocket client of docker-py."""
    service.docker("run", "-di", "--name", "c1", "bb", "sh", "-c", "while read l; do echo err >&2; echo got $l; done")
    before = threads(service)
    streams = "?stream=1&stdin=1&stdout=1"
    client = web_socket(service, f"/v1.45/containers/c1/attach/ws{streams}")
    client.send("hel")
    client.ping("x")
    assert client.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_PONG, b"x")
    client.send_binary(b"lo\n")
    assert received(client, b"\n") == b"got hello\n", "one stream, without frames"
    much = b"x" * 30_000
    client.send_binary(much + b"\n")
    assert received(client, b"\n") == b"got " + much + b"\n"
    old = web_socket(service, "/v1.27/containers/c1/attach/ws?stream=1")
    old.send("a\n")
    seen = ""
    while len(seen) < len("got a\nerr\n"):
        seen += old.recv()  # before version 1.28 of the API, the output comes in text messages
    assert sorted(seen.splitlines()) == ["err", "got a"]
    assert received(client, b"\n") == b"got a\n"
    old.close()
    gone = web_socket(service, "/v1.45/containers/c1/attach/ws?stream=1&stdout=1")
    gone.sock.close()
    broken = web_socket(service, "/v1.45/containers/c1/attach/ws?stream=1&stdout=1")
    broken.sock.sendall(b"\xff\xff\xff\xff")
    assert broken.recv_data()[1][:2] == b"\x03\xea", "1002: a protocol error"
    service.docker("kill", "c1")
    assert client.recv_data() == (websocket.ABNF.OPCODE_CLOSE, b"\x03\xe8")  # status 1000: the normal end
    until(lambda: threads(service) <= before + 1)
    assert service.ask("GET", "/containers/c1/attach/ws?stream=1").status == 400
    with pytest.raises(websocket.WebSocketBadStatusException) as missing:
        web_socket(service, "/containers/none/attach/ws")
    assert missing.value.status_code == 404


def test_containers_continue_when_the_service_ends(service):
    service.docker("run", "-d", "--name", "c1", "bb", "sh", "-c", "while true; do echo x; sleep 0.1; done")
    following = open_docker(service, "logs", "-f", "c1")
    until(lambda: following.stdout.read(1))
    service.stop()
    following.communicate(timeout=15)
    service.start()
    assert service.docker("ps", "--format", "{{.State}}").stdout == "running\n"


def test_docker_py_reads_logs_and_talks_to_exec(client):
    assert client.containers.run("bb", ["echo", "hello"], remove=True) == b"hello\n"
    container = client.containers.run("bb", ["sh", "-c", "echo a; echo b >&2; sleep 300"], detach=True, name="c1")
    until(lambda: container.logs() == b"a\nb\n")
    assert container.logs(stdout=True, stderr=False) == b"a\n"
    assert next(container.logs(stream=True, follow=True)) == b"a\n"
    code, (out, err) = container.exec_run(["sh", "-c", "echo o; echo e >&2; exit 2"], demux=True)
    assert (code, out, err) == (2, b"o\n", b"e\n")
    assert container.exec_run("cat", stdin=False).exit_code == 0
    exec_id = client.api.exec_create("c1", ["cat"], stdin=True)["Id"]
    connection = client.api.exec_start(exec_id, socket=True)._sock
    connection.sendall(b"typed\n")
    assert connection.recv(100) == b"\x01\0\0\0\0\0\0\x06typed\n"
    connection.close()
    container.kill()
    assert container.wait()["StatusCode"] == 137
