"""Helpers that kill a hawse command when it calls a given function, or at its Nth function call.

They also let the kernel refuse a system call of a command, and kill and start the supervisor.
"""

import os
import re
import signal

from engine.store.sqlite import SqliteStore

KILLED = """
import os, pkgutil
module = pkgutil.resolve_name({module!r})
module.{name} = lambda *a, **k: os.kill(os.getpid(), 9)
"""

REFUSED = """
import ctypes, pkgutil, struct
module = pkgutil.resolve_name({module!r})
original = module.{name}
rows = [(0x20, 0, 0, 0), (0x15, 0, 1, {number}), (0x06, 0, 0, 0x50000 | {code}), (0x06, 0, 0, 0x7FFF0000)]
instructions = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *row) for row in rows))

def refuse(*a, **k):
    filter = struct.pack("@HP", len(rows), ctypes.addressof(instructions))
    assert ctypes.CDLL(None).prctl(22, 2, filter) == 0
    return original(*a, **k)

module.{name} = refuse
"""
"""A program that installs a seccomp filter when the command calls a function. From then on, the filter refuses one
system call with an error: load the number, compare it, return the error, or else allow the call.
"""

NUMBERS = {"x86_64": {"setns": 308, "socket": 41}, "aarch64": {"setns": 268, "socket": 198}}
"""Numbers of system calls, by machine."""

UNWRITABLE = """
import pkgutil, resource
module = pkgutil.resolve_name({module!r})
end_intent, undo = module.end_intent, module.{undo}

def refuse(*arguments):
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    end_intent(*arguments)

def allow(*arguments):
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    undo(*arguments)

module.end_intent, module.{undo} = refuse, allow
"""
"""A program with which the last transaction of a command fails, because the kernel refuses to write its files.

The kernel allows it again when the command begins to undo its work.
"""

FULL_DISK = """
import pkgutil, resource
module = pkgutil.resolve_name({module!r})
original = module.{name}

def refuse(*a, **k):
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    return original(*a, **k)

module.{name} = refuse
"""
"""A program with which the kernel refuses to write files as soon as the command calls a function."""

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


def refused(host, where, call, code, *command):
    """Run a hawse command on a host, and return the completed process.

    From the command's call of the function ``where`` on, the kernel refuses the system call ``call`` with the error
    number ``code``. The command must not need the supervisor, which refuses a process with a seccomp filter.
    """
    module, _, name = where.rpartition(".")
    number = NUMBERS[os.uname().machine][call]
    program = REFUSED.format(module=module, name=name, number=number, code=code)
    return host.hawse(*command, code=program, check=False)


def unwritable(host, where, *command):
    """Run a hawse command on a host, and return the completed process.

    From the command's call of the function ``where`` on, the kernel refuses to write files.
    """
    module, _, name = where.rpartition(".")
    with SqliteStore(host.root / "hawse.db").read():  # the store's log exists as long as it is open
        return host.hawse(*command, code=FULL_DISK.format(module=module, name=name), check=False)


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
