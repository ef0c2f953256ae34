"""A terminal shows a progress line while a command takes longer than half a second."""

from __future__ import annotations

import io
import os
import shlex
import signal
import sqlite3
import sys
import tarfile
import time
from contextlib import suppress
from pathlib import Path

import pexpect
import pytest

from tests.commands import shared_server, with_code
from tests.conftest import until
from tests.terminal.conftest import CHECKOUT, Screen

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
SLOW = """
import sys, time
from cli.app import App
app = App()
with app.waiting("Counting to three", 3 << 20) as done:
    time.sleep(0.9)
    done(1 << 20)
    app.out("one\\n")
    time.sleep(float(sys.argv[1]))
app.out("end\\n")
"""


@pytest.fixture(autouse=True)
def resident_processes_end(tmp_path):
    """Kill the resident processes that the commands of a test have started. They have the test's HAWSE_RUN."""
    yield
    mark = f"HAWSE_RUN={tmp_path / 'run'}".encode()
    until(lambda: not killed(mark), pause=0.1)


def killed(mark: bytes) -> bool:
    """Kill the processes whose environment has the variable ``mark``; return whether there was one."""
    is_marked = False
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # the process has ended
            if mark in (directory / "environ").read_bytes().split(b"\0"):
                is_marked = True
                os.kill(int(directory.name), signal.SIGKILL)
    return is_marked


def hawse(root: Path, *argv: str, **environ: str) -> pexpect.spawn:
    """Start hawse on a terminal, in new namespaces; the store is below ``root``."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), "TERM": "xterm", "LC_ALL": "C.UTF-8",
           "HAWSE_ROOT": str(root / "state"), "HAWSE_RUN": str(root / "run"), "HAWSE_WARM": "off"}  # fmt: skip
    return pexpect.spawn("unshare", ["-rn", sys.executable, "-m", "cli", *argv], cwd=str(CHECKOUT), encoding="utf-8",
                         timeout=60, dimensions=(50, 100), env={**env, **environ})  # fmt: skip


@pytest.fixture
def locked_store(tmp_path):
    """A directory with a store, and a connection that holds the store's write lock."""
    assert hawse(tmp_path, "create", "--name", "one", "hostfs", "true").expect(pexpect.EOF) == 0
    store = sqlite3.connect(tmp_path / "state" / "hawse.db", isolation_level=None)
    store.execute("BEGIN IMMEDIATE")
    yield tmp_path, store
    store.close()


def test_a_command_says_for_which_process_it_waits(locked_store):
    root, store = locked_store
    child = hawse(root, "rename", "one", "two")
    child.expect(f"Waiting for another command that writes the store: process {os.getpid()} ")
    store.execute("ROLLBACK")
    child.expect(pexpect.EOF)
    child.close()
    assert SHOW_CURSOR in child.before and child.exitstatus == 0


