"""``python -m cli.warm``: run the warm server for the host that HAWSE_RUN names, in the foreground.

The server exits immediately if another server runs for this host. HAWSE_WARM_IDLE is the number of seconds without a
command after which the server exits.
"""

from __future__ import annotations

import gc
import os
import sys

from cli.warm import prefault, preload, socket
from cli.warm.server import WarmServer
from engine.errors import PermissionDenied
from engine.eventloop.inotify import Inotify
from engine.eventloop.loop import Loop
from engine.runtime import syscalls

IDLE = 600.0


def main() -> None:
    """Run the warm server until no command has come for the idle time."""
    try:
        lock = socket.lock()
    except PermissionDenied as error:
        sys.exit(f"hawse: {error}")
    if lock is not None:
        serve(lock)


def serve(lock: int) -> None:
    """Import everything that commands need, then accept commands.

    ``lock`` is the file descriptor of the server's lock.
    """
    loop = Loop()
    inotify = Inotify(loop)
    server = WarmServer(loop, inotify, idle_from_environment())
    preload.watch(inotify, server.leave)
    preload.import_all()

    if unshare_network():
        prefault.create_scratch_host()
    gc.collect()
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


def idle_from_environment() -> float:
    """Return the idle time of HAWSE_WARM_IDLE in seconds, or the default."""
    try:
        return max(0.1, float(os.environ.get("HAWSE_WARM_IDLE", "")))
    except ValueError:
        return IDLE


if __name__ == "__main__":
    main()
