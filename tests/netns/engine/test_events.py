"""The events of each command, and of changes without a command. The expected events are those of dockerd 26.1.5.

Two differences are intended. For ``network disconnect`` of a running container, Docker has the event twice, and hawse
once. For a stopped container that is connected to a network, and for a removed configuration network, only hawse has
an event.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pexpect
import pytest

from tests.clients.conftest import load
from tests.conftest import COUNTER, Host, new_host, until

pytestmark = pytest.mark.netns
LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d)) (.*)")
WEB = "image=hostfs, name=web, tier=front"
WEB2 = "image=hostfs, name=web2, tier=front"
APP, BACK = "(container=WEB, name=app, type=bridge)", "(container=WEB, name=back, type=bridge)"
LATE = """
import subprocess, time
class Late(subprocess.Popen):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        time.sleep(0.5)
subprocess.Popen = Late
"""  # makes a hawse command go on only when the program that it started has ended
COMMANDS: list[tuple[str, list[str]]] = [
    ("network create app", ["network create APP (name=app, type=bridge)"]),
    ("network create back", ["network create BACK (name=back, type=bridge)"]),
    (
        "run -d --name web --network app --label tier=front hostfs sh -c 'trap \"\" TERM; sleep 1000 & wait; wait'",
        [f"container create WEB ({WEB})", f"network connect APP {APP}", f"container start WEB ({WEB})"],
    ),
    ("network connect back web", [f"network connect BACK {BACK}"]),
    (
        "exec web sh -c 'exit 3'",
        [
            f"container exec_create: sh -c exit 3 WEB (execID=EXEC, {WEB})",
            f"container exec_start: sh -c exit 3 WEB (execID=EXEC, {WEB})",
            f"container exec_die WEB (execID=EXEC, exitCode=3, {WEB})",
        ],
    ),
    (
        "exec web nosuch",
        [
            f"container exec_create: nosuch  WEB (execID=EXEC, {WEB})",
            f"container exec_start: nosuch  WEB (execID=EXEC, {WEB})",
        ],
    ),
    (
        "exec -d web sh -c 'exit 4'",
        [
            f"container exec_create: sh -c exit 4 WEB (execID=EXEC, {WEB})",
            f"container exec_start: sh -c exit 4 WEB (execID=EXEC, {WEB})",
            f"container exec_die WEB (execID=EXEC, exitCode=4, {WEB})",
        ],
    ),
    ("rename web web2", ["container rename WEB (image=hostfs, name=web2, oldName=/web, tier=front)"]),
    ("network disconnect back web2", [f"network disconnect BACK {BACK}"]),
    ("kill -s HUP web2", ["container kill WEB (image=hostfs, name=web2, signal=1, tier=front)"]),
    ("publish -p 8080:80 web2", [f"container publish WEB ({WEB2.replace('web2', 'web2, port=80/tcp')})"]),
    ("unpublish web2 80", [f"container unpublish WEB ({WEB2.replace('web2', 'web2, port=80/tcp')})"]),
    (
        "restart -t 1 web2",
        [
            "container kill WEB (image=hostfs, name=web2, signal=15, tier=front)",
            "container kill WEB (image=hostfs, name=web2, signal=9, tier=front)",
            f"network disconnect APP {APP}",
            f"container stop WEB ({WEB2})",
            f"container die WEB (execDuration=N, exitCode=137, {WEB2})",
            f"network connect APP {APP}",
            f"container start WEB ({WEB2})",
            f"container restart WEB ({WEB2})",
        ],
    ),
    (
        "kill web2",
        [
            "container kill WEB (image=hostfs, name=web2, signal=9, tier=front)",
            f"network disconnect APP {APP}",
            f"container die WEB (execDuration=N, exitCode=137, {WEB2})",
        ],
    ),
    ("network connect back web2", [f"network connect BACK {BACK}"]),
    ("network disconnect back web2", [f"network disconnect BACK {BACK}"]),
    ("start web2", [f"network connect APP {APP}", f"container start WEB ({WEB2})"]),
    (
        "rm -f web2",
        [
            "container kill WEB (image=hostfs, name=web2, signal=9, tier=front)",
            f"network disconnect APP {APP}",
            f"container die WEB (execDuration=N, exitCode=137, {WEB2})",
            f"container destroy WEB ({WEB2})",
        ],
    ),
    (
        "run --name fails --network app hostfs nosuch",
        [
            "container create FAILS (image=hostfs, name=fails)",
            "container attach FAILS (image=hostfs, name=fails)",
            f"network connect APP {APP.replace('WEB', 'FAILS')}",
            f"network disconnect APP {APP.replace('WEB', 'FAILS')}",
        ],
    ),
    ("container prune -f", ["container destroy FAILS (image=hostfs, name=fails)", "container prune  (reclaimed=N)"]),
    (
        "run --name once --rm --network app hostfs true",
        [
            "container create ONCE (image=hostfs, name=once)",
            "container attach ONCE (image=hostfs, name=once)",
            f"network connect APP {APP.replace('WEB', 'ONCE')}",
            "container start ONCE (image=hostfs, name=once)",
            f"network disconnect APP {APP.replace('WEB', 'ONCE')}",
            "container die ONCE (execDuration=N, exitCode=0, image=hostfs, name=once)",
            "container destroy ONCE (image=hostfs, name=once)",
        ],
    ),
    ("network create --config-only cfg", ["network create CFG (name=cfg, type=null)"]),
    (
        "network rm cfg back",
        ["network destroy CFG (name=cfg, type=null)", "network destroy BACK (name=back, type=bridge)"],
    ),
    ("network prune -f", ["network destroy APP (name=app, type=bridge)", "network prune  (reclaimed=0)"]),
]


def now() -> str:
    """Return the present time, for ``--until``.

    A duration such as 0s would mean the beginning of the present second, as in Docker.
    """
    return f"{time.time():.9f}"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with new_host(tmp_path_factory.mktemp("events"), ipv6=False) as host:
        yield host


class Follower:
    """A running ``hawse events``, and the lines that it has printed."""

    def __init__(self, host: Host, *argv: str, env: dict[str, str] | None = None) -> None:
        self.output = host.state / f"events-{next(COUNTER)}"
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                host.command("events", *argv), stdout=file, stderr=file, env=host.env(**(env or {}))
            )
        until(self._follows, 20)

    def _follows(self) -> bool:
        """Return whether a process that writes to the output waits for changes by inotify."""
        return any(links(process, "1") == [str(self.output)] and any("inotify" in link for link in links(process))
                   for process in Path("/proc").glob("[0-9]*"))  # fmt: skip

    def lines(self, number: int) -> list[str]:
        until(lambda: len(self.output.read_text().splitlines()) >= number, 20)
        return self.output.read_text().splitlines()

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(5)


def links(process: Path, descriptor: str = "*") -> list[str]:
    """Return the targets of a process's links in /proc/PID/fd, or [] if the process has ended."""
    found = []
    with suppress(OSError):
        for link in (process / "fd").glob(descriptor):
            found.append(os.readlink(link))
    return found


