"""Which of several members serves: the first that is ready, asked one after another without waiting for each in turn.

A member that is gone, cut off or stopped says nothing at all, so waiting for it would cost every command its whole
patience. Knows nothing of what readiness is; that is the caller's function.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Protocol, TypeVar

HEAD_START = 0.3
"""Seconds that a member has for itself before the next one is asked too."""


class Closable(Protocol):
    """What is raced for."""

    def close(self) -> None:
        """Give it up."""


T = TypeVar("T", bound=Closable)
Answers = SimpleQueue[tuple[str, T | Exception]]


class NobodyReady(Exception):
    """No member was ready in time; ``problems`` says why, by URL."""

    def __init__(self, problems: dict[str, Exception]) -> None:
        super().__init__("no member is ready")
        self.problems = problems


def first(urls: Sequence[str], ready: Callable[[str], T], patience: float) -> tuple[str, T]:
    """The first of ``urls`` for which ``ready`` returns within ``patience`` seconds, and what it returned.

    ``ready`` is called in threads (they inherit the calling thread's namespace); what comes too late is closed.
    Raises `NobodyReady`.
    """
    answers: Answers[T] = SimpleQueue()
    over = threading.Event()
    deadline = time.monotonic() + patience
    problems: dict[str, Exception] = {}
    waiting = list(urls)
    try:
        while len(problems) < len(urls):
            if waiting:
                _ask(waiting.pop(0), ready, answers, over)
            left = deadline - time.monotonic()
            try:
                url, outcome = answers.get(timeout=max(0.0, min(left, HEAD_START) if waiting else left))
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
    raise NobodyReady({url: problems.get(url, TimeoutError()) for url in urls})


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
