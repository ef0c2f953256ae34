"""The warm server fills caches (for netlink messages, records and drivers) before it forks a child for each command.

A child then finds these caches filled.
"""

from __future__ import annotations

import subprocess
import sys

from tests.installation import CHECKOUT

AFTER_COMPILING = """
from cli.warm.prefault import compile_tables
compile_tables()
import pyroute2.netlink as netlink
from drivers import registry
from drivers.api import LinkRepairer, Publisher, _examined
from drivers.linux import rehearsal
from engine.model import EndpointRecord
from engine.store import codec
found, misses = len(_examined), codec._decoder.cache_info().misses
assert isinstance(registry.load("bridge"), Publisher) and isinstance(registry.load("overlay"), LinkRepairer)
codec.decode(EndpointRecord, codec.encode(EndpointRecord("e", "n", "c", "m")))
assert len(_examined) == found
assert codec._decoder.cache_info().misses == misses
def all_classes(c):
    return {c}.union(*(all_classes(s) for s in c.__subclasses__()))
before = {c for c in all_classes(netlink.nlmsg_base) if c.__dict__.get("_nlmsg_base__compiled_nla")}
rehearsal.encode_all()
after = {c for c in all_classes(netlink.nlmsg_base) if c.__dict__.get("_nlmsg_base__compiled_nla")}
assert before == after and len(after) > 5, (len(before), len(after))
"""


def test_the_server_fills_the_caches_that_its_children_use():
    done = subprocess.run(
        [sys.executable, "-c", AFTER_COMPILING], cwd=CHECKOUT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