def plain(lines: list[str]) -> list[str]:
    """Replace times, ids and durations. Each id becomes the first name of its object, in capitals."""
    names: dict[str, str] = {}
    for line in lines:
        match = re.search(r"^\S+ (?:container|network) create (\S+) .*name=(\w+)", line)
        if match:
            names[match[1]] = match[2].upper()
    result = []
    for line in lines:
        text = LINE.fullmatch(line)[2]
        for identity, name in names.items():
            text = text.replace(identity, name)
        text = re.sub(r"execID=[0-9a-f]{64}", "execID=EXEC", text)
        result.append(re.sub(r"(execDuration|(?<=container prune  \()reclaimed)=\d+", r"\1=N", text))
    return result


def test_each_command_makes_dockers_events(machine: Host) -> None:
    expected = [event for _, events in COMMANDS for event in events]
    began = f"{time.time():.9f}"
    follower = Follower(machine)
    number = 0
    for command, events in COMMANDS:
        machine.hawse(*shlex.split(command), check=False)
        number += len(events)
        lines = follower.lines(number)
    assert plain(lines) == expected
    assert follower.interrupt() == 130
    times = [LINE.fullmatch(line)[1] for line in lines]
    assert times == sorted(times)
    assert machine.hawse("events", "--since", began, "--until", now()).stdout.splitlines() == lines
    filters = ["--filter", "type=container", "--filter", "event=die", "--filter", "label=tier=front"]
    assert len(machine.hawse("events", "--since", began, "--until", now(), *filters).stdout.splitlines()) == 3


