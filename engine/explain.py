"""Record the changes of the kernel that this process makes (``--explain``), or would make (``--dry-run``).

The changes are recorded as equivalent shell commands. In a dry run, the drivers run as always, but each change of the
kernel is only recorded (`drivers.explain.dry_run`). The operation runs on a copy of the store. Records, locks and files
of containers are in a directory of this process. No process is started, and the agent gets no message. Operations in a
cluster are refused, because they involve other hosts. Operations after a boot or a killed command are refused, because
the next command first restores the host.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from drivers.explain.dry_run import DryRunRecorder
from drivers.explain.recorder import CommandRecorder
from drivers.linux import netns, process, recording
from engine.agent.client import LOCK
from engine.api import Engine
from engine.config import load_config
from engine.core import ContainerVerbs, NetworkVerbs, Preparation
from engine.endpoints import boots
from engine.errors import Forbidden, NotImplementedByHawse
from engine.host import Host, is_clustered, orphaned_intents, require_net_admin
from engine.networks import predefined
from engine.paths import make_private_directory, open_private, root_directory, run_directory
from engine.recovery import recover
from engine.runtime.api import CreatedProcess, ProcessSpec, Runtime
from engine.runtime.local import LocalRuntime
from engine.store.sqlite import SqliteStore
from engine.store.store_file import NAME

OWN_NAMESPACE = "/proc/thread-self/ns/net"
PREFIX = "dry-run-"
"""The name of a dry run's directory is this prefix, the identity of the dry run's process, and a random suffix."""
_recorder: CommandRecorder | None = None


def start(*, dry_run: bool = False) -> None:
    """Record all changes of the kernel from now on; with ``dry_run``, the changes are only recorded and not made.

    The recorded commands are for a shell in the present network namespace of this process.
    """
    global _recorder  # noqa: PLW0603  (a process runs one command)
    _recorder = DryRunRecorder() if dry_run else CommandRecorder()
    recording.recorder = _recorder


def stop() -> Sequence[str]:
    """Stop recording, and return the recorded commands in the order of the changes."""
    commands = _recorder.commands if _recorder is not None else []
    recording.stop()
    return commands


class DryRun:
    """A dry run: the engine that `open` returns runs the operation on a copy of the store; `close` removes the copy.

    The copy is in HAWSE_RUN, where other users can create nothing. The next dry run removes the copy of a killed dry
    run.
    """

    def __init__(self) -> None:
        """Make the directory of the dry run; raises PermissionDenied without CAP_NET_ADMIN."""
        require_net_admin("change networks")
        self.root, self.run = root_directory(), run_directory()
        self._made_run = not self.run.exists()
        make_private_directory(self.run)
        _remove_abandoned(self.run)
        self.scratch = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{process.identity()}-", dir=self.run))

    def open(self) -> Engine:
        """Return the engine of the dry run.

        Raises Forbidden if the next command on this host would first restore the host. Raises NotImplementedByHawse if
        this host is in a cluster.
        """
        if is_clustered(self.root):
            raise NotImplementedByHawse("a dry run is not possible on a host in a cluster: other hosts take part")
        for directory in ("root", "run"):
            make_private_directory(self.scratch / directory)
        # The agent's lock file has the agent's pid. The engine needs the pid to find the ports that the agent holds.
        (self.scratch / "run" / LOCK).symlink_to(self.run / LOCK)
        store = self.scratch / "root" / NAME
        _copy(self.root / NAME, store)
        runtime = cast(Runtime, _Runtime(LocalRuntime(self.root, self.run)))
        host = Host(self.scratch / "root", self.scratch / "run", load_config(), SqliteStore(store), runtime)
        predefined.ensure(host)
        _require_restored(host)
        return cast(Engine, _Engine(host))

    def shown(self, text: str) -> str:
        """Return ``text`` with the real paths HAWSE_ROOT and HAWSE_RUN in place of the dry run's own directories."""
        for name, real in (("root", self.root), ("run", self.run)):
            text = text.replace(str(self.scratch / name), str(real))
        return text

    def close(self) -> None:
        """Remove the copy of the store, and HAWSE_RUN if the dry run created it; idempotent."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        if self._made_run:
            with suppress(OSError):  # if another command uses HAWSE_RUN now, the directory is not empty and remains
                self.run.rmdir()


def _remove_abandoned(run: Path) -> None:
    """Remove the directories of dry runs whose process no longer runs."""
    for directory in run.glob(f"{PREFIX}*"):
        owner = directory.name.removeprefix(PREFIX).partition("-")[0]
        if not process.is_owner_running(owner):
            shutil.rmtree(directory, ignore_errors=True)


def _copy(store: Path, copy: Path) -> None:
    """Copy the present records of a store to the new file ``copy``; does nothing if the file ``store`` is missing."""
    if not store.exists():
        return
    os.close(open_private(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL))
    uri = f"file:{quote(str(store))}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def _require_restored(host: Host) -> None:
    """Check that the next command has nothing to restore after a boot or a killed command; raises Forbidden."""
    with host.store.read() as reader:
        here = reader.has_custom_networks() or reader.has_containers()
        if here and not boots.is_of_this_boot(reader):
            raise Forbidden("a dry run is not possible before the networks are back after a boot (hawse system boot)")
        if orphaned_intents(reader.intents()):
            raise Forbidden(
                "a dry run is not possible before the work of a killed command is finished (hawse system boot)"
            )


class _Engine:
    """The operations of the engine that a dry run supports: those on networks and containers."""

    def __init__(self, host: Host) -> None:
        preparation = _Preparation(host)
        self.networks, self.containers = NetworkVerbs(preparation), ContainerVerbs(preparation)


class _Preparation(Preparation):
    def changing(self) -> Host:
        """Return the dry run's host.

        The first call also records the repairs that a real command would make first.
        """
        if not self._ready:
            recover.repair(self.host)
            self._ready = True
        return self.host


class _Runtime:
    """A runtime that reads the state of real containers, and starts and ends no process."""

    def __init__(self, real: Runtime) -> None:
        self.state, self.knows = real.state, real.knows
        self._created: dict[str, CreatedProcess] = {}

    def create(self, spec: ProcessSpec) -> CreatedProcess:
        """Return this process as the container's process, because a dry run does not start the container's process.

        If the container gets a new network namespace, the namespace is created. It ends together with this process.
        """
        pid, path = os.getpid(), spec.netns
        if path == "":
            with netns.new_netns():
                path = f"/proc/{pid}/fd/{os.open(OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)}"
        elif path == "host":
            path = f"/proc/{pid}/ns/net"
        self._created[spec.id] = CreatedProcess(pid, process.start_time(pid), path)
        return self._created[spec.id]

    def prepared(self, container_id: str) -> CreatedProcess:
        return self._created[container_id]

    def nothing(self, *_: Any, **__: Any) -> None:
        """Do nothing, because no process was started."""

    start = delete = keep_supervisor = cancel_restart = nothing
