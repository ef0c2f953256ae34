"""``python -m engine.agent``: the resident agent of the host given by HAWSE_ROOT and HAWSE_RUN, in the foreground.

Ends at once where another agent serves this host already. HAWSE_AGENT_IDLE: seconds without need after which it ends.
HAWSE_DNS_TTL: seconds a name may be kept. HAWSE_AGENT_READY: a descriptor that gets one byte when the agent listens.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from drivers.firewall import nft
from engine.agent import place
from engine.agent.budget import Budget, raise_descriptor_limit
from engine.agent.forward import ForwardService
from engine.agent.guard import GuardService
from engine.agent.inotify import Inotify
from engine.agent.loop import Loop
from engine.agent.netns import home
from engine.agent.resident import IDLE, Agent
from engine.cluster.service import ClusterService
from engine.config import load_config
from engine.dns.server import DnsService, ttl_from_environment
from engine.errors import PermissionDenied
from engine.host import root_directory, run_directory
from engine.store.recall import Recall
from engine.store.sqlite import SqliteStore


def main() -> int:
    """Serve until nothing needs the agent; the exit code."""
    try:
        run_dir, root = str(run_directory()), root_directory()
    except PermissionDenied as error:
        print(f"hawse: {error}", file=sys.stderr)
        return 1
    place.prepare(run_dir)
    if place.lock(run_dir) is None:
        return 0
    home()
    nft.keep_places()  # a sandbox takes four descriptors and more
    budget = Budget(raise_descriptor_limit())
    loop = Loop()
    inotify = Inotify(loop)
    config = load_config()
    cluster = ClusterService(loop, root, Path(run_dir))
    services = (
        cluster,
        DnsService(loop, inotify, budget, ttl=ttl_from_environment(), dns=config.dns, options=config.dns_opts),
        ForwardService(loop, budget),
        GuardService(loop, Path(run_dir)),
    )
    store = SqliteStore(root / "hawse.db", recall=Recall())
    agent = Agent(loop, store, services, place.listen(run_dir), idle=idle_from_environment(), extend=cluster.extend)
    cluster.changed = agent.reconcile
    agent.reconcile()
    tell_ready()
    agent.run()
    return 0


def idle_from_environment() -> float:
    """HAWSE_AGENT_IDLE in seconds."""
    try:
        return max(0.1, float(os.environ.get("HAWSE_AGENT_IDLE", "")))
    except ValueError:
        return IDLE


def tell_ready() -> None:
    """Tell whoever started the agent that it listens."""
    fd = os.environ.pop("HAWSE_AGENT_READY", "")
    if fd.isdigit():
        os.write(int(fd), b"!")
        os.close(int(fd))


if __name__ == "__main__":
    sys.exit(main())