def test_formats_are_dockers(machine: Host) -> None:
    began = f"{time.time():.9f}"
    container = machine.hawse("create", "--name", "made", "--label", "a=<b>", "hostfs", "true").stdout.strip()
    network = machine.hawse("network", "create", "net").stdout.strip()
    machine.hawse("rm", "made")
    past = ["events", "--since", began, "--until", now()]
    first, second, _ = machine.hawse(*past, "--format", "json").stdout.splitlines()
    moment = json.loads(first)["timeNano"]
    assert first == (
        f'{{"status":"create","id":"{container}","from":"hostfs","Type":"container","Action":"create","Actor":{{'
        f'"ID":"{container}","Attributes":{{"a":"<b>","image":"hostfs","name":"made"}}}},"scope":"local",'
        f'"time":{moment // 10**9},"timeNano":{moment}}}'
    )
    assert second.startswith(
        f'{{"Type":"network","Action":"create","Actor":{{"ID":"{network}","Attributes":{{"name":"net","type":"bridge"}}}},'
    )
    shown = machine.hawse(*past, "--format", "{{.Type}} {{.Status}} {{.From}} {{.Scope}} {{.Actor}}").stdout
    assert shown.splitlines()[1] == f"network   local {{{network} map[name:net type:bridge]}}"
    for format, problem in (
        ("{{.Nope}}", 'template: :1:2: executing "" at <.Nope>: can\'t evaluate field Nope in type *events.Message'),
        ("{{nope}}", 'template: :1: function "nope" not defined'),
    ):
        failed = machine.hawse(*past, "--format", format, check=False)
        assert (failed.returncode, failed.stderr) == (64, f"Error parsing format: {problem}\n")
    for times, problem in (
        (["--since", "abc"], 'failed to parse value as time or duration: "abc"'),
        (["--since", "20", "--until", "10"],
         "Error response from daemon: `since` time (20) cannot be after `until` time (10)"),
    ):  # fmt: skip
        failed = machine.hawse("events", *times, check=False)
        assert (failed.returncode, failed.stderr) == (1, problem + "\n")
    machine.hawse("network", "rm", "net")


def test_an_end_without_a_command_and_automatic_restarts_appear(machine: Host) -> None:
    follower = Follower(machine, "--filter", "type=container")
    machine.hawse("run", "-d", "--name", "flaky", "--restart", "on-failure:1", "hostfs", "sh", "-c", "exit 3")
    lines = plain(follower.lines(5))
    start, die = (f"container {word}image=hostfs, name=flaky)" for word in (
        "start FLAKY (", "die FLAKY (execDuration=N, exitCode=3, "))  # fmt: skip
    assert lines[1:] == [start, die, start, die]
    assert follower.interrupt() == 130
    machine.hawse("rm", "flaky")


def test_a_killed_stop_loses_no_event(machine: Host) -> None:
    machine.hawse("run", "-d", "--name", "slow", "hostfs", "sh", "-c", "trap '' TERM; sleep 1000 & wait; wait")
    follower = Follower(machine, "--filter", "type=container")
    stopping = subprocess.Popen(
        machine.command("stop", "-t", "1", "slow"), env=machine.env(), stdout=subprocess.DEVNULL
    )
    follower.lines(1)  # wait for the event of the stop signal
    time.sleep(0.3)
    stopping.kill()
    stopping.wait()
    words = [line.split()[2] for line in follower.lines(4)]
    assert words == ["kill", "kill", "stop", "die"]
    follower.interrupt()
    machine.hawse("rm", "slow")


def test_a_terminal_session_appears(machine: Host) -> None:
    follower = Follower(machine, "--filter", "type=container", "--format", "{{.Action}} {{json .Actor.Attributes}}")
    argv = machine.command("run", "-it", "--name", "term", "hostfs", "sh")
    session = pexpect.spawn(argv[0], argv[1:], env=machine.env(), dimensions=(31, 97), timeout=20, encoding="utf-8")
    session.expect("# ")
    session.send("\x10\x11")
    session.expect(pexpect.EOF)
    name = '"image":"hostfs","name":"term"'
    events = [f"create {{{name}}}", f"attach {{{name}}}", f"start {{{name}}}"]
    events += [f'resize {{"height":"31",{name},"width":"97"}}', f"detach {{{name}}}"]
    assert follower.lines(5) == events
    follower.interrupt()
    machine.hawse("rm", "-f", "term")


