"""Helpers that kill a hawse command when it calls a given function, or at its Nth function call.

They also kill and start the supervisor.
"""

import os
import re
import signal

KILLED = """
import os, pkgutil
module = pkgutil.resolve_name({module!r})
module.{name} = lambda *a, **k: os.kill(os.getpid(), 9)
"""

COUNTED = """
import os, sys
from cli.app import App
from cli.root import run

count = 0

def step(frame, event, _):
    global count
    if event == "call" and "/engine/" in frame.f_code.co_filename:
        count += 1
        if count == {limit}:
            os.kill(os.getpid(), {number})

sys.setprofile(step)
code = run({command!r}, App())
sys.setprofile(None)
print("calls:", count)
sys.exit(code)
"""

CONNECT = """
import sys
from pathlib import Path
from engine.runtime import supervisor_client
supervisor_client.connect(Path({run!r})).close()
sys.exit()
"""


def killed(host, where, *command):
    """Run a hawse command on a host and kill the command when it calls the function ``where``."""
    module, _, name = where.rpartition(".")
    done = host.hawse(*command, code=KILLED.format(module=module, name=name), check=False)
    assert done.returncode == -9, done


def killed_at_call(host, number, limit, *command):
    """Run a hawse command on a host, and send it the signal ``number`` at its function call number ``limit``.

    Only calls of functions in engine/ count. Return 0 if the signal killed the command. Return the total number of
    calls if the command ended before.
    """
    done = host.hawse(code=COUNTED.format(number=int(number), limit=limit, command=list(command)), check=False)
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
    host.hawse(code=CONNECT.format(run=str(host.run_dir)))
