from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from engine.dns.serving import THREADS_LIMIT, ServingLoops
from engine.eventloop.loop import Loop


@pytest.fixture
def loops() -> Iterator[ServingLoops]:
    loop = Loop()
    made = ServingLoops(loop)
    yield made
    made.close()
    loop.close()


def test_sandboxes_without_own_rules_share_the_callers_loop(loops):
    assert loops.choose(apart=False) is loops.choose(apart=False)
    done = list[int]()
    loops.choose(apart=False).call(lambda: done.append(1))
    assert done == [1]


def test_at_the_limit_of_threads_sandboxes_share_the_running_ones(loops, monkeypatch):
    running = loops.choose(apart=True)
    running.sandboxes += 1
    monkeypatch.setattr(threading.Thread, "start", refused)
    assert loops.choose(apart=True) is running


def test_a_sandbox_with_own_rules_is_not_served_without_a_thread(loops, monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(RuntimeError, match="thread"):
        loops.choose(apart=True)


def refused(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_each_sandbox_with_own_rules_has_a_thread_until_there_are_too_many(loops):
    chosen = []
    for _ in range(2 * THREADS_LIMIT):
        chosen.append(loops.choose(apart=True))
        chosen[-1].sandboxes += 1
    assert len(set(chosen[:THREADS_LIMIT])) == THREADS_LIMIT
    assert {serving.sandboxes for serving in chosen} == {2}
    chosen[5].sandboxes -= 1
    assert loops.choose(apart=True) is chosen[5]


def test_a_group_has_one_thread_which_serves_no_sandbox_with_own_rules(loops):
    groups = [loops.choose(apart=False, neighbours=name) for name in ("a", "b", "a")]
    assert groups[0] is groups[2]
    assert groups[0] is not groups[1]
    assert loops.choose(apart=True, neighbours="a") not in groups
