"""nftables scripts run in any process, even in a process with thousands of open file descriptors."""

import sys
import threading

import pytest

from drivers.linux import libnftables
from drivers.linux import netns as namespaces
from tests.conftest import CHECKOUT

pytestmark = pytest.mark.netns

CROWDED = """
import os, resource, sys
from drivers.linux import libnftables as nft
nft.reserve_fds(int(sys.argv[1]))
if "in process" in sys.argv:
    os.environ["PATH"] = ""
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
for _ in range(1100):
    os.open("/dev/null", os.O_RDONLY)
nft.run("add table inet crowded")
print([t["table"]["name"] for t in nft.listing("tables") if "table" in t])
"""


@pytest.mark.parametrize("kept", [("0",), ("4", "in process")])
def test_a_script_runs_in_a_process_with_more_descriptors_than_select_supports(netns, kept):
    assert netns.run(sys.executable, "-c", CROWDED, *kept, cwd=CHECKOUT).stdout == "['crowded']\n"


def test_a_list_of_the_nft_program_waits_for_no_call_of_libnftables_in_another_thread(netns):
    """A list that the program nft makes takes no lock. A lock would let other threads wait for the program, which the
    owner of a container's namespace can make slow.
    """
    netns.run("nft", "add table inet apart")
    listed = []

    def list_tables() -> None:
        listed.extend(namespaces.run_in_netns(netns.path, lambda: libnftables.listing("tables", apart=True)))

    with libnftables._one_at_a_time:
        thread = threading.Thread(target=list_tables)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
    assert [item["table"]["name"] for item in listed if "table" in item] == ["apart"]
