"""Finds an etcd member that is ready. Asks the first member, and soon afterwards the next members in parallel.

A member that is down, isolated or stopped does not answer. If only this member was asked, each command would wait for
the whole timeout. The caller passes the function that checks whether a member is ready.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Protocol, TypeVar

HEAD_START_SECONDS = 0.3
"""Seconds to wait for one member's answer before the next member is asked too."""


class Closable(Protocol):
    """The type of object that the function ``ready`` of `first` returns, such as a connection."""

    def close(self) -> None:
        """Close the object."""


T = TypeVar("T", bound=Closable)
Answers = SimpleQueue[tuple[str, T | Exception]]


class NobodyReady(Exception):
    """Raised if no member was ready in time; ``problems`` maps each URL to the exception of its member."""

    def __init__(self, problems: dict[str, Exception]) -> None:
        super().__init__("no member is ready")
        self.problems = problems


def first(urls: Sequence[str], ready: Callable[[str], T], timeout: float) -> tuple[str, T]:
    """Return the first URL for which ``ready`` returns within ``timeout`` seconds, and the result of ``ready``.

    ``ready`` connects to a URL, or raises an exception. It is called in threads, which inherit the calling thread's
    network namespace. A URL that is in the list twice is asked once. Results that arrive too late, or after the first
    result, are closed. Raises `NobodyReady` if no call of ``ready`` succeeds in time.
    """
    answers: Answers[T] = SimpleQueue()
    over = threading.Event()
    deadline = time.monotonic() + timeout
    problems: dict[str, Exception] = {}
    distinct = list(dict.fromkeys(urls))
    waiting = distinct.copy()
    try:
        while len(problems) < len(distinct):
            if waiting:
                _ask(waiting.pop(0), ready, answers, over)
            left = deadline - time.monotonic()
            try:
                url, outcome = answers.get(timeout=max(0.0, min(left, HEAD_START_SECONDS) if waiting else left))
            except Empty:
                if left <= 0:
                    break
                continue
            if not isinstance(outcome, Exception):
                return url, outcome
            problems[url] = outcome
    finally:
        over.set()
        _close_all(answers)
    raise NobodyReady({url: problems.get(url, TimeoutError()) for url in distinct})


def _ask(url: str, ready: Callable[[str], T], answers: Answers[T], over: threading.Event) -> None:
    def attempt() -> None:
        try:
            outcome: T | Exception = ready(url)
        except Exception as error:
            outcome = error
        answers.put((url, outcome))
        if over.is_set():
            _close_all(answers)

    threading.Thread(target=attempt, name=f"asking {url}", daemon=True).start()


def _close_all(answers: Answers[T]) -> None:
    while True:
        try:
            _, outcome = answers.get_nowait()
        except Empty:
            return
        if not isinstance(outcome, Exception):
            outcome.close()
