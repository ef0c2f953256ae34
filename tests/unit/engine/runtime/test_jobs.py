"""Tests of the supervisor's jobs: when a failed program of a container is executed again."""

from __future__ import annotations

import os

import pytest

from engine.runtime.directory import ContainerDirectory
from engine.runtime.jobs import _ATTEMPTS_WITHOUT_FILES, Job, Jobs

CONTAINER = "c" * 64
RUNS_LIMIT = 30  # the test ends here if a program is executed again without limit


class Host:
    """The loop and the children of a supervisor; each pause ends at once, and each program runs to its end."""

    def __init__(self, path) -> None:
        self.runs, self.pauses = 0, []
        self.jobs = Jobs(self, self, str(path))

    def after(self, _delay, call):
        self.pauses.append(call)

    def expect(self, pid, ended):
        self.runs += 1
        ended(os.waitpid(pid, 0)[1])

    def execute(self, program):
        """Add a job for the container, and execute it until it is done or has run `RUNS_LIMIT` times."""
        job = Job(CONTAINER, [program], {})
        self.jobs.add(job)
        self.jobs.run(job)
        while self.pauses and self.runs < RUNS_LIMIT:
            self.pauses.pop()()
        return self.runs


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def test_a_program_that_fails_after_it_deleted_the_files_is_executed_again_some_times(host):
    assert host.execute("false") == 1 + _ATTEMPTS_WITHOUT_FILES
    assert not host.jobs.has(CONTAINER)


def test_a_program_that_fails_is_executed_until_it_succeeds_while_the_files_exist(host, tmp_path):
    os.makedirs(ContainerDirectory(str(tmp_path), CONTAINER).path)
    assert host.execute("false") == RUNS_LIMIT
    assert host.jobs.has(CONTAINER)


def test_a_program_that_succeeds_is_executed_once(host):
    assert host.execute("true") == 1
    assert not host.jobs.has(CONTAINER)
