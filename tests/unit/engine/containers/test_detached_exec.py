"""The process that waits for a detached command tells the command from the reader of its terminal."""

from __future__ import annotations

import os

import pytest

from engine.containers import detached_exec
from engine.runtime import keeper


def child(code: int, *, own_session: bool) -> None:
    """Fork a child that exits with ``code``, and wait until the child is a zombie."""
    pid = os.fork()
    if pid == 0:
        if own_session:
            os.setsid()
        os._exit(code)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


@pytest.mark.parametrize("reader_is_first", [True, False])
def test_the_exit_code_is_that_of_the_command(tmp_path, monkeypatch, reader_is_first):
    """The command and the reader may both have ended. The kernel then shows no command line of them any more."""

    def start():
        for own_session in (not reader_is_first, reader_is_first):
            child(7 if own_session else 0, own_session=own_session)

    def ended(code):
        os.write(result, str(code).encode())
        os.close(result)

    monkeypatch.setattr(keeper, "detach", lambda _kept: os.setsid())
    report, result = os.pipe()
    detached_exec.run(start, ended)
    os.close(result)
    with open(report) as file:
        assert file.read() == "7"
