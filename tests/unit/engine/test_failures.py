"""Failures of the system and of the runtime that the engine's methods report as engine errors."""

from __future__ import annotations

import errno
import os

import pytest

from engine.errors import EngineError, NotFound
from engine.failures import raises_engine_errors
from engine.runtime.api import RuntimeFailure


@raises_engine_errors
class Failing:
    """A class with one method, which raises a given error."""

    def act(self, error):
        raise error

    def follow(self, error):
        yield "line"
        raise error


def os_error(number, path=None):
    return OSError(number, os.strerror(number), path) if path else OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (os_error(errno.ENOSPC, "/x/y"), "write /x/y: no space left on device"),
        (os_error(errno.EDQUOT, b"/x"), "write /x: disk quota exceeded"),
        (os_error(errno.ENOSPC), "no space left on device"),
        (os_error(errno.EROFS, "/x/y"), "/x/y: read-only file system"),
        (os_error(errno.EIO), "input/output error"),
        (os_error(errno.EMFILE), "too many open files"),
        (TimeoutError("timed out"), "timed out"),
        (MemoryError(), "cannot allocate memory"),
        (RuntimeFailure("other", "the supervisor does not start"), "the supervisor does not start"),
    ],
)
def test_failures_are_engine_errors_in_one_line(error, text):
    with pytest.raises(EngineError) as raised:
        Failing().act(error)
    assert str(raised.value) == text


@pytest.mark.parametrize("error", [BrokenPipeError(), NotFound("x"), KeyboardInterrupt(), ValueError()])
def test_other_errors_stay(error):
    with pytest.raises(type(error)) as raised:
        Failing().act(error)
    assert raised.value is error


def test_failures_of_an_iterator_are_engine_errors_too():
    lines = Failing().follow(RuntimeFailure("other", "the supervisor was killed"))
    assert next(lines) == "line"
    with pytest.raises(EngineError, match="the supervisor was killed"):
        next(lines)