@pytest.mark.parametrize("quiet", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_without_colour_nothing_is_shown(locked_store, quiet):
    root, store = locked_store
    child = hawse(root, "rename", "one", "two", **quiet)
    assert child.expect(["Waiting", pexpect.TIMEOUT], timeout=1.5) == 1
    store.execute("ROLLBACK")
    child.expect(pexpect.EOF)
    assert child.before == ""


def test_an_import_shows_how_much_it_has_read(tmp_path):
    archive = tmp_path / "slow.tar"
    with tarfile.open(archive, "w") as tar:
        member = tarfile.TarInfo("zeros")
        member.size = 1 << 20
        tar.addfile(member, io.BytesIO(bytes(member.size)))
    os.mkfifo(tmp_path / "pipe")
    child = hawse(tmp_path, "import", str(tmp_path / "pipe"), "zeros:1")
    with (tmp_path / "pipe").open("wb") as pipe:
        pipe.write(archive.read_bytes()[:4096])
        pipe.flush()
        child.expect(f"Importing {tmp_path}/pipe")
        pipe.write(archive.read_bytes()[4096:])
    child.expect(r"sha256:[0-9a-f]{64}\r\n")
    child.expect(pexpect.EOF)


STEADY = """
import time
from cli.app import App
with App().waiting("Counting", 1 << 30) as done:
    for step in range(40):
        time.sleep(0.05)
        done(step << 20)
"""


def test_steady_work_shows_the_line_too():
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    child = pexpect.spawn(sys.executable, ["-c", STEADY], encoding="utf-8", timeout=60, env=env)
    child.expect("Counting")
    child.expect(pexpect.EOF)


def program(seconds: float) -> pexpect.spawn:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    return pexpect.spawn(sys.executable, ["-c", SLOW, str(seconds)], encoding="utf-8", timeout=60, env=env)


def test_the_progress_line_is_removed_before_output_and_at_the_end():
    child = program(0.9)
    child.expect("Counting to three")
    child.expect("\x1b\\[2K" + "one\r\n")
    child.expect("Counting to three")
    child.expect("\x1b\\[2K" + "end\r\n")
    child.expect(pexpect.EOF)
    assert child.before == ""


def test_a_quick_command_shows_no_progress_line():
    child = program(0)
    child.expect("one\r\nend\r\n")
    child.expect(pexpect.EOF)
    assert child.before == ""


def test_the_line_ends_with_a_killed_command():
    """The command is not the session leader, because the end of a session leader makes the terminal unwritable."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    leader = ["-c", '"$@"; sleep 2', "sh", sys.executable, "-c", SLOW, "60"]
    child = pexpect.spawn("sh", leader, encoding="utf-8", timeout=60, env=env)
    child.expect("one\r\n")
    child.expect("Counting to three")
    os.kill(int(Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text()), signal.SIGKILL)
    child.expect(SHOW_CURSOR.replace("[", "\\[").replace("?", "\\?"))
    child.expect(pexpect.EOF)  # no process has the terminal open


@pytest.fixture(params=["cold", "warm"])
def shell(request, directory, started):
    """A shell in a directory that has the program ``slow``.

    The program runs the code of `SLOW` in a new process (cold) or in a child of the warm server.
    """
    command, environ = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}){SLOW}"], {}
    if request.param == "warm":
        code = f"import os, sys; sys.argv = ['slow', os.environ['SLOW_SECONDS']]{SLOW}\nraise SystemExit"
        command, environ = with_code(shared_server().launcher(), code)
    words = ["env", *(f"{name}={value}" for name, value in environ.items()), *command]
    (directory / "slow").write_text(f'#!/bin/sh\nSLOW_SECONDS=$1\nexport SLOW_SECONDS\nexec {shlex.join(words)} "$1"\n')
    (directory / "slow").chmod(0o755)
    return started("bash", directory)


def stop(shell: Screen, seconds: int) -> None:
    """Start the program ``slow``, and press ctrl-Z when its progress line is drawn."""
    shell.keys("-l", f"./slow {seconds}")
    shell.keys("Enter")
    shell.wait_for(lambda text: "Counting to three" in text.partition("\none\n")[2])
    shell.keys("C-z")
    shell.wait_for(lambda text: "Stopped" in text)


def test_ctrl_z_leaves_the_prompt_and_the_cursor(shell):
    stop(shell, 60)
    time.sleep(0.5)
    assert shell.text().rstrip("\n").endswith("\n$ ")
    assert shell.tmux("display", "-p", "#{cursor_x} #{cursor_flag}") == "2 1\n"
    shell.keys("-l", "clear; fg")
    shell.keys("Enter")
    shell.wait_for(lambda text: "Stopped" not in text and "Counting" in text)
    assert "Counting to three" in shell.text().rstrip().split("\n")[-1]
    shell.keys("C-c")
    assert shell.wait_for(lambda text: text.rstrip().endswith("$")).count("Counting") == 0


def test_a_command_that_is_continued_alone_does_not_wait_for_the_process_that_draws(shell):
    """``kill -CONT`` with the pid of a command does not continue the other processes of the job."""
    stop(shell, 3)
    shell.keys("-l", "clear; kill -CONT $(jobs -p)")
    shell.keys("Enter")
    assert "end" in shell.wait_for(lambda text: "\nend\n" in text).split("\n")
