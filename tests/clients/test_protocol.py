"""The HTTP protocol of the API: the tests check versions, headers, errors, limits and access rights."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from api.docker.front import STACK_BYTES
from engine.eventloop.descriptor_budget import raise_descriptor_limit
from tests.conftest import loaded, until

from .conftest import Service, UnixConnection, children, front_of


def test_ping_gives_the_headers_for_version_negotiation(service):
    for method, body in (("HEAD", b""), ("GET", b"OK")):
        answer = service.ask(method, "/_ping")
        assert (answer.status, answer.body) == (200, body)
        expected = {
            "api-version": "1.45", "docker-experimental": "false", "ostype": "linux", "swarm": "inactive",
            "server": "Docker/26.1.5 (linux)", "builder-version": "1", "pragma": "no-cache",
        }  # fmt: skip
        assert {key: answer.headers[key] for key in expected} == expected


def test_settings_that_a_client_leaves_out_are_null_as_with_docker(service):
    mounts = [{"Type": "bind", "Source": "/tmp", "Target": "/b", "BindOptions": {"Propagation": "rslave"}}]
    host = {"Binds": ["/tmp:/a:ro,rshared"], "Mounts": mounts, "PortBindings": {}, "Devices": []}
    body = {"Image": "bb", "Cmd": ["sleep", "300"], "HostConfig": host}
    created = service.ask("POST", "/containers/create", body).json["Id"]
    document = service.ask("GET", f"/containers/{created}/json").json
    names = ("PortBindings", "Devices", "Dns", "DnsOptions", "DnsSearch", "Ulimits", "BlkioDeviceReadBps")
    assert [document["HostConfig"][name] for name in names] == [{}, [], *[None] * 5]
    assert {m["Destination"]: m["Propagation"] for m in document["Mounts"]} == {"/a": "rshared", "/b": "rslave"}
    service.docker("start", created)
    command = service.ask("POST", f"/containers/{created}/exec", {"Cmd": ["true"]}).json["Id"]
    assert "user" not in service.ask("GET", f"/exec/{command}/json").json["ProcessConfig"]


@pytest.mark.parametrize("version", ["1.24", "1.45", "1.51"])
def test_the_oldest_the_announced_and_the_newest_version_are_accepted(service, version):
    assert [n["Name"] for n in service.ask("GET", f"/v{version}/networks").json] == ["bridge", "host", "none"]


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "message"),
    [
        ("GET", "/v1.99/info", None, {}, 400,
         "client version 1.99 is too new. Maximum supported API version is 1.51"),
        ("GET", "/v1.23/info", None, {}, 400,
         "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer "
         "version"),
        ("GET", f"/v{'1' * 5000}/info", None, {}, 400,
         f"client version {'1' * 5000} is too new. Maximum supported API version is 1.51"),
        ("GET", "/nothing", None, {}, 404, "page not found"),
        ("GET", "/v1.99/nothing", None, {}, 404, "page not found"),
        ("TRACE", "/v1.23/networks", None, {}, 404, "page not found"),
        ("PUT", "/networks", None, {}, 404, "page not found"),
        ("GET", "/networks/no", None, {}, 404, "network no not found"),
        ("GET", "/networks/bridge?scope=swarm", None, {}, 404, "network bridge not found"),
        ("GET", "/networks/bridge?verbose=x", None, {}, 400,
         'invalid value for verbose: x: strconv.ParseBool: parsing "x": invalid syntax'),
        ("GET", "/containers/json?limit=x", None, {}, 500, 'strconv.Atoi: parsing "x": invalid syntax'),
        ("GET", "/system/df?type=x", None, {}, 400, "unknown object type: x"),
        ("GET", "/nodes", None, {}, 503, 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm '
         'join" to connect this node to swarm and try again.'),
        ("GET", "/networks?filters={", None, {}, 400, "invalid filter"),
        ("GET", '/networks?filters={"bad":["x"]}', None, {}, 400, "invalid filter 'bad'"),
        ("POST", "/networks/create", b"bad", {"Content-Type": "application/json"}, 400,
         "invalid JSON: invalid character 'b' looking for beginning of value"),
        ("POST", "/networks/create", b"{}", {"Content-Type": "text/plain"}, 400,
         "unsupported Content-Type header (text/plain): must be 'application/json'"),
        ("POST", "/networks/create", [], {}, 400,
         "invalid JSON: json: cannot unmarshal array into Go value of type types.NetworkCreateRequest"),
        ("POST", "/networks/create", {"Name": "a", "Driver": 5}, {}, 400,
         "invalid JSON: json: cannot unmarshal number into Go struct field NetworkCreateRequest.NetworkCreate.Driver "
         "of type string"),
        ("POST", "/networks/create", None, {}, 400, "invalid name: "),
        ("POST", "/networks/create", {"Name": "a", "Driver": "macvlan", "Options": {"parent": "lo"}}, {}, 500,
         "loopback interface is not a valid macvlan parent link"),
        ("POST", "/networks/create", {"Name": "a", "Driver": "ipvlan", "Options": {"ipvlan_mode": "x"}}, {}, 500,
         "requested ipvlan mode 'x' is not valid, 'l2' mode is the ipvlan driver default"),
        ("POST", "/networks/create", {"Name": "a", "Options": {"com.docker.network.bridge.name": "a/b"}}, {}, 500,
         "invalid argument"),
        ("POST", "/containers/create", {}, {}, 400, "config cannot be empty in order to create a container"),
        ("POST", "/containers/no/start", None, {}, 404, "No such container: no"),
        ("GET", "/volumes/a", None, {}, 404, "get a: no such volume"),
        ("GET", "/plugins/a/json", None, {}, 404, 'plugin "a" not found'),
    ],
)  # fmt: skip
def test_errors_are_docker_s(service, method, path, body, headers, status, message):
    answer = service.ask(method, path, body, **headers)
    assert (answer.status, answer.message) == (status, message)
    assert answer.headers["content-type"] == "application/json"
    assert ("api-version" in answer.headers) is (message != "page not found")


@pytest.mark.parametrize(
    ("method", "target", "location"),
    [
        ("GET", "//containers/json", "/containers/json"),
        ("HEAD", "//_ping", "/_ping"),
        ("POST", "/v1.45//networks/create?a=b&c=<d>%2f", "/v1.45/networks/create?a=b&c=<d>%2f"),
        ("OPTIONS", "/v1.45/./networks?", "/v1.45/networks?"),
        ("TRACE", "///networks/..//info/", "/info/"),
        ("GET", "/v1.99/x/../../..", "/"),
        ("GET", "/networks/a%2F%2Fb", "/networks/a/b"),
        ("GET", "/networks/%2e%2E/%C3%A4%ff%00%25%3B;:@+$,=~!*()[]{}|^`", "/%C3%A4%FF%00%25;;:@+$,=~%21%2A%28%29%5B%5D"
         "%7B%7D%7C%5E%60"),
        ("GET", "//networks/a%0d%0aX: y%3F#z".replace(" ", "%20"), "/networks/a%0D%0AX:%20y%3F%23z"),
        ("GET", "http://a.example//networks?x=//", "http://a.example/networks?x=//"),
        ("GET", "*", "/%2A"),
    ],
)  # fmt: skip
def test_a_path_that_is_not_clean_is_redirected_as_with_docker(service, method, target, location):
    """dockerd 26.1.5 gave the same answers."""
    answer = service.ask(method, target, b"{}" if method == "POST" else None)
    assert (answer.status, answer.body, answer.headers["location"]) == (301, b"", location)
    assert answer.headers.keys() <= {"location", "content-length", "date"}


def test_dots_and_slashes_that_change_no_path_are_kept(service):
    assert service.ask("GET", "/networks/.x..").message == "network .x.. not found"
    assert service.ask("GET", "/networks/a%2Fb").message == "network a/b not found"
    assert service.ask("GET", "/networks/?x=//a/../b").status == 200
    assert service.ask("GET", "http://a.example/_ping").body == b"OK"


def test_options_are_answered_for_every_path_as_with_docker(service):
    for target in ("/networks", "/nothing", "/v1.45/nothing/a%2Fb?x", "/"):
        answer = service.ask("OPTIONS", target)
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")
        assert answer.headers["api-version"] == "1.45" and "content-type" not in answer.headers
    answer = service.ask("OPTIONS", "*")
    assert (answer.status, answer.body, "api-version" in answer.headers) == (200, b"", False)
    assert service.ask("OPTIONS", "/v1.99/networks").status == 400
    assert service.ask("GET", "networks").body == b"400 Bad Request"


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "TRACE", "CONNECT", "FOO", "get"])
def test_an_unknown_method_is_not_found(service, method):
    answer = service.ask(method, "/networks")
    assert (answer.status, answer.headers["content-type"]) == (404, "application/json")


def test_the_events_of_an_exec_name_its_id(service):
    service.docker("run", "-d", "--name", "c1", "--network", "none", "bb", "sleep", "300")
    command = service.ask("POST", "/containers/c1/exec", {"Cmd": ["true"], "AttachStdout": True}).json["Id"]
    assert exec_events(service, command) == ["exec_create: true "]
    service.ask("POST", f"/exec/{command}/start", {})
    assert exec_events(service, command) == ["exec_create: true ", "exec_start: true ", "exec_die"]


def exec_events(service: Service, command: str) -> list[str]:
    """Return the actions of the events that name an exec instance."""
    lines = service.ask("GET", f"/events?since=0&until={time.time():.9f}").body.splitlines()
    return [e["Action"] for e in map(json.loads, lines) if command in e["Actor"]["Attributes"].values()]


def test_a_mount_is_shown_as_the_client_has_sent_it(service):
    """Ansible creates a container again if it does not find its mounts. dockerd 26.1.5 gave the same documents."""
    mounts = [
        {"Type": "bind", "Source": "/tmp", "Target": "/b", "BindOptions": {"Propagation": "rslave"}},
        {"Type": "bind", "Source": "/tmp", "Target": "/c", "ReadOnly": True, "BindOptions": {}},
    ]
    body = {"Image": "bb", "Cmd": ["true"], "HostConfig": {"Binds": ["/tmp:/a:ro"], "Mounts": mounts}}
    assert service.ask("POST", "/containers/create?name=c1", body).status == 201
    service.docker("create", "--name", "c2", "--mount", "type=bind,source=/tmp,target=/d,readonly", "bb", "true")
    first, second = (service.ask("GET", f"/containers/{name}/json").json for name in ("c1", "c2"))
    assert (first["HostConfig"]["Binds"], first["HostConfig"]["Mounts"]) == (["/tmp:/a:ro"], mounts)
    assert [(m["Destination"], m["Mode"], m["RW"]) for m in first["Mounts"]] == [
        ("/a", "ro", False), ("/b", "", True), ("/c", "", False),
    ]  # fmt: skip
    assert second["HostConfig"]["Binds"] is None
    assert second["HostConfig"]["Mounts"] == [{"Type": "bind", "Source": "/tmp", "Target": "/d", "ReadOnly": True}]


def test_the_source_of_a_mount_must_exist_unless_the_client_asks_to_create_it(service, tmp_path):
    source = str(tmp_path / "missing")
    mount = {"Type": "bind", "Source": source, "Target": "/m"}
    body = {"Image": "bb", "Cmd": ["true"], "HostConfig": {"Mounts": [mount]}}
    refused = service.ask("POST", "/containers/create", body)
    text = f'invalid mount config for type "bind": bind source path does not exist: {source}'
    assert (refused.status, refused.message) == (400, text)
    mount["BindOptions"] = {"CreateMountpoint": True}
    created = service.ask("POST", "/containers/create", body)
    assert created.status == 201
    assert service.ask("POST", f"/containers/{created.json['Id']}/start").status == 204
    assert (tmp_path / "missing").is_dir()


def test_port_bindings_are_shown_as_the_client_has_sent_them(service):
    """dockerd 26.1.5 gave the same documents. It binds the last of several addresses with one host port first."""
    both = [{"HostIp": "::", "HostPort": "8086"}, {"HostIp": "0.0.0.0", "HostPort": "8086"}]
    bindings = {"80/tcp": both, "81/tcp": [], "82/tcp": None}
    body = {"Image": "bb", "Cmd": ["sleep", "300"], "ExposedPorts": {"80/tcp": {}}}
    path = (
        "/containers/"
        + service.ask("POST", "/containers/create", {**body, "HostConfig": {"PortBindings": bindings}}).json["Id"]
    )
    assert service.ask("POST", f"{path}/start").status == 204
    document = service.ask("GET", f"{path}/json").json
    assert document["HostConfig"]["PortBindings"] == bindings
    assert document["NetworkSettings"]["Ports"]["80/tcp"] == both[::-1]


def test_a_client_may_send_links_as_inspect_shows_them(service):
    """dockerd 26.1.5 gave the same document. Programs that create a container again send what inspect has shown."""
    service.docker("run", "-d", "--name", "c1", "bb", "sleep", "300")
    service.docker("create", "--name", "c2", "--link", "c1:x", "bb", "true")
    for name, links in (("c3", service.ask("GET", "/containers/c2/json").json["HostConfig"]["Links"]), ("c4", ["c1"])):
        body = {"Image": "bb", "Cmd": ["true"], "HostConfig": {"Links": links}}
        assert service.ask("POST", f"/containers/create?name={name}", body).status == 201
    shown = [service.ask("GET", f"/containers/{name}/json").json["HostConfig"]["Links"] for name in ("c3", "c4")]
    assert shown == [["/c1:/c3/x"], ["/c1:/c4/c1"]]


def test_filters_have_both_forms(service):
    for filters in ('{"driver":["host"]}', '{"driver":{"host":true}}', '{"driver":{"host":false}}'):
        assert [n["Name"] for n in service.ask("GET", f"/networks?filters={filters}").json] == ["host"]


def test_a_body_over_the_limit_is_refused(service):
    answer = service.ask("POST", "/networks/create", {"Name": "x" * (5 << 20)})
    assert answer.status == 413


def test_only_root_and_the_group_may_use_the_socket(service):
    status = os.stat(service.socket)
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o660, 0, 0)
    assert stat.S_IMODE(os.stat(service.host.run_dir).st_mode) == 0o700


def test_silent_clients_and_unfinished_requests_delay_no_other_client(service):
    silent = [service.connect() for _ in range(300)]
    for number, each in enumerate(silent):
        if number % 2:
            each.sendall(b"GET /_ping HTTP/1.1\r\nHo")
    began = time.monotonic()
    assert service.ask("GET", "/_ping").body == b"OK"
    assert time.monotonic() - began < loaded(5)
    for each in silent:
        each.close()


def test_too_many_silent_connections_are_closed_and_idle_ones_with_a_request_stay(service):
    raise_descriptor_limit()
    idle = UnixConnection(str(service.socket))
    idle.request("GET", "/_ping")
    idle.getresponse().read()
    silent = [service.connect(seconds=15) for _ in range(1100)]
    assert silent[0].recv(1) == b""
    assert service.ask("GET", "/_ping").body == b"OK"
    idle.request("GET", "/_ping")
    assert idle.getresponse().read() == b"OK"
    for each in [*silent, idle]:
        each.close()


def test_a_killed_front_is_replaced(service):
    before = until(lambda: front_of(service))
    os.kill(before, 9)
    until(lambda: front_of(service) not in (0, before))
    assert until(lambda: answers(service))


def test_parallel_clients_get_their_own_answers(service):
    failures: list[object] = []

    def use(number: int) -> None:
        try:
            made = service.ask("POST", "/networks/create", {"Name": f"p{number}", "Labels": {"n": str(number)}})
            assert made.status == 201, made
            shown = service.ask("GET", f"/networks/p{number}").json
            assert (shown["Id"], shown["Labels"]) == (made.json["Id"], {"n": str(number)})
            assert service.ask("DELETE", f"/networks/p{number}").status == 204
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(service.ask("GET", "/networks").json) == 3


def test_memory_of_the_idle_service(service):
    until(lambda: answers(service))
    pids = (new_idle_worker(service), service.process.pid, front_of(service))
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    assert sum(int(text.split("\nPss:")[1].split()[0]) for text in rollups) < 40_000  # kB


def test_the_stacks_of_ended_threads_are_freed(service):
    until(lambda: answers(service))
    with ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(service.connect())
        until(lambda: number_of_threads(service) > 30)
    until(lambda: number_of_threads(service) < 5)
    front = front_of(service)
    # The end of the next thread frees a stack, so threads that end at the same time leave some.
    until(lambda: sum(size == STACK_BYTES for size in map_sizes(front)) < 10)


def map_sizes(pid: int) -> Iterator[int]:
    """Yield the sizes in bytes of the memory mappings of a process."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        start, end = (int(address, 16) for address in line.split()[0].split("-"))
        yield end - start


