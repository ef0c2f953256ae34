"""Copy the process attributes that children inherit: groups, limits, processors, priority.

A child of the warm server copies these attributes from its launcher. Every process that the command starts then has the
launcher's attributes too, except the resident processes (`engine.runtime.attributes`).
"""

from __future__ import annotations

import os
import socket
from array import array

from engine.runtime import attributes

SO_PEERGROUPS = 59
MOST_GROUPS = 256


def apply_process_attributes(launcher: int, connection: socket.socket, group: int) -> None:
    """Give this process the groups, limits, scheduling and OOM score adjustment of a launcher; raises OSError.

    - ``launcher``: the launcher's pid
    - ``connection``: the connection to the launcher, which gives the supplementary groups
    - ``group``: the launcher's effective group id
    """
    _take_groups(connection, group)
    attributes.take_limits(launcher)
    attributes.take_schedule(launcher)
    attributes.take_oom_score(launcher)


def _take_groups(connection: socket.socket, group: int) -> None:
    groups = array("I", connection.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, 4 * MOST_GROUPS)).tolist()
    if groups != os.getgroups():
        os.setgroups(groups)
    if group != os.getegid():
        os.setresgid(group, group, group)
