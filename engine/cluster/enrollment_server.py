"""``python -m engine.cluster.enrollment_server``: a manager's door for hosts that want to join, a process of its own.

It holds the authority's key, so nothing else runs in it. Every connection has a thread and a deadline; what a host
may have is decided by the secret it shows, which is read from the store each time (so a rotated one ends at once).
"""

from __future__ import annotations

import hmac
import json
import socket
import ssl
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.cluster import etcd_member, keys, membership, pki
from engine.cluster.enrollment import Manager
from engine.cluster.etcd import Client
from engine.cluster.membership import open_client
from engine.cluster.model import MANAGER, WORKER, Cursor, Membership, Tokens
from engine.cluster.shared_networks import update
from engine.cluster.token import new_id
from engine.errors import EngineError
from engine.host import root_directory
from engine.store.codec import decode, encode

DEADLINE = 15.0
LIMIT = 1 << 16
AT_ONCE = 16
REFUSED = "rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster"


class Door:
    """Answers what joining hosts ask."""

    def __init__(self, root: Path) -> None:
        self.root, self.where = root, membership.directory(root)
        self.authority = (self.where / "ca.pem").read_text()

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Answer one question; whoever asks without a valid secret learns the authority's certificate only."""
        if question.get("ask") == "authority":
            return {"authority": self.authority}
        me = membership.load(self.root)
        if me is None:
            return {"error": "this host is in no cluster any more"}
        client = open_client(self.root, me)
        try:
            return self._admit(client, me, question)
        except EngineError as error:
            return {"error": str(error)}
        finally:
            client.close()

    def _admit(self, client: Client, me: Membership, question: dict[str, Any]) -> dict[str, Any]:
        found = client.get(keys.TOKENS)
        tokens = decode(Tokens, found.value) if found else Tokens("", "")
        role = role_of(tokens, str(question.get("secret", "")))
        if not role or str(question.get("role", "")) not in ("", role):
            return {"error": REFUSED}
        node = new_id()
        answer: dict[str, Any] = {"node": node, "role": role, "index": _next_index(client), "cluster": me.cluster_id}
        answer["managers"] = list(dict.fromkeys([*me.managers, str(Manager(me.address, me.port))]))
        answer |= self._papers(question, node, role)
        if me.external:
            return {**answer, **self._of_external_store(me)}
        answer |= {"external": False, "urls": list(me.urls), "user": node}
        answer["password"] = etcd_member.add_user(client, node, manager=role == MANAGER)
        if role == MANAGER:
            answer["members"] = etcd_member.add(client, node, str(question["address"]))
        return answer

    def _papers(self, question: dict[str, Any], node: str, role: str) -> dict[str, Any]:
        """The host's certificates, and the authority's key for a manager."""
        papers = {"certificate": pki.issue(self.authority, self._key(), str(question["request"]), node)}
        if role == MANAGER:
            addresses = [str(question["address"]), "127.0.0.1"]
            papers["manager_certificate"] = pki.issue(
                self.authority, self._key(), str(question["manager_request"]), pki.MANAGER_NAME, addresses
            )
            papers["authority_key"] = self._key()
        return papers

    def _of_external_store(self, me: Membership) -> dict[str, Any]:
        """What reaches a store that we don't run: the very files and credential this host was given."""
        files = {name: self.where / name for name in membership.STORE_FILES}
        texts = {name: path.read_text() for name, path in files.items() if path.exists()}
        return {"external": True, "files": texts, "urls": list(me.urls), "user": me.user, "password": me.password}

    def _key(self) -> str:
        return (self.where / "ca.key").read_text()


def role_of(tokens: Tokens, secret: str) -> str:
    """The role that a secret gives, "" for none."""
    for role, known in ((WORKER, tokens.worker), (MANAGER, tokens.manager)):
        if known and hmac.compare_digest(secret.encode(), known.encode()):
            return role
    return ""


def _next_index(client: Client) -> int:
    def step(text: str) -> str:
        cursor = decode(Cursor, text) if text else Cursor()
        return encode(replace(cursor, node=cursor.node + 1))

    return decode(Cursor, update(client, keys.CURSOR, step)).node


def serve(door: Door, listener: socket.socket, context: ssl.SSLContext) -> None:
    """Serve for ever, a bounded number of hosts at once."""
    room = threading.BoundedSemaphore(AT_ONCE)
    while True:
        connection, _ = listener.accept()
        room.acquire()
        threading.Thread(target=_serve_one, args=(door, connection, context, room), daemon=True).start()


def _serve_one(
    door: Door, connection: socket.socket, context: ssl.SSLContext, room: threading.BoundedSemaphore
) -> None:
    try:
        connection.settimeout(DEADLINE)
        with suppress(OSError, ValueError, KeyError), context.wrap_socket(connection, server_side=True) as secure:
            with secure.makefile("rb") as file:
                question = json.loads(file.readline(LIMIT))
            secure.sendall(json.dumps(door.answer(question)).encode() + b"\n")
    finally:
        connection.close()
        room.release()


def main() -> int:
    """Serve the host of HAWSE_ROOT until killed."""
    root = root_directory()
    me = membership.load(root)
    if me is None:
        return 1
    door = Door(root)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(door.where / "manager.pem", door.where / "manager.key")
    family = socket.AF_INET6 if ":" in me.address else socket.AF_INET
    with socket.create_server((me.address, me.port), family=family) as listener:
        serve(door, listener, context)
    return 0


if __name__ == "__main__":
    sys.exit(main())
