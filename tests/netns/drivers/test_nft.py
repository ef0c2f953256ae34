"""nftables scripts, whatever the process that runs them."""

import sys

import pytest

from tests.conftest import CHECKOUT

pytestmark = pytest.mark.netns

CROWDED = """
import os, resource
from drivers.firewall import nft
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
for _ in range(1100):
    os.open("/dev/null", os.O_RDONLY)
nft.run("add table inet crowded")
print([t["table"]["name"] for t in nft.listing("tables") if "table" in t])
"""


def test_a_process_with_more_descriptors_than_select_knows(netns):
    assert netns.run(sys.executable, "-c", CROWDED, cwd=CHECKOUT).stdout == "['crowded']\n"
