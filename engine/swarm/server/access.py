"""Who a certificate is of, and what its host may ask for."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.cluster import keys, node_operations
from engine.cluster.etcd import Client
from engine.cluster.keys import LAYOUT
from engine.cluster.model import MANAGER, Member
from engine.cluster.shared_endpoints import REMOVED
from engine.errors import Forbidden, InvalidArgument, Unavailable
from engine.store.codec import decode
from engine.swarm.server import admission, store_calls

Json = dict[str, Any]
CERTIFICATE = node_operations.PATH + "certificate"
STORE = "/v3/"
MISSHAPEN = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What reading a request that is not as it should be ends in."""
OTHER_LAYOUT = "the manager's hawse keeps the cluster's records in another way than this host's: use the same version"


def node_of(certificate: Mapping[str, Any] | None) -> str:
    """The node that a verified certificate names; "" without one, or for one that names none."""
    subject = (certificate or {}).get("subject", ())
    return next((str(value) for part in subject for name, value in part if name == "serialNumber"), "")


def expiry_of(certificate: Mapping[str, Any] | None) -> float:
    """When a certificate ends, in seconds since 1970."""
    return float(ssl.cert_time_to_seconds(str((certificate or {})["notAfter"])))


def member_of(client: Client, node: str) -> Member:
    """What a node is a member as; raises for one that was removed, whatever certificate it has."""
    found = client.get(keys.member(node))
    if found is None:
        raise Unavailable(REMOVED)
    return decode(Member, found.value)


def check_layout(layout: str) -> None:
    """Refuse hosts of another version of hawse."""
    if layout != str(LAYOUT):
        raise Unavailable(OTHER_LAYOUT)


def answer(root: Path, client: Client, member: Member, path: str, body: Json) -> bytes:
    """Do what a member asks for, as far as it may ask for it; the answer in JSON."""
    act = (
        node_operations.ACTS.get(path.removeprefix(node_operations.PATH))
        if path.startswith(node_operations.PATH)
        else None
    )
    try:
        if act is not None:
            return json.dumps(act(client, member, body)).encode()
        if path == CERTIFICATE:
            return json.dumps(admission.renew(root, member, body)).encode()
        if path == store_calls.RANGE and member.role != MANAGER:
            return client.fetch(path, store_calls.checked_range(body))
    except MISSHAPEN as error:
        raise InvalidArgument(f"the request is not as it should be: {error}") from error
    if path.startswith(STORE) and member.role == MANAGER:
        return client.fetch(path, body)
    raise Forbidden(f"a worker may not ask for {path[:64]}")


def watch_request(member: Member, body: Json) -> Json:
    """What may be watched of what a member asks to."""
    try:
        return body if member.role == MANAGER else store_calls.checked_watch(body)
    except MISSHAPEN as error:
        raise InvalidArgument(f"the request is not as it should be: {error}") from error
