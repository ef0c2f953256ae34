"""Admit hosts to the cluster, and sign their certificates.

The secret in a host's join token decides the host's role. The tokens are read from the etcd store for each request, so
a new token is valid immediately. ``request`` is the JSON body of the host's request, and ``member`` the host's
admission record.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from ipaddress import ip_address
from itertools import chain
from pathlib import Path

from msgspec.structs import replace

from engine.cluster import keys, record_checks
from engine.cluster import membership as memberships
from engine.cluster.etcd import Client
from engine.cluster.etcd.http import Json
from engine.cluster.model import MANAGER, WORKER, AdmittedHost, ClusterMembership, Cursor, Tokens, new_id
from engine.cluster.shared_networks import update
from engine.errors import InvalidArgument
from engine.store.codec import decode, encode
from engine.swarm import certificates, etcd_member
from engine.swarm.enrollment import Manager

REFUSED = "rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster"
JOINING = 600
"""Seconds in which an admitted host must publish its node record; after that, the host's admission expires."""


def role_of(tokens: Tokens, secret: str) -> str:
    """Return the role that the secret of a join token gives, or "" if the secret is not in ``tokens``."""
    for role, known in ((WORKER, tokens.worker), (MANAGER, tokens.manager)):
        if known and hmac.compare_digest(secret.encode(), known.encode()):
            return role
    return ""


def admitted_role(client: Client, request: Json) -> str:
    """Return the role ("worker" or "manager") that a joining host gets, or "" if the host must be refused.

    The token in the request decides the role. A host is refused if the token is invalid, or if the request asks for
    another role than the token gives.
    """
    entry = client.get(keys.TOKENS)
    role = role_of(decode(Tokens, entry.value), str(request.get("secret", ""))) if entry else ""
    return role if str(request.get("role", "")) in ("", role) else ""


def admit(root: Path, client: Client, membership: ClusterMembership, request: Json, role: str) -> Json:
    """Admit a host to the cluster with ``role``; return the cluster's settings and the host's certificates.

    ``membership`` is this manager's membership. A new manager is also announced to etcd as a member. If the etcd store
    is external, the new manager gets access to this store instead.
    """
    address = str(ip_address(str(request.get("address", ""))))
    member = AdmittedHost(new_id(), role, _next_index(client))
    answer = {"node": member.id, "role": role, "index": member.index, "cluster": membership.cluster_id}
    answer |= _certificates(root, request, member, address)
    answer["managers"] = list(dict.fromkeys([*membership.managers, str(Manager(membership.address, membership.port))]))
    answer["external"] = membership.external
    client.put(keys.member(member.id), encode(member), client.grant(JOINING))
    if role == MANAGER and membership.external:
        answer |= _external_store(root, membership)
    elif role == MANAGER:
        answer["members"] = etcd_member.add(client, member.id, address)
    return answer


def _certificates(root: Path, request: Json, member: AdmittedHost, address: str) -> Json:
    """Return the certificates for a joining host and, for a manager, the authority's private key."""
    answer: Json = {**renew(root, member, request), "authority": certificates.authority(root)}
    if member.role == MANAGER:
        answer["manager_certificate"] = certificates.of_manager(root, str(request["manager_request"]), address)
        answer["authority_key"] = certificates.authority_key(root)
    return answer


def renew(root: Path, member: AdmittedHost, request: Json) -> Json:
    """Sign the certificate request of the host ``member``; return the new certificate as ``{"certificate": PEM text}``.

    The field ``request`` of the JSON body has the certificate request (PEM).
    """
    return {"certificate": certificates.of_node(root, str(request["request"]), member.id)}


def _external_store(root: Path, membership: ClusterMembership) -> Json:
    """Return the files and credentials with which a new manager accesses the user's external etcd store."""
    files = {name: memberships.directory(root) / name for name in memberships.STORE_FILES}
    texts = {name: path.read_text() for name, path in files.items() if path.exists()}
    return {"files": texts, "urls": list(membership.urls), "user": membership.user, "password": membership.password}


def _next_index(client: Client) -> int:
    """Return a node index for a new host: a number that no host has and that was not used recently."""
    used = {decode(AdmittedHost, kv.value).index for kv in client.range(keys.MEMBERS)[0]}
    used |= {n.index for n in record_checks.all_readable(client.range(keys.NODES)[0], record_checks.read_node)}

    def step(text: str) -> str:
        cursor = decode(Cursor, text) if text else Cursor()
        return encode(replace(cursor, node=next_free(cursor.node, used)))

    return decode(Cursor, update(client, keys.CURSOR, step)).node


def next_free(last: int, used: Collection[int]) -> int:
    """Return the next node index after ``last`` that is not in ``used``; after the highest index, continue from 1.

    Raises InvalidArgument if all indexes are used.
    """
    for number in chain(range(last + 1, record_checks.HIGHEST_INDEX + 1), range(1, last + 1)):
        if number not in used:
            return number
    raise InvalidArgument("the cluster has as many hosts as it can have")
