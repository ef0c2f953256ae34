"""The warm server runs commands on a scratch host, and fills caches, before it forks a child for each command.

A child then finds the caches (for netlink messages, records and drivers) filled.
"""

from __future__ import annotations

import subprocess
import sys

from tests.installation import CHECKOUT

AFTER_COMPILING = """
from engine.rehearsal import compile_tables
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

WITH_A_FAILING_CHILD = """
import os
from cli.warm import prefault
server = os.getpid()
def fail():
    raise MemoryError
prefault.scratch_environment = fail
prefault.warm_up = prefault.forget = lambda: None
try:
    prefault.create_scratch_host()
finally:
    print(os.getpid() == server, flush=True)
"""


def test_a_child_whose_command_fails_does_not_continue_as_the_server():
    done = subprocess.run(
        [sys.executable, "-c", WITH_A_FAILING_CHILD], cwd=CHECKOUT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_the_server_fills_the_caches_that_its_children_use():
    done = subprocess.run(
        [sys.executable, "-c", AFTER_COMPILING], cwd=CHECKOUT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
