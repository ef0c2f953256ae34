"""``python -m engine.agent``: the resident agent of the host given by HAWSE_ROOT and HAWSE_RUN, in the foreground.

Ends at once where another agent serves this host already. HAWSE_AGENT_IDLE: seconds without need after which it ends.
HAWSE_DNS_TTL: seconds a name may be kept. HAWSE_AGENT_READY: a descriptor that gets one byte when the agent listens.
HAWSE_AGENT_LOCK: a descriptor of the agent's lock, which the process that starts the agent has taken for it.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from socket import socket

from drivers.firewall import nft
from engine.agent import client, place
from engine.agent.budget import Budget, raise_descriptor_limit
from engine.agent.forward import ForwardService
from engine.agent.guard import GuardService
from engine.agent.inotify import Inotify
from engine.agent.loop import Loop
from engine.agent.netns import home
from engine.agent.repair import RepairService
from engine.agent.resident import IDLE, Agent
from engine.cluster.service import ClusterService
from engine.config import load_config
from engine.dns.server import DnsService, ttl_from_environment
from engine.errors import PermissionDenied
from engine.host import root_directory, run_directory
from engine.store.api import Store
from engine.store.recall import Recall
from engine.store.sqlite import SqliteStore

BUSY_SECONDS = 1.0
"""How long a repair waits for a command that is writing to the store."""


def main() -> int:
    """Serve until nothing needs the agent; the exit code."""
    try:
        run_dir, root = run_directory(), root_directory()
    except PermissionDenied as error:
        print(f"hawse: {error}", file=sys.stderr)
        return 1
    place.prepare(str(run_dir))
    inherited = given("HAWSE_AGENT_LOCK")
    lock = inherited if inherited >= 0 else place.lock(str(run_dir))
    if lock is None:
        return 0
    store = SqliteStore(root / "hawse.db", recall=Recall())
    agent = serving(root, run_dir, store, place.listen(str(run_dir)))
    agent.reconcile()
    tell_ready()
    agent.run()
    os.close(lock)
    if agent.overlooks():
        client.launch(run_dir, root)
    return 0


def serving(root: Path, run_dir: Path, store: Store, listener: socket) -> Agent:
    """Make the agent with all its services."""
    home()
    nft.keep_places()  # a sandbox takes four descriptors and more
    budget = Budget(raise_descriptor_limit())
    loop = Loop()
    inotify = Inotify(loop)
    config = load_config()
    cluster = ClusterService(loop, root, run_dir)
    forward = ForwardService(loop, budget)
    threads_store = SqliteStore(root / "hawse.db", busy_seconds=BUSY_SECONDS)
    repair = RepairService(loop, threads_store, forward.ports)
    services = (
        cluster,
        DnsService(loop, inotify, budget, ttl=ttl_from_environment(), dns=config.dns, options=config.dns_opts),
        forward,
        repair,
        GuardService(loop, run_dir),
    )
    agent = Agent(loop, store, services, listener, idle=idle_from_environment(), extend=cluster.extend)
    cluster.changed = repair.changed = agent.reconcile
    repair.leave = loop.stop
    return agent


def given(variable: str) -> int:
    """The descriptor that an environment variable names, which no child is to have; -1 where there is none."""
    number = os.environ.pop(variable, "")
    if not number.isdigit():
        return -1
    os.set_inheritable(int(number), False)
    return int(number)


def idle_from_environment() -> float:
    """HAWSE_AGENT_IDLE in seconds."""
    try:
        return max(0.1, float(os.environ.get("HAWSE_AGENT_IDLE", "")))
    except ValueError:
        return IDLE


def tell_ready() -> None:
    """Tell whoever started the agent that it listens."""
    told = given("HAWSE_AGENT_READY")
    if told >= 0:
        with suppress(OSError):  # who started it need not wait for it
            os.write(told, b"!")
        os.close(told)


if __name__ == "__main__":
    sys.exit(main())
