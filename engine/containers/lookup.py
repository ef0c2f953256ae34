"""Find a container by the name or id that the user typed, and determine its actual state."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from drivers.linux import host as linux_host
from drivers.linux import process
from engine import names
from engine.containers import adopted, restart_policy
from engine.errors import Conflict
from engine.golang import timestamps
from engine.host import Host
from engine.model import ContainerRecord, NetworkRecord
from engine.names import parse_link, shared_container
from engine.runtime.adopted_namespace import still_exists
from engine.runtime.api import ProcessState
from engine.runtime.process import LOST
from engine.store.api import Reader


def find(reader: Reader, reference: str) -> ContainerRecord:
    """Return the container with this name, id or unique id prefix.

    The reference may also be a network namespace (see `matches`), or a link such as "web/db" (see `linked`). Raises
    NotFound if no container matches, and InvalidArgument if several containers match. The error texts are Docker's.
    """
    return names.pick_container(matches(reader, reference) or linked(reader, reference), reference)


def matches(reader: Reader, reference: str) -> list[ContainerRecord]:
    """Return the containers that a reference may mean, found by name, id or id prefix.

    If there are none, the reference may be a network namespace: ``netns:NAME``, ``pid:N`` or a name of `ip netns`. The
    result is then the container of this namespace (`adopted.find`).
    """
    return reader.find_containers(reference) or adopted.find(reader, reference)


def linked(reader: Reader, reference: str) -> list[ContainerRecord]:
    """Return the target container of a link on the default bridge as a list, or [] if there is no such link.

    The reference "web/db" means the target of the link ``db`` of the container ``web``.
    """
    name, slash, alias = reference.removeprefix("/").partition("/")
    if not (slash and name and alias):
        return []
    known = [
        parse_link(text)
        for parent in reader.find_containers(name)
        if parent.host.network_mode == "bridge" and parent.name == name
        for text in parent.host.links or ()
    ]
    return [target for name, known_as in known if known_as == alias for target in reader.find_containers(name)[:1]]


def order_hint(host: Host, first: str, second: str, command: str) -> str:
    """Return a hint on the order of the arguments of a command, or "" if the order may be right.

    Used if no container has the name ``second``. The order is wrong if a network has the name ``second``, and no
    network matches ``first``. ``command`` is the command, such as "network connect".
    """
    with host.store.read() as reader:
        is_network = any(network.name == second for network in reader.find_networks(second))
        is_wrong = is_network and not reader.find_networks(first)
    return f"{second} is a network. The network comes first: hawse {command} NETWORK CONTAINER" if is_wrong else ""


def resolve(host: Host, reference: str) -> ContainerRecord:
    """Return the container with this name, id or unique id prefix, found in a new snapshot of the store.

    The reference may also have the other forms that `find` accepts. Raises the same errors as `find`.
    """
    with host.store.read() as reader:
        return find(reader, reference)


def resolve_own(host: Host, reference: str) -> ContainerRecord:
    """Return the container with this name, id or unique id prefix, if hawse created the container.

    Accepts the same references and raises the same errors as `find`. Also raises Conflict for an adopted namespace. For
    such a namespace, hawse runs no process and keeps no log.
    """
    record = resolve(host, reference)
    if record.kind == "adopted":
        raise Conflict(
            f"{record.name} is a network namespace that hawse did not start: it has no process, log or terminal here "
            "(network disconnect takes it out of a network)"
        )
    return record


def network(host: Host, reference: str) -> NetworkRecord:
    """Return the network with this name, id or id prefix.

    Raises NotFound, or InvalidArgument if more than one network has the prefix.
    """
    with host.store.read() as reader:
        return names.pick_network(reader.find_networks(reference), reference)


def sandbox_owner(reader: Reader, record: ContainerRecord) -> ContainerRecord | None:
    """Return the container that owns the sandbox which ``record`` uses, or None if the owner does not exist.

    The result is ``record`` itself, or the last container in a chain of ``container:`` network modes. If the chain
    leads back to itself, the result is None. Such a chain is possible: a network mode may name a container that was
    created later.
    """
    passed: set[str] = set()
    while joined := shared_container(record.host.network_mode):
        passed.add(record.id)
        found = matches(reader, joined)
        if len(found) != 1 or found[0].id in passed:
            return None
        record = found[0]
    return record


def with_actual_state(host: Host, record: ContainerRecord) -> ContainerRecord:
    """Return the record with the actual state of the container's process.

    If the process has ended, the returned record says so, even if no command has recorded the end yet.
    """
    if record.status != "running" or is_alive(record):
        return record
    if record.kind == "adopted":
        if ran_before_boot(record):
            return lost(record)
        return replace(record, status="exited", pid=0, finished_at=timestamps.from_seconds(adopted.ended_at(record)))
    state = host.runtime.state(record.id)
    if state.running:
        return record
    if not state.finished_at:  # the runtime has no end time: another command may have recorded the end in the store
        with host.store.read() as reader:
            current = reader.container(record.id)
        if current is not None and current.status != "running":
            return current
        ended = lost(record)
        return ended if ran_before_boot(record) else restart_policy.after_end(ended)
    ended = replace(with_end(record, state), stopped_by_user=record.stopped_by_user or state.stopped)
    return restart_policy.after_end(ended, restart_requested=state.restart)


def is_running(host: Host, record: ContainerRecord) -> bool:
    """Return whether the container's process really runs now, whatever status its record has (`with_actual_state`)."""
    return with_actual_state(host, record).status == "running"


