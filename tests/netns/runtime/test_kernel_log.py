"""The runtime knows whether the kernel has killed a container because memory ran out."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.linux.process import INITIAL_PID_NAMESPACE

pytestmark = pytest.mark.netns

GREEDY = "read go; exec python3 -c 'x = [bytearray(1 << 20) for _ in range(256)]'"
LIMIT = str(16 << 20)  # bytes


@pytest.fixture
def group() -> Iterator[Path]:
    """A memory control group with a limit of 16 MiB, of version 1 or 2."""
    for top, limit in (("memory", "memory.limit_in_bytes"), ("", "memory.max")):
        path = Path("/sys/fs/cgroup") / top / f"hwt{os.getpid()}"
        try:
            path.mkdir()
        except OSError:
            continue
        try:
            (path / limit).write_text(LIMIT)
        except OSError:
            path.rmdir()
            continue
        yield path
        path.rmdir()
        return
    pytest.skip("no memory control group can be made here")


def test_a_container_that_the_kernel_kills_is_shown_as_out_of_memory(lab, group):
    try:
        os.close(os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK))
    except OSError:
        pytest.skip("the kernel log cannot be read here")
    if os.stat("/proc/self/ns/pid").st_ino != INITIAL_PID_NAMESPACE:
        pytest.skip("the pids of the kernel log are not those of this pid namespace")
    lab.launch("one", "sh", "-c", GREEDY, open_stdin=True)
    (group / "cgroup.procs").write_text(str(lab.pid("one")))
    Path(lab.run_dir / "containers" / "one" / "stdin").write_text("go\n")
    assert lab.runtime.wait("one", timeout=20) == 137
    assert lab.runtime.state("one").oom_killed


def test_a_container_that_a_user_kills_is_not_shown_as_out_of_memory(lab):
    lab.launch("one", "sleep", "60")
    lab.runtime.signal("one", signal.SIGKILL)
    assert lab.runtime.wait("one", timeout=5) == 137
    assert not lab.runtime.state("one").oom_killed
