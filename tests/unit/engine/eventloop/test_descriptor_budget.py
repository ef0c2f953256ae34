"""The agent raises its limit of file descriptors as far as allowed. Its quotas leave enough descriptors free."""

from __future__ import annotations

import subprocess
import sys

import pytest

from engine.eventloop.descriptor_budget import DescriptorBudget


@pytest.mark.parametrize("descriptors", [256, 1024, 20_000, 1 << 20])
def test_clients_together_cannot_use_up_the_descriptors(descriptors):
    budget = DescriptorBudget(descriptors)
    most = 2 * budget.connections.free + budget.flows.free + 2 * budget.queries.free + budget.streams.free
    assert most <= descriptors * 13 // 16
    assert min(q.free for q in (budget.connections, budget.flows, budget.queries, budget.streams)) >= 8


def test_limit_is_raised_to_what_is_allowed():
    code = (
        "import resource as r; from engine.eventloop.descriptor_budget import raise_descriptor_limit as raised; "
        "r.setrlimit(r.RLIMIT_NOFILE, (64, 200)); n = raised(); print(n, r.getrlimit(r.RLIMIT_NOFILE)[0])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True).stdout
    reported, effective = map(int, output.split())
    assert reported == effective >= 200