def keep_supervisor(host: Host, records: Iterable[ContainerRecord]) -> None:
    """Start a supervisor if one of these containers runs and this host has no supervisor.

    The supervisor copies the output of containers. The call costs less than 0.1 ms while a supervisor runs.
    """
    if any(record.status == "running" and record.kind == "process" for record in records):
        host.runtime.keep_supervisor()


def ran_before_boot(record: ContainerRecord) -> bool:
    """Return whether a container's last run began before the machine booted; the boot has ended such a run."""
    return timestamps.to_seconds(record.started_at) < linux_host.boot_time()


def with_end(record: ContainerRecord, state: ProcessState) -> ContainerRecord:
    """Return the record with the exit code, the end time and the OOM flag of ``state``, which the runtime observed."""
    finished_at = timestamps.from_seconds(state.finished_at)
    return replace(record, exit_code=state.exit_code, oom_killed=state.oom_killed, finished_at=finished_at)


def lost(record: ContainerRecord) -> ContainerRecord:
    """Return the record of a container that ended unobserved, with status "exited" and exit code `LOST` (255).

    The recorded end is the time of the boot if the run began before the boot, else the present time. A container's
    record without a pid comes from a shutdown (`engine.recovery.shutdown`), which has already recorded the exit code
    and the end. These two values are kept.
    """
    ended = replace(record, status="exited", pid=0)
    if record.kind == "process" and not record.pid:
        return ended
    end = timestamps.from_seconds(linux_host.boot_time()) if ran_before_boot(record) else timestamps.now()
    return replace(ended, exit_code=LOST, finished_at=end)


def check_not_restarting(record: ContainerRecord) -> None:
    """Check that the container does not wait for an automatic restart; raises Conflict if it does.

    A container that waits for a restart has no process and no sandbox.
    """
    if record.status == "restarting":
        raise Conflict(f"Container {record.id} is restarting, wait until the container is running")


def is_alive(record: ContainerRecord) -> bool:
    """Return whether a container's process still runs.

    For an adopted namespace, returns whether the namespace still exists. Returns False for a new process with the same
    pid, and for a new namespace at the same path.
    """
    if record.kind == "adopted":
        return still_exists(record)
    return record.status == "running" and process.is_running(record.pid, record.pid_start)
