"""Copy the process attributes that children inherit: groups, limits, processors, priority.

A child of the warm server copies these attributes from the child's launcher, the process that the user started. Every
process that the command starts then has the launcher's attributes too. The server itself keeps the attributes of the
command that started the server.
"""

from __future__ import annotations

import os
import resource
import socket
from array import array
from pathlib import Path

SO_PEERGROUPS = 59
MOST_GROUPS = 256


def apply_process_attributes(launcher: int, connection: socket.socket, group: int) -> None:
    """Copy the attributes of the process ``launcher`` to this process; raises OSError.

    ``group`` is the launcher's group id.
    """
    _take_groups(connection, group)
    _take_limits(launcher)
    _take_schedule(launcher)
    _apply_oom_score(launcher)


def _take_groups(connection: socket.socket, group: int) -> None:
    groups = array("I", connection.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, 4 * MOST_GROUPS)).tolist()
    if groups != os.getgroups():
        os.setgroups(groups)
    if group != os.getegid():
        os.setresgid(group, group, group)


def _take_limits(launcher: int) -> None:
    for kind in range(resource.RLIM_NLIMITS if hasattr(resource, "RLIM_NLIMITS") else 16):
        limits = resource.prlimit(launcher, kind)
        if limits != resource.getrlimit(kind):
            resource.setrlimit(kind, limits)


def _take_schedule(launcher: int) -> None:
    processors = os.sched_getaffinity(launcher)
    if processors != os.sched_getaffinity(0):
        os.sched_setaffinity(0, processors)
    policy, parameter = os.sched_getscheduler(launcher), os.sched_getparam(launcher)
    if (policy, parameter) != (os.sched_getscheduler(0), os.sched_getparam(0)):
        os.sched_setscheduler(0, policy, parameter)
    os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, launcher))


def _apply_oom_score(launcher: int) -> None:
    """Copy the launcher's OOM score adjustment.

    The kernel uses this value to choose which process to kill when memory runs out.
    """
    score_file, score = Path("/proc/self/oom_score_adj"), Path(f"/proc/{launcher}/oom_score_adj").read_bytes()
    if score_file.read_bytes() != score:
        score_file.write_bytes(score)
