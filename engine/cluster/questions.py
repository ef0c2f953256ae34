"""Questions of ``hawse trace`` from one host to another, and the answers. Both travel through the etcd store.

The asking host writes a question below ``shared/``, where the agent of the asked host sees it. The answer goes to a key
that only managers read, and from there to the asking host alone. Question and answer have one lease of a few seconds. A
host can ask only about endpoints of networks on which it has an endpoint itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from engine.cluster import keys, record_checks
from engine.cluster.etcd import Client, EtcdUnavailable, present, put
from engine.cluster.etcd.http import Json
from engine.cluster.model import AdmittedHost, Question, new_id
from engine.errors import EngineError, Forbidden, InvalidArgument, NotFound, Unavailable
from engine.store.codec import decode, encode

WAIT_SECONDS = 3.0
"""Seconds for which a manager waits for an answer on behalf of the asking host."""
LEASE_SECONDS = 5
OPEN_LIMIT = 8
"""Maximum number of unanswered questions that one host may have asked."""
LONGEST_ANSWER = 16 << 10
"""Maximum number of characters of an answer."""


def ask(client: Client, member: AdmittedHost, arguments: Mapping[str, Any]) -> Json:
    """Send a question of ``hawse trace`` from the host ``member`` to another host; return ``{"answer": text}``.

    The argument ``question`` is the question's record (`Question`) as text. The record names the asked host and two
    endpoints: the source on ``member``, and the target on the asked host. Blocks up to `WAIT_SECONDS`. If no answer
    arrives in this time, the answer's text is "". Raises NotFound if one of the endpoints is not in the etcd store.
    Raises Unavailable if ``member`` has too many open questions.
    """
    requested = decode(Question, str(arguments["question"]))
    question = record_checks.check_question(replace(requested, id=new_id(), asker=member.id, lease=0))
    if client.count(keys.questions(member.id)) >= OPEN_LIMIT:
        raise Unavailable("this host has too many open questions to other hosts")
    source = keys.endpoint(question.network_id, member.id, question.source)
    target = keys.endpoint(question.network_id, question.node, question.target)
    lease = client.grant(LEASE_SECONDS)
    try:
        key = keys.question(member.id, question.node, question.id)
        written = put(key, encode(replace(question, lease=lease)), lease)
        if not client.transact([present(source), present(target)], [written]).succeeded:
            raise NotFound("the two endpoints of the question are not in the cluster's store")
        return {"answer": _awaited(client, keys.answer(question.id))}
    finally:
        with suppress(EngineError):  # ignore the error: the lease expires by itself
            client.revoke(lease)


def _awaited(client: Client, key: str) -> str:
    """Return the value of an etcd key as soon as it exists, or "" after `WAIT_SECONDS`."""
    pairs, revision = client.range(key, prefix=False)
    if pairs:
        return pairs[0].value
    with suppress(EtcdUnavailable):
        for _, events in client.watch(key, revision + 1, WAIT_SECONDS):
            for event in events:
                return "" if event.deleted else event.value
    return ""


def answer(client: Client, member: AdmittedHost, arguments: Mapping[str, Any]) -> Json:
    """Write the answer of the host ``member`` to a question; does nothing if the question is not open any more.

    The arguments ``question`` (the question's record) and ``answer`` are texts. Returns {}. Raises Forbidden if another
    host was asked, and InvalidArgument if the answer is too long.
    """
    answered = record_checks.check_question(decode(Question, str(arguments["question"])))
    text = str(arguments["answer"])
    if len(text) > LONGEST_ANSWER:
        raise InvalidArgument("the answer is too long")
    if answered.node != member.id:
        raise Forbidden("the question is for another host")
    key = keys.question(answered.asker, member.id, answered.id)
    entry = client.get(key)
    if entry is not None:
        question = record_checks.read_question(entry.key, entry.value)
        client.transact([present(key)], [put(keys.answer(question.id), text, question.lease)])
    return {}