@pytest.mark.parametrize("image", ["hostfs", "bb"])
def test_a_command_that_the_user_has_left_dies_with_an_event(machine: Host, tmp_path: Path, image: str) -> None:
    if image == "bb":
        load(machine, tmp_path)
    machine.hawse("run", "-d", "--name", "left", image, "sleep", "1000")
    follower = Follower(machine, "--filter", "type=container", "--format", "{{.Action}} {{.Actor.Attributes.exitCode}}")
    flag = "/tmp/go" if image == "bb" else str(tmp_path / "go")
    argv = machine.command(
        "exec", "-it", "left", "sh", "-c", f"echo up; until [ -e {flag} ]; do sleep 0.1; done; exit 7"
    )
    session = pexpect.spawn(argv[0], argv[1:], env=machine.env(), timeout=20, encoding="utf-8")
    session.expect("up")
    session.send("\x10\x11")
    session.expect(pexpect.EOF)
    left = follower.lines(3)
    assert [line.split(":")[0].split()[0] for line in left] == ["exec_create", "exec_start", "exec_detach"]
    machine.hawse("exec", "-d", "left", "sh", "-c", f"mkdir -p /tmp; touch {flag}")
    assert "exec_die 7" in follower.lines(7)
    follower.interrupt()
    machine.hawse("rm", "-f", "left")


def test_events_need_no_resident_process(machine: Host) -> None:
    machine.kill_processes()
    off = {"HAWSE_WARM": "off"}
    follower = Follower(machine, env=off)
    machine.hawse("network", "create", "alone", env=off)
    assert plain(follower.lines(1)) == ["network create ALONE (name=alone, type=bridge)"]
    follower.interrupt()
    machine.hawse("network", "rm", "alone", env=off)


def test_the_stream_ends_with_the_program_that_reads_it(machine: Host) -> None:
    """As in ``hawse events | head -1``, although no further event comes."""
    machine.hawse("network", "create", "read")
    machine.hawse("network", "rm", "read")
    events = shlex.join(machine.command("events", "--since", "1h"))
    for reader, lines in (("head -1", 1), ("true", 0)):
        script = f"{events} | {reader}; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=20, env=machine.env())
        *shown, code = done.stdout.splitlines()
        assert (len(shown), code, done.stderr) == (lines, "141", "")


def test_a_socket_of_which_one_direction_is_shut_down_is_read_to_its_end(machine: Host) -> None:
    """As systemd does with the socket to the journal, and sshd for a client without input (``ssh -n``)."""
    for network, at_reader in (("first", True), ("second", False)):
        reader, stdout = socket.socketpair()
        command = machine.command("events", "--since", "1h")
        with subprocess.Popen(command, env=machine.env(), stdin=subprocess.DEVNULL, stdout=stdout) as events:
            reader.shutdown(socket.SHUT_WR) if at_reader else stdout.shutdown(socket.SHUT_RD)
            stdout.close()
            reader.settimeout(20)
            shown = reader.makefile()
            assert shown.readline()  # a past event, so the command runs
            machine.hawse("network", "create", network)
            assert any(f"name={network}" in line for line in iter(shown.readline, ""))
            shown.close()
            reader.close()
            assert events.wait(20) == 141
        machine.hawse("network", "rm", network)


