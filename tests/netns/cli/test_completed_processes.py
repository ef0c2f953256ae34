"""After ``pid:``, completion offers no kernel threads and no processes in the host's own network namespace."""

import os
import subprocess
import sys

import pytest

from tests.conftest import until
from tests.installation import CHECKOUT

pytestmark = pytest.mark.netns
OFFERED = "from cli.completion.complete import processes; print(*(pid for pid, _ in processes()))"


def test_kernel_threads_and_processes_of_the_host_are_not_offered(netns):
    inside = netns.popen("sleep", "60")
    sandbox = subprocess.Popen(["unshare", "--net", "sleep", "60"])
    try:
        until(lambda: os.readlink(f"/proc/{sandbox.pid}/ns/net") != os.readlink("/proc/self/ns/net"))
        until(lambda: os.stat(f"/proc/{inside.pid}/ns/net").st_ino == os.stat(netns.path).st_ino)
        offered = netns.run(sys.executable, "-c", OFFERED, cwd=CHECKOUT).stdout.split()
        assert str(sandbox.pid) in offered
        assert not {"1", "2", str(inside.pid)} & set(offered), "2 is kthreadd"
    finally:
        for process in (inside, sandbox):
            process.kill()
            process.wait()
