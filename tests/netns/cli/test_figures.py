"""``top`` and ``stats`` have the layout of Docker 26.1.5, and their figures agree with the kernel."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.conftest import Host, new_host

pytestmark = pytest.mark.netns
SIZES = {"B": 1, "kB": 10**3, "MB": 10**6}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host with four containers: "busy" and "idle" on the network app, "wide" in the host's namespaces, and the
    stopped "off".
    """
    with new_host(tmp_path_factory.mktemp("figures"), ipv6=False) as host:
        host.hawse("network", "create", "app")
        host.hawse(
            "run", "-d", "--name", "busy", "--network", "app", "hostfs", "sh", "-c", "sleep 1000 & while :; do :; done"
        )
        host.hawse("run", "-d", "--name", "idle", "--network", "app", "hostfs", "sleep", "1000")
        host.hawse("run", "-d", "--name", "wide", "--network", "host", "--pid", "host", "hostfs", "sleep", "1000")
        host.hawse("create", "--name", "off", "hostfs", "true")
        yield host


def pid_of(host: Host, name: str) -> str:
    return host.hawse("inspect", "-f", "{{.State.Pid}}", name).stdout.strip()


def test_top_shows_the_processes_of_a_container_with_host_pids(machine: Host) -> None:
    titles, first, second = machine.hawse("top", "busy", env={"COLUMNS": "80"}).stdout.splitlines()
    assert titles == "".join(
        f"{title:20}" for title in ("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME")
    ) + "CMD"  # fmt: skip
    assert re.fullmatch(rf"root {{16}}{pid_of(machine, 'busy')} +\d+ .* sh -c sleep 1000 & while :; do :; done", first)
    assert second.endswith(" sleep 1000")
    pid = pid_of(machine, "wide")
    assert machine.hawse("top", "wide", "-o", "pid,comm").stdout == f"PID                 COMMAND\n{pid:20}sleep\n"
    # Because ps refuses the option f with -q, hawse runs ps again without -q.
    assert len(machine.hawse("top", "busy", "axf", "-o", "pid").stdout.splitlines()) == 3
    events = machine.hawse(
        "events", "--since", "1m", "--until", f"{time.time():.9f}", "--filter", "event=top"
    ).stdout.splitlines()
    assert len(events) == 3


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["nosuch"], "No such container: nosuch"),
        (["off"], "container ID is not running"),
        (["idle", "-o", "comm"], "Couldn't find PID field in ps output"),
        (["idle", "-o", "bogus"], 'ps: error: unknown user-defined format specifier "bogus"'),
        (["idle", "-o pid", "-o", "comm=PID"], 'specifying "comm=PID" is not allowed'),
    ],
)
def test_top_fails_as_docker_does(machine: Host, argv: list[str], problem: str) -> None:
    failed = machine.hawse("top", *argv, check=False)
    assert failed.returncode == 1
    assert re.sub("[0-9a-f]{64}", "ID", failed.stderr) == f"Error response from daemon: {problem}\n"


def figures(host: Host, *argv: str) -> dict[str, dict[str, str]]:
    lines = host.hawse("stats", "--no-stream", "--format", "json", *argv).stdout.splitlines()
    assert all(list(json.loads(line)) == sorted(json.loads(line)) for line in lines)
    return {document["Name"]: document for document in map(json.loads, lines)}


def size(text: str) -> float:
    number, unit = re.fullmatch(r"([0-9.]+)([a-zA-Z]+)", text).groups()
    return float(number) * SIZES[unit]


