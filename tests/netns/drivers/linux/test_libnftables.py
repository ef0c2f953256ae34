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


LISTS = {
    "objects": lambda: libnftables.listing("tables", apart=True)[-1]["table"]["name"],
    "text": lambda: libnftables.numbered("table inet apart").split()[2],
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_the_nft_program_waits_for_no_call_of_libnftables_in_another_thread(netns, name):
    """A list that the program nft makes takes no lock. A lock would let other threads wait for the program, which the
    owner of a container's namespace can make slow.
    """
    netns.run("nft", "add table inet apart")
    listed = []
    thread = threading.Thread(target=lambda: listed.append(namespaces.run_in_netns(netns.path, LISTS[name])))
    with libnftables._one_at_a_time:
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
    assert listed == ["apart"]
