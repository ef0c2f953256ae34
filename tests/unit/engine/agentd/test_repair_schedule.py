"""The tests check when the agent compares the firewall with the desired state.

The agent compares immediately after a change by another program, and later after a change by hawse. If another program
undoes every repair, the agent waits longer and longer between two comparisons.
"""

from __future__ import annotations

from engine.agentd.repair_schedule import (
    LONGEST_REST_SECONDS,
    NEVER,
    PATIENCE_ROUNDS,
    RECOVERY_SECONDS,
    SETTLE_SECONDS,
    SHARE,
    Pace,
)


def fight(pace: Pace, now: float, rounds: int, every: float = 0.03) -> float:
    """Simulate another program that changes the firewall after each of ``rounds`` comparisons by the agent.

    The program waits ``every`` seconds before each change. Return the time after the last comparison.
    """
    for _ in range(rounds):
        now = max(now + every, pace.due if pace.resting(now) else 0.0)
        pace.foreign(now)
        now = pace.due
        pace.looked(now, now + 0.02)
        now += 0.02
    return now


def test_no_comparison_is_due_without_a_change():
    assert Pace(0.0).due == NEVER


def test_a_change_by_another_program_is_compared_immediately():
    pace = Pace(0.0)
    pace.foreign(5.0)
    assert (pace.due, pace.resting(5.0)) == (5.0, False)
    pace.looked(5.0, 5.1)
    assert pace.due == NEVER


def test_own_changes_are_compared_after_the_settle_time():
    pace = Pace(0.0)
    pace.own(5.0)
    pace.own(5.5)
    assert pace.due == 5.0 + SETTLE_SECONDS
    pace.foreign(5.6)
    assert pace.due == 5.6


def test_comparisons_after_own_changes_take_a_small_share_of_the_time():
    pace = Pace(0.0)
    pace.looked(10.0, 10.5)
    pace.own(10.6)
    assert pace.due == 10.5 + SHARE * 0.5
    pace.foreign(10.7)
    assert pace.due == 10.7, "damage does not wait for that"


def test_comparisons_become_rarer_if_a_program_undoes_every_repair():
    pace = Pace(0.0)
    now = fight(pace, 0.0, int(PATIENCE_ROUNDS))
    assert pace.rest == 0.0
    rests = []
    for _ in range(8):
        now = fight(pace, now, 1)
        rests.append(pace.rest)
    assert rests == [1.0, 2.0, 4.0, 8.0, 16.0, *[LONGEST_REST_SECONDS] * 3]
    assert pace.resting(now)
    assert pace.due == now + LONGEST_REST_SECONDS


def test_each_delay_ends_with_a_comparison_even_without_another_change():
    pace = Pace(0.0)
    now = fight(pace, 0.0, int(PATIENCE_ROUNDS) + 1)
    assert (pace.rest, pace.due) == (1.0, now + 1.0)
    pace.looked(pace.due, pace.due)
    assert (pace.rest, pace.due) == (0.0, NEVER)


def test_repairs_are_immediate_again_only_after_a_time_without_changes():
    pace = Pace(0.0)
    now = fight(pace, 0.0, int(PATIENCE_ROUNDS) + 3)
    now = fight(pace, now, 1)
    assert pace.rest == 8.0, "the fight went on during the rest"
    pace.looked(pace.due, pace.due)
    now = pace.due if pace.due != NEVER else now + 8.0
    now = fight(pace, now + 3 * RECOVERY_SECONDS, 3)
    assert pace.rest == 0.0
    now = fight(pace, now, 2)
    assert pace.rest > 0.0


def test_rare_changes_are_never_delayed():
    pace, now = Pace(0.0), 0.0
    for _ in range(100):
        now = fight(pace, now + RECOVERY_SECONDS, 1)
        assert pace.rest == 0.0
