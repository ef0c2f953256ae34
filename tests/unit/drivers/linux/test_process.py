"""Whether a process still runs."""

import os
import resource
import subprocess

import pytest

from drivers.linux import process


def test_an_ended_process_does_not_run():
    with subprocess.Popen(["true"]) as ended:
        started = process.start_time(ended.pid)
    assert not process.is_running(ended.pid, started)


def test_a_process_is_not_taken_for_ended_if_no_file_can_be_opened():
    owner, limits = process.identity(), resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            process.is_owner_running(owner)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert process.is_owner_running(f"{os.getpid()}:{process.start_time(os.getpid())}")
