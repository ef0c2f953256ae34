"""``python -m engine.agentd``: run the agent of the host given by HAWSE_ROOT and HAWSE_RUN, in the foreground.

If another agent already runs for this host, the process ends. If the process is a systemd unit, it waits for the end of
the other agent instead. The process reads these environment variables:

- HAWSE_AGENT_IDLE: seconds without work after which the agent ends.
- HAWSE_DNS_TTL: seconds for which a client may cache a name (the TTL of DNS answers).
- HAWSE_AGENT_READY: a file descriptor to which the agent writes one byte when the agent listens.
- HAWSE_AGENT_LOCK: a file descriptor of the agent's lock file, which the starting process has already locked.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket

from drivers.linux import libnftables
from engine.agent import client
from engine.agentd.agent import IDLE_SECONDS, Agent
from engine.agentd.backup import BackupService
from engine.agentd.cluster.service import ClusterService
from engine.agentd.links import LinkService
from engine.agentd.own_files import OwnFiles
from engine.agentd.rejoin import RejoinService
from engine.agentd.repair import RepairService
from engine.agentd.unit import Unit
from engine.config import load_config
from engine.dns.server import DnsService, ttl_from_environment
from engine.errors import EngineError, PermissionDenied
from engine.eventloop.descriptor_budget import DescriptorBudget, raise_descriptor_limit
from engine.eventloop.inotify import Inotify
from engine.eventloop.loop import Loop
from engine.eventloop.netns import home
from engine.host import callback
from engine.paths import make_private_directory, root_directory, run_directory
from engine.portproxy.holder import HoldService
from engine.portproxy.service import ForwardService
from engine.recovery.link_repair import LinkRepair
from engine.runtime import attributes, cgroup, guarded, resident
from engine.store.api import Store
from engine.store.record_cache import RecordCache
from engine.store.sqlite import SqliteStore
from engine.store.store_file import NAME

BUSY_SECONDS = 1.0
"""Seconds that a repair waits for a command that holds the write lock of the local store."""
GC_OBJECTS = 50_000
"""The number of new objects after which Python looks for garbage. Each change of the store makes thousands of objects
on a host with many containers, and hardly any garbage.
"""
M_ARENA_MAX = -8  # the option of mallopt(3)
YIELD_SECONDS = 3.0
"""Seconds in which a command of a newer version can start its agent, after the firewall's table has become newer.