def test_stats_has_dockers_layout(machine: Host) -> None:
    table = machine.hawse("stats", "--no-stream", "-a").stdout.splitlines()
    assert re.fullmatch(
        r"CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT {3,}MEM %     NET I/O {3,}BLOCK I/O {3,}PIDS", table[0]
    )
    assert [line.split()[1] for line in table[1:]] == ["off", "wide", "idle", "busy"]
    assert re.fullmatch(
        r"[0-9a-f]{12}   off       0\.00%     0B / 0B {3,}0\.00%     0B / 0B {3,}0B / 0B {3,}0", table[1]
    )
    live = subprocess.Popen(machine.command("stats", "idle"), env=machine.env(), stdout=subprocess.PIPE, text=True)
    assert live.stdout.readline().startswith("\x1b[2J\x1b[HCONTAINER ID   NAME ")
    live.stdout.readline()
    assert live.stdout.readline().startswith("\x1b[2J\x1b[HCONTAINER ID   NAME ")
    live.send_signal(2)
    live.communicate()
    assert live.returncode == 130
    failed = machine.hawse("stats", "--no-stream", "idle", "nosuch", check=False)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == "Error response from daemon: No such container: nosuch\n"


def test_stats_are_those_of_the_kernel(machine: Host) -> None:
    before = figures(machine)
    machine.hawse("exec", "idle", "ping", "-q", "-c", "20", "-i", "0.01", "-s", "10000", "busy")
    after = figures(machine)
    for name in ("idle", "busy"):
        for direction, other in zip(after[name]["NetIO"].split(" / "), before[name]["NetIO"].split(" / "), strict=True):
            assert 20 * 10000 < size(direction) - size(other) < 20 * 11000
    assert after["wide"]["NetIO"] == "0B / 0B"  # as in Docker: the interfaces are the host's
    assert float(after["busy"]["CPUPerc"].rstrip("%")) > 5 > float(after["idle"]["CPUPerc"].rstrip("%"))
    assert [after[name]["PIDs"] for name in ("busy", "idle", "wide")] == ["2", "1", "1"]
    assert re.fullmatch(r"[0-9.]+[KM]iB / [0-9.]+GiB", after["idle"]["MemUsage"])
    assert after["idle"]["Container"] == after["idle"]["ID"] and len(after["idle"]["ID"]) == 12
    assert figures(machine, "idle")["idle"]["Container"] == "idle"


def test_containers_that_share_the_hosts_pids_and_a_network_have_their_own_processes(machine: Host) -> None:
    """The processes are the first, one that it left to process 1, and one of exec."""
    orphan = ["hostfs", "sh", "-c", "(setsid sleep 1001 &); exec sleep 1002"]
    machine.hawse("run", "-d", "--name", "web", "--network", "app", "--pid", "host", *orphan)
    machine.hawse("run", "-d", "--name", "side", "--network", "container:web", "--pid", "host", *orphan)
    machine.hawse("run", "-d", "--name", "own", "--network", "container:web", "hostfs", "sleep", "1003")
    try:
        for name in ("web", "side"):
            machine.hawse("exec", "-d", name, "sleep", "1004")
        expected = {"web": ["1001", "1002", "1004"], "side": ["1001", "1002", "1004"], "own": ["1003"]}
        for name, seconds in expected.items():
            lines = machine.hawse("top", name, "-o", "pid,args").stdout.splitlines()[1:]
            assert sorted(line.split()[-1] for line in lines) == seconds
            assert figures(machine, name)[name]["PIDs"] == str(len(seconds))
    finally:
        machine.hawse("rm", "-f", "own", "side", "web")


def test_an_adopted_namespace_has_figures_too(machine: Host) -> None:
    lab = f"{machine.name}lab"
    subprocess.run(["ip", "netns", "add", lab], check=True)
    sleeper = subprocess.Popen(["ip", "netns", "exec", lab, "sleep", "100"])
    try:
        machine.hawse("network", "connect", "app", f"netns:{lab}")
        subprocess.run(["ip", "netns", "exec", lab, "ping", "-q", "-c", "1", "-s", "5000", "172.18.0.2"], check=True)
        shown = figures(machine)[f"netns:{lab}"]
        assert 5000 < size(shown["NetIO"].split(" / ")[1]) < 6000
        assert shown["PIDs"] == "1"
        assert str(sleeper.pid) in machine.hawse("top", f"netns:{lab}").stdout
        machine.hawse("network", "disconnect", "app", f"netns:{lab}")
    finally:
        sleeper.kill()
        sleeper.wait()
        subprocess.run(["ip", "netns", "del", lab], check=True)