def number_of_threads(service: Service) -> int:
    """Return the number of threads of the front."""
    return dict(children(service.process.pid))[front_of(service)]


def test_a_killed_idle_worker_is_replaced_after_the_next_job(service):
    killed = new_idle_worker(service)
    os.kill(killed, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{killed}").exists())
    assert service.ask("POST", "/networks/create", {"Name": "app"}).status == 201
    until(lambda: idle_worker(service) not in (0, killed))


def test_the_idle_worker_takes_the_next_job(service):
    waiting = new_idle_worker(service)
    assert service.ask("POST", "/networks/create", {"Name": "app"}).status == 201
    until(lambda: idle_worker(service) not in (0, waiting))
    assert not Path(f"/proc/{waiting}").exists()


SHORT_IDLE = """
import sys
from api.docker import __main__, rehearsal, service
create = rehearsal.create_scratch_host
def create_and_print():
    pid = create()
    print(pid, flush=True)
    return pid
rehearsal.create_scratch_host = create_and_print
service.IDLE_SECONDS = 1.0
sys.exit(__main__.main())
"""
"""A program that runs the service with a short idle time.

The program prints the pid of the process that makes the scratch host, which `api.docker.rehearsal` describes.
"""


def test_the_idle_worker_ends_without_jobs(service, tmp_path):
    settings = json.dumps({"path": str(tmp_path / "short.sock")})
    command = ["ip", "netns", "exec", service.host.name, sys.executable, "-c", SHORT_IDLE, settings]
    environment = service.host.env(HAWSE_RUN=str(tmp_path))
    seen: set[int] = set()  # pids of the front and of the idle worker

    def front_alone(service: int, scratch: int) -> bool:
        pids = {pid for pid, _ in children(service)}
        seen.update(pids - {scratch})
        return len(seen) > 1 and len(pids) == 1

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environment, text=True, **pipes) as started:
        try:
            scratch = int(started.stdout.readline())
            until(lambda: front_alone(started.pid, scratch), 15)
            assert (tmp_path / "service.rehearsal/root/hawse.db").exists()
        finally:
            started.terminate()
    assert not (tmp_path / "service.rehearsal").exists()