def test_an_adopted_namespace_and_images_appear(machine: Host, tmp_path: Path) -> None:
    began = f"{time.time():.9f}"
    lab = f"{machine.name}lab"
    subprocess.run(["ip", "netns", "add", lab], check=True)
    try:
        machine.hawse("network", "create", "joined")
        machine.hawse("network", "connect", "joined", f"netns:{lab}")
        for flags, code in (((), "5"), (("-d", "-t"), "6")):
            machine.hawse("exec", *flags, f"netns:{lab}", "sh", "-c", f"exit {code}", check=False)
            past = ("events", "--since", began, "--until")
            until(lambda code=code, past=past: f"exitCode={code}" in machine.hawse(*past, now()).stdout)
        machine.hawse("exec", "-d", f"netns:{lab}", "nosuch", check=False)
        machine.hawse("network", "disconnect", "joined", f"netns:{lab}")
        machine.hawse("network", "rm", "joined")
    finally:
        subprocess.run(["ip", "netns", "del", lab], check=True)
    (tmp_path / "file").write_text("x")
    subprocess.run(["tar", "-C", str(tmp_path), "-cf", str(tmp_path / "root.tar"), "file"], check=True)
    image = machine.hawse("import", str(tmp_path / "root.tar"), "mine:1").stdout.strip()
    machine.hawse("rmi", "mine:1")
    lines = machine.hawse("events", "--since", began, "--until", now()).stdout.splitlines()
    words = [LINE.fullmatch(line)[2].split(" ", 3) for line in lines]
    assert [word[1] for word in words] == [
        "create", "connect", *["exec_create:", "exec_start:", "exec_die"] * 2, "exec_create:", "exec_start:",
        "disconnect", "destroy", "tag", "import", "untag", "delete",
    ]  # fmt: skip
    execs = [re.sub(r"execID=\w{64}", "execID=EXEC", line.partition(" container ")[2]) for line in lines[2:5]]
    identity = execs[2].split()[1]
    assert execs == [
        f"exec_create: sh -c exit 5 {identity} (execID=EXEC, name=netns:{lab})",
        f"exec_start: sh -c exit 5 {identity} (execID=EXEC, name=netns:{lab})",
        f"exec_die {identity} (execID=EXEC, exitCode=5, name=netns:{lab})",
    ]
    assert [word[2:] for word in words[12:]] == [
        [image, "(name=mine:1)"], *[[image, f"(name={image})"]] * 3,
    ]  # fmt: skip


def test_a_detached_command_that_ends_at_once_is_reported(machine: Host) -> None:
    """The exit code is not lost if the command ends before the process that waits for it continues."""
    lab = f"{machine.name}quick"
    subprocess.run(["ip", "netns", "add", lab], check=True)
    try:
        machine.hawse("network", "create", "quick")
        machine.hawse("network", "connect", "quick", f"netns:{lab}")
        follower = Follower(machine, "--filter", "event=exec_die", "--format", "{{.Actor.Attributes.exitCode}}")
        command = ["exec", "-d", f"netns:{lab}", "sh", "-c", "exit 7"]
        machine.hawse(*command, code=LATE)
        assert follower.lines(1) == ["7"]
        follower.interrupt()
    finally:
        machine.hawse("network", "disconnect", "-f", "quick", f"netns:{lab}", check=False)
        machine.hawse("network", "rm", "-f", "quick", check=False)
        subprocess.run(["ip", "netns", "del", lab], check=True)


def test_each_repair_names_its_cause_and_what_was_done(machine: Host) -> None:
    machine.hawse("network", "create", "healed")
    machine.hawse("run", "-d", "--name", "patient", "--network", "healed", "hostfs", "sleep", "1000")
    identity = machine.hawse("network", "inspect", "-f", "{{.Id}}", "healed").stdout[:12]
    pid = machine.hawse("inspect", "-f", "{{.State.Pid}}", "patient").stdout.strip()
    follower = Follower(machine, "--filter", "event=repair", "--format", "{{.Type}}: {{json .Actor.Attributes}}")
    machine.sh(f"ip link set br-{identity} down")
    (network,) = follower.lines(1)
    assert network.startswith(f'network: {{"action":"changed bridge (br-{identity} is down), missing route (')
    assert network.endswith('","cause":"another program","name":"healed","type":"bridge"}')
    machine.sh("nft flush ruleset")
    assert re.fullmatch(
        r'daemon: {"action":"missing inet hawse \(the table\)","cause":"nft \(\d+\)","driver":"bridge","name":".+"}',
        follower.lines(2)[1],
    )
    subprocess.run(["nsenter", "-t", pid, "-n", "ip", "addr", "flush", "dev", "eth0"], check=True)
    assert follower.lines(3)[2].startswith('container: {"action":"missing address (')
    follower.interrupt()
    machine.hawse("rm", "-f", "patient")
    machine.hawse("network", "rm", "healed")
