"""If one step of a plan fails, the plan undoes the earlier steps. A teardown continues after a failed step."""

from __future__ import annotations

import pytest

from drivers.plan import Step, apply, teardown


@pytest.fixture
def done():
    return []


def failing(text: str):
    def fail() -> None:
        raise ValueError(text)

    return fail


def step(done, name: str) -> Step:
    return Step(name, lambda: done.append(name), lambda: done.append(f"undo {name}"))


def test_steps_run_in_order_and_are_not_undone(done):
    apply([step(done, "a"), step(done, "b")])
    assert done == ["a", "b"]


def test_a_failure_undoes_finished_steps_last_first(done):
    steps = [step(done, "a"), Step("bare", lambda: done.append("bare")), step(done, "b"), Step("c", failing("broken"))]
    with pytest.raises(ValueError, match="broken") as caught:
        apply([*steps, step(done, "d")])
    assert done == ["a", "bare", "b", "undo b", "undo a"]
    assert caught.value.__notes__ == ["in step: c"]


def test_a_failing_undo_neither_hides_the_error_nor_stops_the_others(done):
    with pytest.raises(ValueError, match="broken") as caught:
        apply([step(done, "a"), Step("b", lambda: None, failing("stuck")), Step("c", failing("broken"))])
    assert done == ["a", "undo a"]
    assert "undo of b failed: stuck" in caught.value.__notes__


def test_a_teardown_does_everything_and_raises_the_first_error(done):
    with pytest.raises(ValueError, match="first") as caught:
        teardown([Step("a", failing("first")), step(done, "b"), Step("c", failing("second")), step(done, "d")])
    assert done == ["b", "d"]
    assert caught.value.__notes__ == ["in step: a", "also failed: c: second"]
