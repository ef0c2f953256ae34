"""``python -m cli.warm``: run the warm server of the directory HAWSE_RUN in the foreground.

The server exits immediately if the directory already has a running server. Every HAWSE_WARM_IDLE seconds (default 600),
the server checks whether it is idle. It exits if no command has come since the last check, and no command is running.
"""

from __future__ import annotations

import gc
import sys

from cli.warm import prefault, preload, socket
from cli.warm.server import WarmServer
from engine.errors import PermissionDenied
from engine.eventloop.inotify import Inotify
from engine.eventloop.loop import Loop
from engine.runtime import attributes, cgroup, guarded, resident, syscalls

IDLE_SECONDS = 600.0
GC_OBJECTS = 100_000
"""The number of new objects after which Python looks for garbage. Commands end soon, so looking often only costs time:
``ps`` with 1,000 containers makes 200,000 objects.
"""


def main() -> None:
    """Run the warm server until no command comes for a time, or until hawse's files change.

    The time is HAWSE_WARM_IDLE in seconds (default 600). If another process holds the lock of the warm server, return
    immediately.
    """
    try:
        lock = socket.lock()
    except PermissionDenied as error:
        sys.exit(f"hawse: {error}")
    if lock is not None:
        serve(lock)


def serve(lock: int) -> None:
    """Import the modules that most commands need, then accept commands; ``lock`` is the descriptor of the lock."""
    if not guarded.is_run_by_systemd():
        cgroup.leave()
        attributes.become_service()
    loop = Loop()
    inotify = Inotify(loop)
    server = WarmServer(loop, inotify, resident.idle_seconds("HAWSE_WARM_IDLE", IDLE_SECONDS))
    preload.watch(inotify, server.leave)
    preload.import_all()

    if unshare_network():
        prefault.create_scratch_host()
    gc.collect()
    gc.set_threshold(GC_OBJECTS)
    gc.freeze()  # exclude all present objects from garbage collection, so that children do not scan them
    server.run(socket.listen(lock))
    prefault.forget()


def unshare_network() -> bool:
    """Move this process to a new, empty network namespace; return whether the move succeeded.

    Without the move, the idle server would stay in the network namespace in which it was started. The kernel would then
    keep this namespace even after a user has removed it.
    """
    try:
        syscalls.unshare(syscalls.CLONE_NEWNET)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