Without such a command, a program has loaded a saved table (nft -f). A new agent of the installed version then starts,
and replaces that table at its first comparison.
"""


def main() -> int:
    """Run the agent until a signal ends it or no service needs it; return the exit code.

    Returns 0 at once if another agent runs. Returns 1 if HAWSE_ROOT or HAWSE_RUN cannot be used.
    """
    try:
        run_dir, root = run_directory(), root_directory()
    except PermissionDenied as error:
        print(f"hawse: {error}", file=sys.stderr)
        return 1
    make_private_directory(run_dir)
    unit = Unit()
    inherited = _inherited_descriptor("HAWSE_AGENT_LOCK")
    lock = inherited if inherited >= 0 else unit.take_lock(run_dir)
    if lock is None:
        return 0
    claimed = resident.claim(str(run_dir), client.SOCKET)
    if claimed is None:
        return 0
    resident.sign(lock)
    if not unit.runs_this_process:
        cgroup.leave()
        attributes.become_service()
    agent = _run(root, run_dir, lock, claimed, unit)
    if unit.runs_this_process or not agent.signalled:
        guarded.forget(str(run_dir), guarded.AGENT)
    os.close(lock)
    if agent.superseded and not unit.runs_this_process:
        claimed.close()
        time.sleep(YIELD_SECONDS)
        client.launch(run_dir, root)
    elif agent.overlooks():
        client.launch(run_dir, root)
    return 0


def _run(root: Path, run_dir: Path, lock: int, claimed: socket, unit: Unit) -> Agent:
    """Listen for commands, run the agent until its end, and return it.

    ``lock`` is the descriptor of the agent's lock file. The other arguments are those of `serving`.
    """
    store = SqliteStore(root / NAME, recall=RecordCache())
    listener = socket(AF_UNIX, SOCK_STREAM)
    resident.listen(listener, str(run_dir), client.SOCKET)
    residence = resident.Residence(str(run_dir), (client.LOCK, client.SOCKET), lock, listener)
    guarded.save(str(run_dir), guarded.AGENT, str(run_dir / client.LOG))
    agent = serving(root, run_dir, store, residence, claimed, unit)
    # Report readiness before `run`. A command waits for this report only for a limited time. With many sandboxes, the
    # first update of the services in `run` takes longer.
    _tell_ready()
    _collect_rarely()
    agent.run()
    return agent


def _collect_rarely() -> None:
    """Reduce the time that Python spends on garbage collection of this process.

    All present objects are excluded from collection. From now on, collections are less frequent.
    """
    gc.freeze()
    gc.set_threshold(GC_OBJECTS)


def _share_heap() -> None:
    """Let all threads of this process share one heap of the C library; does nothing if the library is not glibc.

    By default, glibc gives up to eight threads for each processor a heap of their own. Each heap then keeps memory for
    the largest buffers that its threads have used. Because Python runs one thread at a time, one heap is as fast.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def serving(
    root: Path, run_dir: Path, store: Store, residence: resident.Residence, claimed: socket, unit: Unit
) -> Agent:
    """Create the agent with all its services.

    ``residence`` has the socket on which the agent answers commands. ``claimed`` is a listening socket at an abstract
    address. The agent keeps it open, because it prevents the start of a second agent. ``unit`` is the systemd unit of
    this process.
    """
    _share_heap()
    home()
    libnftables.reserve_fds()  # reserve low descriptor numbers for libnftables before the agent opens many sockets
    budget = DescriptorBudget(raise_descriptor_limit())
    loop = Loop()
    inotify = Inotify(loop)
    config = load_config()
    cluster = ClusterService(loop, root, run_dir, heals)
    forward = ForwardService(budget)
    threads_store = SqliteStore(root / NAME, busy_seconds=BUSY_SECONDS)
    repair = RepairService(loop, threads_store, forward.ports, run_dir, heals)
    dns = DnsService(loop, inotify, budget, ttl=ttl_from_environment(), dns=config.dns, options=config.dns_opts)
    link_repair = LinkRepair(threads_store, run_dir, cluster.verify, dns.redirected)
    links = LinkService(loop, inotify, link_repair, heals)
    rejoin = RejoinService(loop, inotify, lambda: execute(*callback(root, run_dir, "__rejoin")))
    hold = HoldService(budget.held_ports)
    agent = Agent(
        loop, store, (cluster, dns, hold, forward), residence.listener,
        later=(repair, links, rejoin, BackupService(loop, root / NAME)),
        idle=resident.idle_seconds("HAWSE_AGENT_IDLE", IDLE_SECONDS),
        guarded=guarded.Guarded(loop, str(run_dir), guarded.AGENT, str(run_dir / client.LOG)),
        stays=unit.runs_this_process,
        extend=cluster.extend,
        warnings=lambda: [*repair.fights(), *links.fights()],
    )  # fmt: skip
    unit.keep_watchdog_quiet(loop)
    loop.watch(claimed.fileno(), lambda _: resident.close_probe(claimed))
    OwnFiles(loop, inotify, residence, agent.move, agent.needed)
    cluster.changed = repair.changed = agent.reconcile
    repair.leave = agent.leave
    return agent


def heals() -> bool:
    """Return whether daemon.json lets the agent repair kernel state; True if the file is invalid."""
    try:
        return load_config().heal
    except EngineError:
        return True


def execute(argv: list[str], environment: dict[str, str]) -> None:
    """Run the program ``argv`` as a detached process in its own session; does not wait for it.

    ``environment`` has the process's environment variables. The process is no child of the agent. It writes to the
    agent's log. A failed start is ignored.
    """
    null = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
    shell = ["/bin/sh", "-c", '"$@" &', "sh", *argv]
    with suppress(OSError):
        os.waitpid(os.posix_spawn(shell[0], shell, environment, file_actions=null, setsid=True), 0)


def _inherited_descriptor(variable: str) -> int:
    """Return the file descriptor number in the environment variable ``variable``, and remove the variable.

    Returns -1 if the variable is unset or is no number. Child processes do not inherit the descriptor.
    """
    number = os.environ.pop(variable, "")
    if not number.isdigit():
        return -1
    os.set_inheritable(int(number), False)
    return int(number)


def _tell_ready() -> None:
    """Report to the starting process that the agent listens; does nothing if HAWSE_AGENT_READY is not set."""
    ready_fd = _inherited_descriptor("HAWSE_AGENT_READY")
    if ready_fd >= 0:
        with suppress(OSError):  # ignore the error: the starting process may have stopped waiting
            os.write(ready_fd, b"!")
        os.close(ready_fd)


if __name__ == "__main__":
    sys.exit(main())
