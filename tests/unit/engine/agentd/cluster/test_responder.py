"""The agent's thread that answers questions of other hosts starts few processes, and ends a slow process."""

import sys
import time
from contextlib import contextmanager

import pytest

from engine.agentd.cluster import responder
from engine.agentd.cluster.responder import WAITING_LIMIT, QuestionResponder
from engine.cluster import keys
from engine.cluster.etcd import KeyValue
from engine.cluster.model import ClusterMembership, Question
from engine.errors import Unavailable
from engine.store.codec import encode
from tests.conftest import loaded, until

OWN = ClusterMembership("c", "here", "manager", "192.0.2.1", "192.0.2.1")
QUESTION = Question("here", "net", "e1", "e2", "tcp", 80, 4, "q", "asker", 1)
RECORD = "import sys, os, time; print(sys.stdin.read(), file=open(sys.argv[1], 'a')); time.sleep(float(sys.argv[2]))"


def entry(question=QUESTION, value=None):
    return KeyValue(keys.question("asker", question.node, question.id), value or encode(question))


@contextmanager
def responding(log, seconds):
    def unavailable():
        raise Unavailable("no store")

    made = QuestionResponder(unavailable, OWN, ([sys.executable, "-SIc", RECORD, str(log), str(seconds)], {}))
    made.start()
    yield made
    made.stop()


def asked(log):
    return log.read_text().splitlines() if log.exists() else []


def test_only_valid_questions_for_this_host_are_answered_and_only_a_few_wait(tmp_path):
    with responding(log := tmp_path / "log", 0.2) as made:
        made.queue(entry(Question("there", "net", "e1", "e2", "tcp", 80, 4, "q", "asker", 1)))
        for value in ("{", "null", "[" * 100_000, encode(QUESTION).replace("tcp", "sctp"), encode(OWN)):
            made.queue(entry(value=value))
        began = time.monotonic()
        for _ in range(1000):
            made.queue(entry())
        assert time.monotonic() - began < loaded(1)
        until(lambda: len(asked(log)) >= WAITING_LIMIT)
        time.sleep(1)
        assert set(asked(log)) == {encode(QUESTION)}
        assert len(asked(log)) <= WAITING_LIMIT + 1


def test_a_process_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(responder, "CHECKING_TIMEOUT_SECONDS", 0.5)
    with responding(log := tmp_path / "log", 3600) as made:
        made.queue(entry())
        until(lambda: len(asked(log)) == 1)
        made.queue(entry())
        until(lambda: len(asked(log)) == 2, 5)


class Connection:
    """A double of etcd's client that counts its closes."""

    closed = 0

    def close(self):
        self.closed += 1


@pytest.mark.parametrize("error", [Unavailable("the store is down"), KeyError("x")])
def test_the_client_is_closed_after_an_error_and_at_the_end(tmp_path, monkeypatch, error):
    clients, failing = [], [error]

    def perform(*_args, **_fields):
        if failing:
            raise failing.pop()

    def opened():
        clients.append(Connection())
        return clients[-1]

    monkeypatch.setattr(responder.node_operations, "perform", perform)
    command = [sys.executable, "-SIc", "print('yes')"], {}
    made = QuestionResponder(opened, OWN, command)
    made.start()
    made.queue(entry())
    until(lambda: [c.closed for c in clients] == [1])
    made.queue(entry())
    until(lambda: len(clients) == 2)
    made.stop()
    until(lambda: [c.closed for c in clients] == [1, 1])
