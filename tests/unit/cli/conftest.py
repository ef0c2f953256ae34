"""The fixtures run hawse's command tree in the test process, on an engine double that only records its calls."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from cli.app import App
from cli.root import run
from engine.api import Created

NETWORK_ID = "a" * 64


class Verbs:
    """A double of one group of engine operations, such as the operations on networks.

    Each call is recorded. The engine double's ``answers`` decide the call's result: a value is returned, an error is
    raised, or a function is called.
    """

    def __init__(self, calls: list[tuple[str, tuple, dict]], answers: dict[str, Any]) -> None:
        self.calls, self.answers = calls, answers

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def call(*args: Any, **keywords: Any) -> Any:
            self.calls.append((verb, args, keywords))
            answer = self.answers.get(verb)
            answer = answer(*args, **keywords) if callable(answer) else answer
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def all_removed(references: Sequence[str], **_: Any) -> Iterator[None]:
    """Return the outcomes of a removal that succeeds for each reference."""
    return iter([None] * len(references))


class EngineDouble:
    """An engine double whose groups of operations are `Verbs`.

    The result of an operation is set as in ``engine.answers["networks"]["list"] = [...]``.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple, dict]] = []
        self.answers: dict[str, dict[str, Any]] = {
            "networks": {
                "create": Created(NETWORK_ID), "list": [], "summaries": [], "prune": [], "inspect": {"Ingress": False},
                "remove_each": all_removed,
            },
            "containers": {"remove_each": all_removed},
            "images": {},
            "system": {},
            "diagnostics": {},
        }  # fmt: skip
        for family, answers in self.answers.items():
            setattr(self, family, Verbs(self.calls, answers))

    @property
    def call(self) -> tuple[str, tuple, dict]:
        """Return the only engine call as (verb, arguments, keywords).

        The test fails if there were no calls or several.
        """
        assert len(self.calls) == 1, self.calls
        return self.calls[0]


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


class Unwritable(io.BytesIO):
    """An output whose first write fails with the error number ``problem``.

    Later writes succeed, because hawse replaces such an output by the null device.
    """

    def __init__(self, problem: int) -> None:
        super().__init__()
        self.problem = problem

    def write(self, _: Any) -> int:
        problem, self.problem = self.problem, 0
        if problem:
            raise OSError(problem, os.strerror(problem))
        return 0


@dataclass
class Result:
    code: int
    out: str
    err: str


@dataclass
class CommandLine:
    """A command line that a test can call, as in ``cli("network", "ls")``.

    ``engine`` records the engine calls of the commands. ``write_error`` is the error number with which the first write
    to stdout fails, or 0.
    """

    engine: EngineDouble = field(default_factory=EngineDouble)
    environ: dict[str, str] = field(default_factory=dict)
    terminal: bool = False
    error_terminal: bool = False
    write_error: int = 0

    def __call__(self, *argv: str, stdin: bytes | io.BytesIO = b"") -> Result:
        out, err = (Terminal() if on else io.BytesIO() for on in (self.terminal, self.error_terminal))
        out = Unwritable(self.write_error) if self.write_error else out
        app = App(
            stdin=io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin, stdout=out, stderr=err,
            environ=self.environ, open_engine=lambda: self.engine,
        )  # fmt: skip
        code = run(argv, app)
        return Result(code, out.getvalue().decode("utf-8", "surrogateescape"), err.getvalue().decode())


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    def no_terminal(_: int = 0) -> os.terminal_size:
        raise OSError

    monkeypatch.setattr(os, "get_terminal_size", no_terminal)
    return CommandLine()
