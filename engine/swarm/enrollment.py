"""Ask a manager's server to admit this host to the cluster, over TLS on port 2377 by default.

First the host fetches the authority's certificate over an unverified connection, and compares it with the digest in the
token. Then the host opens a second connection, and verifies the manager with this certificate. The host sends the
token's secret only on the second connection.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from msgspec import Struct

from drivers.scalars import socket_text
from engine.cluster.etcd.http import EtcdConnection
from engine.cluster.keys import MANAGER_NAME
from engine.cluster.node_operations import AUTHORITY, JOIN
from engine.errors import EngineError, InvalidArgument, Unavailable, reason_of
from engine.swarm.advertise import DEFAULT_PORT, split
from engine.swarm.token import JoinToken, digest_of

CONNECT_SECONDS, ENROLL_TIMEOUT_SECONDS = 5.0, 30.0
"""Two durations in seconds: to wait for a connection to a manager, and to wait for the manager's answer."""
LARGEST_BYTES = 1 << 20  # maximum bytes of a manager's answer, because the first answer comes from an unverified server
OPENING_SECONDS = 5.0
"""Seconds to wait until a manager's server accepts connections."""


class Manager(Struct, frozen=True):
    """The address at which a manager accepts requests to join."""

    host: str
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        return socket_text(self.host, self.port)


def parse_manager(text: str) -> Manager:
    """Parse ``HOST[:PORT]``, with 2377 as the default port; raises InvalidArgument if the port is not valid.

    An IPv6 address with a port needs brackets.
    """
    try:
        return Manager(*split(text))
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid remote address: {text}") from error


def enroll(manager: Manager, token: JoinToken, request: Mapping[str, Any]) -> dict[str, Any]:
    """Ask a manager for admission to the cluster; return the manager's answer.

    ``request`` has this host's address, certificate requests and wanted role. The CA's certificate is added to the
    answer as ``authority``. Raises EngineError if this certificate does not match the token. Raises InvalidArgument if
    the manager refuses the token.
    """
    unverified = ssl._create_unverified_context()
    authority = str(_ask(manager, unverified, AUTHORITY, {}).get("authority", ""))
    if digest_of(authority) != token.digest:
        raise EngineError(f"remote CA does not match fingerprint. Expected: {token.digest}")
    verified = ssl.create_default_context(cadata=authority)
    answer = _ask(manager, verified, JOIN, {"secret": token.secret, **request})
    return {**answer, "authority": authority}


def wait_until_open(manager: Manager) -> None:
    """Wait up to `OPENING_SECONDS` until a manager's server accepts connections, so that other hosts can join.

    Raises no error if the server does not accept connections in time.
    """
    deadline = time.monotonic() + OPENING_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((manager.host, manager.port), OPENING_SECONDS):
            return
        time.sleep(0.02)


def _ask(manager: Manager, context: ssl.SSLContext, path: str, question: Mapping[str, Any]) -> dict[str, Any]:
    """Post one request to a manager's server and return the answer; raises Unavailable if the connection fails.

    ``path`` is the request's URL path, and ``question`` its JSON body. The manager's certificate is checked for
    `MANAGER_NAME`, not for the manager's address.
    """
    try:
        connection = EtcdConnection(f"https://{manager}", lambda: context, CONNECT_SECONDS, MANAGER_NAME)
        try:
            connection.set_timeout(ENROLL_TIMEOUT_SECONDS)
            connection.largest = LARGEST_BYTES
            return connection.post(path, dict(question))
        finally:
            connection.close()
    except ssl.SSLCertVerificationError as error:
        raise Unavailable(_certificate_problem(error)) from error
    except OSError as error:
        raise Unavailable(
            "rpc error: code = Unavailable desc = connection error: desc = "
            f'"transport: Error while dialing: dial tcp {manager}: connect: {reason_of(error)}"'
        ) from error
    except ValueError as error:
        raise Unavailable(f"{manager} does not answer as a manager does") from error


def _certificate_problem(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in (9, 10):  # certificate not valid yet, or expired (X509_V_ERR_CERT_…)
        return f"the manager's {error.verify_message}: compare the clocks of the two hosts"
    return f"the manager's certificate is not valid: {error.verify_message}"
