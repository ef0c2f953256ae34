"""The tests check the streams of containers: logs, attachments and terminals."""

from __future__ import annotations

import json
import os
import pty
import re
import sys
import termios
import threading
import time
from datetime import datetime
from pathlib import Path

import pexpect
import pytest

from engine.model import LogOptions
from engine.runtime import terminal
from engine.runtime.api import Stdio
from tests.conftest import loaded

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("either")]


class Client:
    """An attachment to a container's streams. The attachment runs in a thread and uses pipes."""

    def __init__(self, lab, name: str, *, stdin: bool = False) -> None:
        self.stdin_read, self.stdin_write = os.pipe()
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        stdio = Stdio(self.stdin_read, out_write, err_write)
        self.attachment = lab.runtime.open_attachment(name, stdio, stdin=stdin, tty=False)
        if not stdin:
            os.close(self.stdin_write)
        self.out, self.err = bytearray(), bytearray()
        self.threads = [
            threading.Thread(target=self._collect, args=(out_read, self.out)),
            threading.Thread(target=self._collect, args=(err_read, self.err)),
            threading.Thread(target=self._run, args=(out_write, err_write)),
        ]

    def _run(self, *ends: int) -> None:
        self.attachment.run()
        for end in (self.stdin_read, *ends):
            os.close(end)

    @staticmethod
    def _collect(fd: int, into: bytearray) -> None:
        while data := os.read(fd, 65536):
            into += data
        os.close(fd)

    def begin(self) -> Client:
        for thread in self.threads:
            thread.start()
        return self

    def finish(self) -> Client:
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive()
        return self


def test_log_is_dockers_json_file(lab):
    lab.run("one", "sh", "-c", r'printf "a\tb\n"; sleep 0.05; printf "err<&>\"\\\\\n" >&2; sleep 0.05; printf "\377ü"')
    lines = Path(lab.log("one")).read_text().splitlines()
    bodies = [line[: line.index(',"time"')] for line in lines]
    assert bodies == [
        r'{"log":"a\u0009b\n","stream":"stdout"',
        r'{"log":"err\u003c\u0026\u003e\"\\\n","stream":"stderr"',
        '{"log":"\ufffdü","stream":"stdout"',
    ]
    for line in lines:
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", json.loads(line)["time"])


def test_long_line_is_cut_at_16_kib(lab):
    lab.run("one", "sh", "-c", "head -c 40000 /dev/zero | tr '\\0' x; echo")
    entries = [json.loads(line)["log"] for line in Path(lab.log("one")).read_text().splitlines()]
    assert [len(entry) for entry in entries] == [16384, 16384, 7233]


def test_log_continues_after_a_restart(lab):
    for word in ("first", "second"):
        lab.run("one", "echo", word)
    assert lab.output("one") == "first\nsecond\n"


