"""Find the processes of a container, for the commands ``top`` and ``stats``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence

from drivers.linux import process_table
from drivers.linux.process_table import Process
from engine.api import Json
from engine.containers.exec import running
from engine.errors import EngineError, InvalidArgument, reason_of
from engine.events import record as events
from engine.host import Host
from engine.model import ContainerRecord
from engine.runtime import cgroup
from engine.runtime.directory import ContainerDirectory

RENAMED = re.compile(r"(?<!\s)\s+(\S*)=\s*(PID\S*)", re.ASCII)
"""A ps option that gives another column the title PID. The column of the process ids would then be ambiguous.

The pattern begins only at the first of several spaces, because the time would otherwise grow with their square.
"""
SPACES = re.compile("[\t\n\f\r ]+")


def pids_of(host: Host, record: ContainerRecord, processes: dict[int, Process]) -> set[int]:
    """Return the pids of a running container's processes; ``processes`` has all processes of the host by pid.

    - With a pid namespace of its own: the descendants of its first process, and all processes in this pid namespace.
    - With the host's pid namespace: the descendants of its first process, and all processes in the container's own
      control group. The control group is missing if hawse cannot change control groups.
    - For an adopted namespace: all processes in it.
    """
    if record.kind == "adopted":
        namespace = f"net:[{record.sandbox_inode}]"
        return {p.pid for p in processes.values() if p.net_namespace == namespace}
    first = processes.get(record.pid)
    if first is None:
        return set()
    if first.pid_namespace != process_table.namespace("self", "pid"):
        inside = {p.pid for p in processes.values() if p.pid_namespace == first.pid_namespace}
    else:
        inside = cgroup.members(ContainerDirectory(os.fspath(host.run), record.id).path) & processes.keys()
    return process_table.descendants(processes, record.pid) | inside


def top(host: Host, reference: str, arguments: str) -> Json:
    """Return the document of GET /containers/{id}/top: the titles of ps(1), and the lines of the container's processes.

    ``arguments`` are options of ps; "" means ``-ef``. Raises NotFound if there is no such container, and Conflict if it
    is not running. Raises InvalidArgument for options that give another column the title PID, and EngineError with the
    error text of ps.
    """
    arguments = arguments or "-ef"
    for column, title in RENAMED.findall(arguments):
        if column != "pid":
            raise InvalidArgument(f'specifying "{column}={title}" is not allowed')
    record = running(host, reference)
    pids = pids_of(host, record, process_table.read())
    document = _parsed(_output(pids, arguments.split(" ")), pids)
    events.alone(host.store, lambda tx: events.container(tx, record, "top"))
    return document


def exec_pid(host: Host, reference: str, runner: int) -> int:
    """Return the pid of the command that a hawse process executes in a container, or 0 if there is no such command.

    ``runner`` is the pid of the hawse process. The command is a child of a child of ``runner``. In an adopted
    namespace, it is a child of ``runner``. Raises NotFound if there is no such container, and Conflict if it is not
    running.
    """
    adopted = running(host, reference).kind == "adopted"
    parents = {process.pid: process.parent for process in process_table.read().values()}
    above = parents if adopted else {pid: parents.get(parent) for pid, parent in parents.items()}
    return next((pid for pid, process in above.items() if process == runner), 0)


def _output(pids: set[int], arguments: Sequence[str]) -> str:
    """Return the output of ps(1) with the options ``arguments`` of the user, for the processes ``pids``.

    The pids are given to ps with the option -q. If ps refuses this option together with ``arguments``, the output has
    all processes of the host. The user's variables COLUMNS and PS_FORMAT have no effect, because Docker's daemon does
    not get them either. Raises EngineError with the error text of ps.
    """
    program = shutil.which("ps")
    if program is None:
        raise EngineError("the program ps is missing (install procps)")
    if any("\0" in argument for argument in arguments):
        raise EngineError(f"ps: fork/exec {program}: invalid argument")
    chosen = [f"-q{','.join(map(str, sorted(pids)))}"] if pids else []
    kept = {name: os.environ[name] for name in ("PATH", "TZ") if name in os.environ}
    reason = ""
    for options in (chosen, []):
        try:
            done = subprocess.run(
                [program, *options, *arguments], capture_output=True, check=False, stdin=subprocess.DEVNULL, env=kept
            )
        except OSError as error:  # one argument is too long, such as that of -q with 20,000 pids
            reason = f"fork/exec {program}: {reason_of(error)}"
            continue
        if done.returncode == 0:
            return done.stdout.decode("utf-8", "surrogateescape")
        line = done.stderr.decode("utf-8", "surrogateescape").partition("\n")[0]
        reason = line or f"exit status {done.returncode}"
    raise EngineError(f"ps: {reason}")


def _parsed(output: str, pids: set[int]) -> Json:
    """Return the document of `top` from the output of ps: the titles, and the lines as lists of words.

    Only lines of the processes ``pids`` are returned. If ps also lists threads, the lines of a process's threads follow
    the line of the process, and are returned too. Raises EngineError if the output has no column PID.
    """
    first, *lines = output.split("\n")
    titles = _words(first)
    if "PID" not in titles:
        raise EngineError("Couldn't find PID field in ps output")
    column, processes, follows = titles.index("PID"), [], False
    for words in map(_words, filter(None, lines)):
        pid = words[column] if column < len(words) else ""  # a line with an empty process name has fewer words
        if pid != "-":
            if not pid.isdecimal():
                raise EngineError(f"Unexpected pid '{pid}': strconv.Atoi: parsing \"{pid}\": invalid syntax")
            follows = int(pid) in pids
        if follows:
            last = len(titles) - 1
            processes.append([*words[:last], " ".join(words[last:])])
    return {"Processes": processes, "Titles": titles}


def _words(line: str) -> list[str]:
    return [word for word in SPACES.split(line) if word]
