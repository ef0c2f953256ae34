"""Prepare an idle process for commands: fill caches, load libraries, and touch memory.

The warm server (a resident process that runs hawse's commands) forks a child for each command. The service of the
Docker API does the same for each request. A forked process needs time for each page of memory when it first touches the
page. For all pages together, this takes several times as long as the command itself. Therefore an idle child first runs
commands on a scratch host: a directory with the records of a host that does not exist.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from drivers import registry
from drivers.firewall.encoding import FILES, shapes
from drivers.linux import address, libnftables, link, route
from drivers.linux import rehearsal as linux_rehearsal
from drivers.linux.netlink import Session
from engine.model import ContainerRecord, EndpointRecord, ImageRecord, NetworkRecord
from engine.store.codec import prepare

VARIABLES = ("HAWSE_ROOT", "HAWSE_RUN", "HAWSE_CONFIG")


def compile_tables() -> None:
    """Fill the caches for records, drivers, netlink messages and firewall sets before their first use.

    Forked children then have filled caches. This saves 1.8 ms of CPU time in ``network connect``. Errors are ignored,
    because the real command will report them.
    """
    with suppress(Exception):
        prepare(NetworkRecord, ContainerRecord, EndpointRecord, ImageRecord)
        registry.prepare()
        linux_rehearsal.encode_all()
        for table in FILES:
            shapes(table)


def open_libraries(until: Callable[[], bool]) -> None:
    """Load the libraries that commands use, and send the first requests of a command to the kernel; changes nothing.

    ``until`` returns True when this process has got a command to run. The function then stops early. Errors are
    ignored, because the real command will report them.
    """
    with suppress(Exception):
        with Session() as opened:
            link.find(opened, "lo")
            # Read addresses here, and routes in the next line: the first netlink message of each kind costs pyroute2
            # 0.2 ms more, and the real command must not spend this time.
            address.all_addresses(opened)
            route.widest(opened)
        if not until():
            libnftables.run("")


@contextmanager
def scratch_host(directory: str) -> Iterator[None]:
    """Set HAWSE_ROOT, HAWSE_RUN and HAWSE_CONFIG to the paths of a scratch host in the ``with`` block.

    ``directory`` is the directory of the scratch host: it has the records of a host that does not exist. HAWSE_CONFIG
    names an empty file. At the end of the block, the environment variables get their previous values.
    """
    saved = {name: os.environ.get(name) for name in VARIABLES}
    os.environ.update(HAWSE_ROOT=f"{directory}/root", HAWSE_RUN=f"{directory}/run", HAWSE_CONFIG=os.devnull)
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
