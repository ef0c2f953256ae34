"""Helpers that kill a hawse command when it calls a given function, or at its Nth function call.

They also kill and start the supervisor.
"""

import os
import re
import signal
import sys

from tests.conftest import CHECKOUT

KILLED = "import os, pkgutil, sys; from cli.app import App; from cli.root import run\n"
KILLED += (
    "m = pkgutil.resolve_name({module!r})\nm.{name} = lambda *a, **k: os.kill(os.getpid(), 9)\nrun(sys.argv[1:], App())"
)

COUNTED = """
import os, sys
from cli.app import App
from cli.root import run

number, limit, count = int(sys.argv[1]), int(sys.argv[2]), 0

def step(frame, event, _):
    global count
    if event == "call" and "/engine/" in frame.f_code.co_filename:
        count += 1
        if count == limit:
            os.kill(os.getpid(), number)

sys.setprofile(step)
run(sys.argv[3:], App())
print("calls:", count)
"""

CONNECT = (
    "from pathlib import Path; from engine.runtime import supervisor_client as c; c.connect(Path({run!r})).close()"
)


def killed(host, where, *command):
    """Run a hawse command on a host and kill the command when it calls the function ``where``."""
    module, _, name = where.rpartition(".")
    code = KILLED.format(module=module, name=name)
    done = host.run(sys.executable, "-c", code, *command, env=host.env(), cwd=CHECKOUT, check=False)
    assert done.returncode == -9


def killed_at_call(host, number, limit, *command):
    """Run a hawse command on a host, and send it the signal ``number`` at its function call number ``limit``.

    Only calls of functions in engine/ count. Return 0 if the signal killed the command. Return the total number of
    calls if the command ended before.
    """
    argv = [sys.executable, "-c", COUNTED, str(number), str(limit), *command]
    done = host.run(*argv, env=host.env(), cwd=CHECKOUT, check=False)
    assert done.returncode in (0, -number), done.stderr
    return int(re.search(r"calls: (\d+)", done.stdout)[1]) if done.returncode == 0 else 0


def command_line(pid):
    """Return the arguments of a process, each followed by a null byte; b"" if the process does not exist."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def processes(matches):
    """Return the pids of the processes whose `command_line` fulfils ``matches``."""
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and matches(command_line(pid))]


def kill_supervisor(host):
    """Kill the supervisor of a host."""
    end = f"{host.run_dir}\0".encode()
    [supervisor] = processes(lambda line: b"runtime.supervisor" in line and line.endswith(end))
    os.kill(supervisor, signal.SIGKILL)


def start_supervisor(host):
    """Start the next supervisor of a host, without a hawse command."""
    host.run(sys.executable, "-c", CONNECT.format(run=str(host.run_dir)), env=host.env(), cwd=CHECKOUT)
