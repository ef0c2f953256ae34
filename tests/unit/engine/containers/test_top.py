"""``top`` runs ps for the processes of a container, with options that the client chooses."""

from __future__ import annotations

import time

import pytest

from engine.containers import processes
from engine.errors import EngineError

MANY = set(range(2, 40_000))
"""So many pids that one argument of a program cannot list them."""


def test_ps_lists_all_processes_if_the_pids_do_not_fit_into_one_argument():
    """Docker runs ps again without -q after any error."""
    assert processes._output(MANY, ["-ef"]).split()[:2] == ["UID", "PID"]


def test_an_option_that_is_too_long_is_an_error_of_ps():
    """The error is that of Docker, which runs ps by Go's package os/exec."""
    with pytest.raises(EngineError, match=r"^ps: fork/exec /.*/ps: argument list too long$"):
        processes._output({1}, ["-o", "x" * (1 << 17)])


@pytest.mark.parametrize(
    ("arguments", "columns"),
    [("-o ppid=PID", [("ppid", "PID")]), ("-o  x=  PIDS -o\ty=PID", [("x", "PIDS"), ("y", "PID")]), ("-o pid", [])],
)
def test_a_column_with_the_title_of_the_pids_is_found(arguments, columns):
    assert processes.RENAMED.findall(arguments) == columns


@pytest.mark.parametrize("arguments", [" " * 50_000, " x=" * 50_000, f" x={' ' * 50_000}", f" {'x=' * 50_000}"])
def test_options_are_checked_in_linear_time(arguments):
    began = time.process_time()
    assert processes.RENAMED.findall(arguments) == []
    assert time.process_time() - began < 1