def test_empty_lists_are_shown_as_the_client_sent_them(service):
    """docker-compose 1.29 sends Binds, Links and VolumesFrom as empty lists. Docker 26.1.5 shows these values."""
    kept = ("Binds", "CapAdd", "DeviceRequests", "ExtraHosts", "GroupAdd", "SecurityOpt", "VolumesFrom")
    shown = []
    mounted = {"Binds": [], "Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/x"}]}
    empty = {name: [] for name in (*kept, "Links", "Mounts")}
    for settings in (empty, {}, {"Privileged": True, "SecurityOpt": []}, mounted):
        body = {"Image": "bb", "Cmd": ["true"], "HostConfig": settings}
        created = service.ask("POST", "/containers/create", body).json["Id"]
        shown.append(service.ask("GET", f"/containers/{created}/json").json["HostConfig"])
    assert [shown[0][name] for name in (*kept, "Links")] == [[]] * len(kept) + [None]
    assert [shown[1][name] for name in (*kept, "Links")] == [None] * (len(kept) + 1)
    assert "Mounts" not in shown[0]
    assert shown[2]["SecurityOpt"] == ["label=disable"]
    assert (shown[3]["Binds"], len(shown[3]["Mounts"])) == ([], 1)


def new_idle_worker(service: Service) -> int:
    """Send a request, and return the pid of the idle worker that the service starts afterwards."""
    assert service.ask("DELETE", "/networks/missing").status == 404
    return until(lambda: idle_worker(service))


def idle_worker(service: Service) -> int:
    """Return the pid of the worker that waits for a job: the only child of the service with one thread, or 0."""
    pids = [pid for pid, threads in children(service.process.pid) if threads == 1]
    return pids[0] if len(pids) == 1 else 0


def answers(service: Service) -> bool:
    try:
        return service.ask("GET", "/_ping").status == 200
    except OSError:
        return False
