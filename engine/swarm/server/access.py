"""Find the node that a certificate names, and run the requests that the node's role allows."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.cluster import keys, node_operations
from engine.cluster.etcd import Client
from engine.cluster.etcd.http import Json
from engine.cluster.keys import LAYOUT
from engine.cluster.model import MANAGER, AdmittedHost
from engine.cluster.shared_endpoints import REMOVED
from engine.errors import Forbidden, InvalidArgument, Unavailable
from engine.store.codec import decode
from engine.swarm.server import admission, store_calls

STORE = "/v3/"
MISSHAPEN = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""The exceptions that can occur while a malformed request is read (`well_formed`)."""
OTHER_LAYOUT = "the manager's hawse keeps the cluster's records in another way than this host's: use the same version"


@contextmanager
def well_formed() -> Iterator[None]:
    """Raise InvalidArgument if the ``with`` block fails because the request is malformed."""
    try:
        yield
    except MISSHAPEN as error:
        raise InvalidArgument(f"the request is not as it should be: {error}") from error


def node_of(certificate: Mapping[str, Any] | None) -> str:
    """Return the id of the node that a verified certificate names, or "" if the certificate names no node.

    ``certificate`` is the result of `ssl.SSLSocket.getpeercert`; None also gives "".
    """
    subject = (certificate or {}).get("subject", ())
    return next((str(value) for part in subject for name, value in part if name == "serialNumber"), "")


def expiry_of(certificate: Mapping[str, Any] | None) -> float:
    """Return the time when a certificate expires, in seconds since 1970; raises KeyError if ``certificate`` is None.

    ``certificate`` is the result of `ssl.SSLSocket.getpeercert`.
    """
    return float(ssl.cert_time_to_seconds(str((certificate or {})["notAfter"])))


def member_of(client: Client, node: str) -> AdmittedHost:
    """Return the admission record of the node with the id ``node``.

    Raises Unavailable if the node was removed, even if its certificate is still valid.
    """
    entry = client.get(keys.member(node))
    if entry is None:
        raise Unavailable(REMOVED)
    return decode(AdmittedHost, entry.value)


def check_layout(layout: str) -> None:
    """Check that another host uses the same layout of the keys in etcd as this host; raises Unavailable if not.

    ``layout`` is the number of the layout (`keys.LAYOUT`) that the other host has sent, as text.
    """
    if layout != str(LAYOUT):
        raise Unavailable(OTHER_LAYOUT)


def answer(root: Path, client: Client, member: AdmittedHost, path: str, body: Json) -> bytes:
    """Run the request ``body`` of a cluster host; return the answer as JSON bytes.

    ``path`` is the request's URL path. ``member`` is the host's admission record, which has the host's role. Raises
    InvalidArgument for a malformed request, and Forbidden for a request that the role does not allow.
    """
    act = (
        node_operations.ACTS.get(path.removeprefix(node_operations.PATH))
        if path.startswith(node_operations.PATH)
        else None
    )
    with well_formed():
        if act is not None:
            return json.dumps(act(client, member, body)).encode()
        if path == node_operations.CERTIFICATE:
            return json.dumps(admission.renew(root, member, body)).encode()
        if path == store_calls.RANGE and member.role != MANAGER:
            return client.fetch(path, store_calls.checked_range(body))
    if path.startswith(STORE) and member.role == MANAGER:
        return client.fetch(path, body)
    raise Forbidden(f"a worker may not ask for {path[:64]}")


def watch_request(member: AdmittedHost, body: Json) -> Json:
    """Return the watch request that the server sends to etcd for a cluster host; ``body`` is the host's own request.

    A manager's request is unchanged. A worker's request keeps only the allowed fields. Raises InvalidArgument for a
    malformed request, and Forbidden for keys that a worker is not allowed to watch.
    """
    with well_formed():
        return body if member.role == MANAGER else store_calls.checked_watch(body)