def test_tail_since_and_until(lab):
    lab.run("one", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.02; done")
    entries = list(lab.runtime.logs(lab.log("one"), LogOptions(), "one"))

    def read(**options) -> bytes:
        return b"".join(e.data for e in lab.runtime.logs(lab.log("one"), LogOptions(**options), "one"))

    moment = datetime.fromisoformat(entries[1].time[:26].rstrip("Z") + "+00:00").timestamp()
    assert read(tail=2) == b"2\n3\n"
    assert read(tail=0) == b""
    assert read(tail=99) == b"1\n2\n3\n"
    assert read(since=moment) == b"2\n3\n"
    assert read(until=moment + 0.005) == b"1\n2\n"
    assert read(since=moment, tail=1) == b"3\n"


def test_log_of_a_container_that_never_wrote_is_empty(lab):
    assert list(lab.runtime.logs(lab.log("never"), LogOptions(), "never")) == []


def test_following_a_log_ends_with_the_container(lab):
    lab.launch("one", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done; printf end")
    began = time.monotonic()
    got = [line.data for line in lab.runtime.logs(lab.log("one"), LogOptions(follow=True), "one")]
    assert got == [b"1\n", b"2\n", b"3\n", b"end"]
    assert time.monotonic() - began < loaded(5)
    assert [line.data for line in lab.runtime.logs(lab.log("one"), LogOptions(follow=True, tail=1), "one")] == [b"end"]


def test_attached_before_creation_misses_nothing(lab):
    client = Client(lab, "one")
    lab.launch("one", "sh", "-c", "echo out; echo err >&2; exit 4")
    client.begin().finish()
    assert (bytes(client.out), bytes(client.err), client.attachment.exit_code) == (b"out\n", b"err\n", 4)


def test_two_clients_see_the_same(lab):
    clients = [Client(lab, "one").begin() for _ in range(2)]
    lab.launch("one", "seq", "1000")
    assert {bytes(client.finish().out) for client in clients} == {b"".join(b"%d\n" % n for n in range(1, 1001))}


def test_standard_input_reaches_the_container_and_ends(lab):
    client = Client(lab, "one", stdin=True)
    lab.launch("one", "cat", open_stdin=True, stdin_once=True)
    client.begin()
    data = os.urandom(3_000_000)
    view = memoryview(data)
    while view:
        view = view[os.write(client.stdin_write, view[:65536]) :]
    os.close(client.stdin_write)
    client.finish()
    assert bytes(client.out) == data


def test_standard_input_stays_open_for_the_next_client(lab):
    lab.launch("one", "cat", open_stdin=True)
    for word in (b"first\n", b"second\n"):
        client = Client(lab, "one", stdin=True).begin()
        os.write(client.stdin_write, word)
        os.close(client.stdin_write)
        lab.await_output("one", word.decode())
    assert lab.runtime.state("one").running


def test_standard_input_is_empty_by_default(lab):
    assert lab.run("one", "sh", "-c", "cat; readlink /proc/self/fd/0") == (0, "/dev/null\n")


def test_slow_client_holds_the_container_back_and_loses_nothing(lab):
    client = Client(lab, "one")
    lab.launch("one", "head", "-c", "5000000", "/dev/zero", log_path="")
    assert lab.runtime.wait("one", timeout=1) is None
    client.begin().finish()
    assert len(client.out) == 5_000_000


def test_user_can_reopen_its_streams(lab):
    assert lab.sh("echo out > /dev/stdout; echo err > /dev/stderr", user="5") == "out\nerr\n"


def test_container_terminal_passes_size_input_and_exit_code(lab):
    script = "tty; stat -c %t:%T /dev/console; test -t 0 && stty size; echo $TERM; read line; echo got $line; exit 3"
    inner = (
        "import sys; from pathlib import Path; from engine.runtime.local import LocalRuntime; "
        "from engine.runtime.api import Stdio\n"
        "runtime = LocalRuntime(Path(sys.argv[1]), Path(sys.argv[1]) / 'run')\n"
        "attachment = runtime.open_attachment('one', Stdio(), stdin=True, tty=True)\n"
        "print('attached', flush=True); attachment.run(); sys.exit(attachment.exit_code)"
    )
    lab.runtime.create(
        lab.spec("one", "sh", "-c", "sleep 0.2; " + script, tty=True, open_stdin=True, env=["TERM=xterm"])
    )
    child = pexpect.spawn(
        sys.executable,
        ["-c", inner, str(lab.state)],
        cwd=str(Path(__file__).parents[3]),
        dimensions=(33, 77),
        timeout=10,
    )
    child.delaybeforesend = 0.3
    child.expect("attached\r\n")
    lab.runtime.start("one")
    child.expect("/dev/pts/0\r\n88:0\r\n33 77\r\n")
    child.expect("xterm\r\n")
    child.sendline("hello")
    child.expect("got hello\r\n")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3
    assert "got hello\r\n" in lab.output("one")


def test_terminal_takes_the_clients_size_and_leaves_on_the_detach_keys(lab):
    lab.launch(
        "one", "sh", "-c", "trap 'stty size' WINCH; echo up; while :; do sleep 0.1; done", tty=True, open_stdin=True
    )
    lab.await_output("one", "up")
    master, slave = pty.openpty()
    terminal.set_size(slave, 41, 99)
    attachment = lab.runtime.open_attachment("one", Stdio(slave, slave, slave), stdin=True, tty=True)
    before = termios.tcgetattr(slave)
    typing = threading.Timer(0.5, os.write, (master, b"\x10\x11"))  # types the detach keys in raw mode, after 0.5 s
    typing.start()
    attachment.run()
    typing.join()
    assert attachment.detached
    assert termios.tcgetattr(slave) == before
    lab.await_output("one", "41 99")
    assert lab.runtime.state("one").running
    for end in (master, slave):
        os.close(end)
