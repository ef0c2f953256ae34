"""Whether an ended process is told from a process that the kernel refuses to show."""

import errno
import os
import resource

import pytest

from drivers.linux.process import is_stopped, start_time, stat_fields
from engine.runtime.process import open_pidfd


@pytest.fixture
def own_start():
    return start_time(os.getpid())


@pytest.fixture(params=[0, 1], ids=["no descriptor", "one descriptor"])
def scarce(request, monkeypatch):
    """Let the kernel give this process only ``request.param`` more descriptors."""
    probe = os.open("/", os.O_RDONLY)
    os.close(probe)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe + request.param, hard))
    yield probe
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_no_process_counts_as_ended_and_no_descriptor_leaks_without_free_descriptors(own_start, scarce):
    with pytest.raises(OSError, match="Too many open files") as caught:
        open_pidfd(os.getpid(), own_start)
    assert caught.value.errno == errno.EMFILE
    with pytest.raises(OSError, match=r"Bad file descriptor"):
        os.fstat(scarce)


@pytest.mark.usefixtures("scarce")
def test_the_checks_of_resident_processes_raise_nothing_without_free_descriptors():
    """A timer whose function raises an error is not set again."""
    is_stopped(os.getpid())
    stat_fields(os.getpid())


def test_an_ended_process_has_no_pidfd(own_start):
    assert open_pidfd(os.getpid(), own_start + 1) is None
    assert open_pidfd(4194304, 1) is None
