"""Docker's error message for a manager that leaves its cluster: the cluster may lose its quorum."""

from __future__ import annotations

from engine.cluster import keys, record_checks
from engine.cluster.etcd import Client
from engine.cluster.model import MANAGER

ATTEMPT = "You are attempting to leave the swarm on a node that is participating as a manager. "
LAST = "Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message. "
RESTORE = (
    "The only way to restore a swarm that has lost consensus is to reinitialize it with `--force-new-cluster`. "
    "Use `--force` to suppress this message."
)
NEW_CLUSTER = (
    "hawse has no --force-new-cluster. After the loss of the quorum: hawse swarm leave --force on all hosts, "
    "then hawse swarm init on one and hawse swarm join on the others"
)


def managers(client: Client) -> tuple[int, int]:
    """Return the number of managers that have a lease (are reachable), and the number of managers without a lease."""
    nodes = record_checks.all_readable(client.range(keys.NODES)[0], record_checks.read_node)
    alive = {kv.key.removeprefix(keys.ALIVE) for kv in client.range(keys.ALIVE)[0]}
    reachable = [n.id in alive for n in nodes if n.role == MANAGER]
    return sum(reachable), len(reachable) - sum(reachable)


def warning(reachable: int, unreachable: int) -> str:
    """Return Docker's error message for a manager that leaves without ``--force``.

    The text depends on the numbers of reachable and unreachable managers.
    """
    if (reachable, unreachable) == (1, 0):
        return ATTEMPT + LAST
    if not reachable or reachable - 2 > unreachable:
        return ATTEMPT + RESTORE
    left = f"Removing this node leaves {reachable - 1} managers out of {reachable + unreachable}. "
    return ATTEMPT + left + "Without a Raft quorum your swarm will be inaccessible. " + RESTORE


def hint(text: str) -> str:
    """Return a hint on how to restore a swarm without ``--force-new-cluster``, an option that hawse does not have.

    Returns "" if the message ``text`` does not name this option.
    """
    return NEW_CLUSTER if RESTORE in text else ""
