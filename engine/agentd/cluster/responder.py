"""Answers the questions of other hosts (`engine.cluster.questions`) in a separate thread, one at a time.

A separate process with limited time does the checks for each question, so that no question delays the agent. The queue
is short, and the thread pauses between questions, so a host that asks too often gets no answer.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable

from engine.cluster import node_operations, record_checks
from engine.cluster.etcd import Client, KeyValue
from engine.cluster.model import ClusterMembership, Question
from engine.errors import EngineError
from engine.store.codec import encode

WAITING_LIMIT = 4
"""Maximum number of questions that wait; further questions are ignored, and the asking hosts get no answer."""
CHECKING_TIMEOUT_SECONDS = 3.0
"""Seconds after which the process that answers a question is ended."""
KILL_SECONDS = 1.0
"""Seconds between SIGTERM and SIGKILL for a process that has not answered in time."""
LONGEST_PAUSE_SECONDS = 0.5
"""Maximum pause in seconds between two questions. A shorter pause lasts as long as the last answer took."""


class QuestionResponder:
    """The thread that answers the questions of other hosts.

    ``open_client`` opens a client of the etcd store. ``command`` has the arguments and environment variables of a child
    process, which makes the checks for one question. This process reads the question from stdin, and writes the answer
    to stdout.
    """

    def __init__(
        self,
        open_client: Callable[[], Client],
        membership: ClusterMembership,
        command: tuple[list[str], dict[str, str]],
    ) -> None:
        self._open_client, self._membership = open_client, membership
        argv, environment = command
        # Remove HAWSE_WARM=use, which forbids the process to start a warm server. A warm server makes the next answer
        # ten times as fast.
        self._command = argv, {n: v for n, v in environment.items() if (n, v) != ("HAWSE_WARM", "use")}
        self._waiting: queue.Queue[Question | None] = queue.Queue(WAITING_LIMIT)
        self._client: Client | None = None
        self._ended = False

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="responder", daemon=True).start()

    def queue(self, entry: KeyValue) -> None:
        """Queue the question in ``entry``, a record of the etcd store, if it is for this host; does not wait."""
        try:
            question = record_checks.read_question(entry.key, entry.value)
            if question.node == self._membership.node_id:
                self._waiting.put_nowait(question)
        except (ValueError, RecursionError, queue.Full):
            return  # the question is malformed or the queue is full: the asking host gets no answer

    def stop(self) -> None:
        """Ask the thread to end; does not wait."""
        self._ended = True
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            return  # the queue is full: the thread ends after the present question

    def _run(self) -> None:
        while not self._ended:
            question = self._waiting.get()
            if question is None:
                continue
            began = time.monotonic()
            try:
                self._answer(question)
            except EngineError:
                self._close_client()
            except Exception:
                traceback.print_exc(file=sys.stderr)
                self._close_client()
            if not self._waiting.empty():
                time.sleep(min(time.monotonic() - began, LONGEST_PAUSE_SECONDS))
        self._close_client()

    def _answer(self, question: Question) -> None:
        text = self._checked(question)
        self._client = self._client or self._open_client()
        if text:
            encoded = encode(question)
            node_operations.perform(self._client, self._membership, "answer", question=encoded, answer=text)

    def _close_client(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None

    def _checked(self, question: Question) -> str:
        """Return the output of the process that does the checks, or "" if the process fails or takes too long."""
        argv, environment = self._command
        with subprocess.Popen(
            argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        ) as process:
            try:
                text, _ = process.communicate(encode(question), CHECKING_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                process.terminate()  # the launcher passes SIGTERM on to the process that does the checks
                threading.Timer(KILL_SECONDS, process.kill).start()
                return ""
        return text if process.returncode == 0 else ""
