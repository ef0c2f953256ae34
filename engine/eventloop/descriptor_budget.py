"""Decide how many file descriptors each service of the agent may open for its clients.

All quotas together are smaller than the process limit. Therefore clients of one service cannot use up the descriptors
of another service. The rest of the limit is for other descriptors: seven for each sandbox, and those of the local store
and the cluster service.
"""

from __future__ import annotations

import resource

from engine.eventloop.quota import Quota

DESCRIPTORS_LIMIT = 131072  # `raise_descriptor_limit` tries to raise the hard limit to at least this number
MOST_CONNECTIONS, MOST_FLOWS, MOST_QUERIES, MOST_STREAMS, MOST_HELD_PORTS = 16384, 8192, 8192, 2048, 8192


class DescriptorBudget:
    """The quotas of a process for TCP connections, UDP flows and DNS queries.

    ``descriptors`` is the number of file descriptors that the process may open.
    """

    def __init__(self, descriptors: int) -> None:
        self.connections = Quota(min(MOST_CONNECTIONS, descriptors // 4))
        """Maximum number of TCP connections through the port proxy; each connection uses two descriptors."""
        self.flows = Quota(min(MOST_FLOWS, descriptors // 8))
        """Maximum number of UDP clients of the port proxy."""
        self.queries = Quota(min(MOST_QUERIES, descriptors // 16))
        """Maximum number of DNS queries that wait for an upstream server."""
        self.streams = Quota(min(MOST_STREAMS, descriptors // 32))
        """Maximum number of TCP clients of the DNS resolvers."""
        self.held_ports = min(MOST_HELD_PORTS, descriptors // 16)
        """Maximum number of published ports that the agent reserves on the host by binding a socket to each."""


def raise_descriptor_limit() -> int:
    """Raise the file descriptor limit of this process as far as possible, and return the new soft limit.

    The function tries to raise the hard limit to at least `DESCRIPTORS_LIMIT`. If the kernel refuses a higher hard
    limit, the function raises only the soft limit, up to the present hard limit.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (max(hard, DESCRIPTORS_LIMIT), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        except (ValueError, OSError):
            continue
        return limit
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
