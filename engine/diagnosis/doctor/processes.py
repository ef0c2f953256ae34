"""Checks hawse's resident processes: the agent, the supervisor, their guard and the warm server."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from drivers.api import LinkRepairer, Repairer
from drivers.linux import process
from engine.agent import client
from engine.api import Check
from engine.diagnosis.doctor.checks import REPAIR, Examined, fault, ok, warning
from engine.dns.sandbox_view import has_names
from engine.errors import PermissionDenied
from engine.host import Host
from engine.paths import open_private
from engine.ports.proxied import held_ports, publishing
from engine.runtime import guard, guarded, resident, supervisor, supervisor_client

STARTING_SECONDS = 5.0
"""Seconds after the start of a process within which the process must answer and its guard must run."""
ANSWER_SECONDS = 2.0
POLL_INTERVAL_SECONDS = 0.05
RUNNING, STOPPED, SILENT, ENDED = "running", "stopped by a signal", "not answering", "not running"
WARM_LOCK = "warm.lock"  # name of the warm server's lock file, as `LOCK` in cli/launcher/launch.py


def agent_state(host: Host) -> tuple[str, Sequence[str]]:
    """Return the agent's state and the agent's warnings about other programs.

    - `RUNNING`: the agent answers; only then are there warnings
    - `SILENT`: the agent accepts the connection, but gives no usable answer in time
    - `STOPPED`: a signal has stopped the agent
    - `ENDED`: no agent accepts the connection, or the connection ends without an answer

    Waits up to `STARTING_SECONDS` for an agent that is starting. A stopped agent is not asked, because `client.ask`
    would kill it.
    """
    deadline = time.monotonic() + STARTING_SECONDS
    while True:
        pid = resident.holder(str(host.run), client.LOCK)
        if pid and process.is_stopped(pid):
            return STOPPED, ()
        answer = client.ask(host.run, "status", ANSWER_SECONDS) if os.path.exists(host.run / client.SOCKET) else None
        if answer is not None:
            break
        if not _is_locked(host, client.LOCK) or time.monotonic() > deadline:
            return ENDED, ()
        time.sleep(POLL_INTERVAL_SECONDS)
    with suppress(ValueError):
        return RUNNING, json.loads(answer).get("warnings", ())
    return SILENT, ()


def _is_locked(host: Host, name: str) -> bool:
    """Return whether a process holds the lock file ``name`` in HAWSE_RUN.

    A starting process holds its lock before it listens.
    """
    try:
        descriptor = open_private(host.run / name, os.O_RDWR)
    except (OSError, PermissionDenied):  # no file, or another user's file
        return False
    try:
        return not resident.try_lock(descriptor)
    finally:
        os.close(descriptor)


def check(examined: Examined) -> Iterator[Check]:
    """Yield the results for the agent, the supervisor, their guard and the warm server."""
    host, needs_agent, needs_supervisor = examined.host, _agent_is_needed(examined), _supervisor_is_needed(examined)
    agent = resident.holder(str(host.run), client.LOCK)
    if examined.agent == RUNNING:
        yield ok("agent", f"answers (pid {agent})")
    elif examined.agent == ENDED and not needs_agent:
        yield ok("agent", "is not needed")
    else:
        yield fault("agent", f"is {examined.agent}", "it was killed or stopped, and the guard has not replaced it")
    yield from (warning("agent", text, "two programs change the same objects", _FIGHT) for text in examined.fights)
    yield _supervisor(host, needed=needs_supervisor)
    if needs_agent or needs_supervisor:
        yield _guard(host)
    yield _warm(host)


_FIGHT = "let the other program leave hawse's objects alone, or switch repairs off (-o hawse.heal=false)"


def _agent_is_needed(examined: Examined) -> bool:
    """Return whether the agent must run now.

    It must run if the host is in a cluster, or if the guard has a record of the agent. It must also run to repair a
    network, to hold or forward a published port, or to answer the DNS queries of a container.
    """
    host, records = examined.host, examined.records
    if guarded.is_saved(str(host.run), guarded.AGENT) or host.is_clustered:
        return True
    drivers = {network.driver for network in examined.networks}
    if host.config.heal and any(isinstance(host.driver(name), (Repairer, LinkRepairer)) for name in drivers):
        return True
    if any(held_ports(*publisher) for publisher in publishing(records.networks, records.endpoints)):
        return True
    named = {network.id for network in records.networks if has_names(network)}
    running = {container.id for container in examined.containers}
    return any(e.container_id in running and e.network_id in named for e in records.endpoints)


def _supervisor_is_needed(examined: Examined) -> bool:
    """Return whether this host needs a supervisor, because a running container has a process that hawse started."""
    return any(container.kind == "process" for container in examined.containers)


def _supervisor(host: Host, *, needed: bool) -> Check:
    pid = resident.holder(str(host.run), supervisor.LOCK)
    if pid and process.is_stopped(pid):
        return fault("supervisor", f"is {STOPPED}", "a signal (SIGSTOP) has stopped it")
    if supervisor_client.is_there(host.run):
        return ok("supervisor", f"answers (pid {pid})")
    if not needed:
        return ok("supervisor", "is not needed")
    return fault("supervisor", f"is {ENDED}", "it was killed, and the guard has not replaced it")


def _guard(host: Host) -> Check:
    pid = resident.holder(str(host.run), guard.LOCK)
    if pid and process.is_stopped(pid):
        return fault("guard", f"is {STOPPED}", "a signal (SIGSTOP) has stopped it")
    if pid:
        return ok("guard", f"runs (pid {pid})")
    wards = [resident.holder(str(host.run), lock) for lock in (client.LOCK, supervisor.LOCK)]
    if any(pid and _age_seconds(pid) < STARTING_SECONDS for pid in wards):
        return ok("guard", "is being started")
    return warning("guard", f"is {ENDED}", "it was killed; agent and supervisor start it within seconds", REPAIR)


def _age_seconds(pid: int) -> float:
    ticks = process.start_time(pid)
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def _warm(host: Host) -> Check:
    pid = resident.holder(str(host.run), WARM_LOCK)
    if pid and process.is_stopped(pid):
        return warning("warm server", f"is {STOPPED}", "commands start slower", f"kill -CONT {pid}")
    return ok("warm server", f"runs (pid {pid})" if pid else "starts with the next command, unless HAWSE_WARM=off")


def repair(examined: Examined) -> None:
    """Start the agent and the supervisor if they must run and do not run; replace an agent that a signal has stopped.

    The agent and the supervisor start the guard, which restarts them after a kill.
    """
    host = examined.host
    if _agent_is_needed(examined):
        client.ask(host.run, "status", ANSWER_SECONDS)  # `ask` kills an agent that SIGSTOP has stopped
        client.ensure(host.run, host.root)
    if _supervisor_is_needed(examined):
        host.runtime.keep_supervisor()
