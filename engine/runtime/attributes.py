"""Copy attributes of another process to this process: resource limits, processors, priority, OOM score.

A resident process (agent, supervisor, guard or warm server) copies the attributes of process 1. It then has the same
attributes as a service of the init program. Otherwise it would inherit the attributes of the command that starts it,
and so would all containers. Example: after ``ulimit -t 60`` in a shell, the agent would be killed after a minute of
processor time. After ``nice``, all later containers would run with a low priority.
"""

from __future__ import annotations

import contextlib
import os
import resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

INIT = 1  # the pid of the init program
OPEN_FILES = 1024
"""The lowest soft limit of open files (RLIMIT_NOFILE) that a resident process passes on to containers.

systemd gives its services the same limit. Process 1 itself often has a limit of a million, which makes some programs
slow.
"""


def become_service() -> None:
    """Copy the resource limits, scheduling and OOM score of process 1 to this process; idempotent.

    Scheduling means the processors, the policy and the priority that a child of process 1 gets. Resource limits are
    only raised, never lowered. Otherwise a container could get a lower limit than the user's shell has. The soft limit
    of open files is raised to `OPEN_FILES` at most. If the kernel refuses a change, the attribute stays unchanged. For
    example, only a process with CAP_SYS_RESOURCE can raise a hard limit.
    """
    for kind in _limits():
        with contextlib.suppress(OSError, ValueError):
            _raise_limit(kind)
    for take in (take_processors, take_policy, take_priority, take_oom_score):
        with contextlib.suppress(OSError):
            take(INIT)
    if os.sched_getscheduler(0) & os.SCHED_RESET_ON_FORK:
        with contextlib.suppress(OSError):
            _reset_schedule()


def _reset_schedule() -> None:
    """Remove a real-time policy, a negative nice value and the flag SCHED_RESET_ON_FORK from this process.

    The kernel does the same for each child of a process that has this flag (sched(7)). In place of a real-time policy,
    the process gets SCHED_OTHER and the nice value 0.
    """
    policy, priority = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK, os.getpriority(os.PRIO_PROCESS, 0)
    if policy in (os.SCHED_FIFO, os.SCHED_RR):
        policy, priority = os.SCHED_OTHER, 0
    os.sched_setscheduler(0, policy, os.sched_param(0))
    os.setpriority(os.PRIO_PROCESS, 0, max(priority, 0))


def _raise_limit(kind: int) -> None:
    (soft, hard), (most_soft, most_hard) = resource.getrlimit(kind), resource.prlimit(INIT, kind)
    if kind == resource.RLIMIT_NOFILE:
        most_soft = min(OPEN_FILES, most_soft, key=_size)
    with contextlib.suppress(OSError, ValueError):
        highest = max(hard, most_hard, key=_size)
        resource.setrlimit(kind, (soft, highest))
        hard = highest
    resource.setrlimit(kind, (min(max(soft, most_soft, key=_size), hard, key=_size), hard))


def _size(limit: int) -> float:
    return float("inf") if limit == resource.RLIM_INFINITY else limit


def _limits() -> Iterator[int]:
    yield from range(resource.RLIM_NLIMITS if hasattr(resource, "RLIM_NLIMITS") else 16)


def take_limits(pid: int) -> None:
    """Copy the resource limits of a process to this process.

    Lower limits are copied too. Raises OSError or ValueError if this process is not allowed to change a limit.
    """
    for kind in _limits():
        limits = resource.prlimit(pid, kind)
        if limits != resource.getrlimit(kind):
            resource.setrlimit(kind, limits)


def take_schedule(pid: int) -> None:
    """Copy the CPU affinity, the scheduling policy and the nice value of the process ``pid`` to this process."""
    take_processors(pid)
    take_policy(pid)
    take_priority(pid)


def take_processors(pid: int) -> None:
    """Let this process run on the same set of processors as the process ``pid``."""
    processors = os.sched_getaffinity(pid)
    if processors != os.sched_getaffinity(0):
        os.sched_setaffinity(0, processors)


def take_policy(pid: int) -> None:
    """Copy the scheduling policy of a process to this process."""
    policy, parameter = os.sched_getscheduler(pid), os.sched_getparam(pid)
    if (policy, parameter) != (os.sched_getscheduler(0), os.sched_getparam(0)):
        os.sched_setscheduler(0, policy, parameter)


def take_priority(pid: int) -> None:
    """Copy the priority (nice value) of a process to this process."""
    os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, pid))


def take_oom_score(pid: int) -> None:
    """Copy the OOM score adjustment of a process to this process.

    The kernel uses this value to choose which process to kill when memory runs out.
    """
    with open(f"/proc/{pid}/oom_score_adj", "rb") as file:
        score = file.read()
    with open("/proc/self/oom_score_adj", "r+b", buffering=0) as own:
        if own.read() != score:
            own.write(score)
