"""The tests check when the agent compares the firewall with the desired state.

The agent compares immediately after a change by another program, and later after a change by hawse. If another program
undoes every repair, the agent waits longer and longer between two comparisons.
"""

from __future__ import annotations

from engine.agentd.repair_schedule import (
    LONGEST_REST_SECONDS,
    NEVER,
    PATIENCE_ROUNDS,
    QUIET_COST,
    RECOVERY_SECONDS,
    SETTLE_SECONDS,
    SHARE,
    Schedule,
)


def fight(schedule: Schedule, now: float, rounds: int, every: float = 0.03) -> float:
    """Simulate another program that changes the firewall after each of ``rounds`` comparisons by the agent.

    The program waits ``every`` seconds before each change. Return the time after the last comparison.
    """
    for _ in range(rounds):
        now = max(now + every, schedule.due if schedule.resting(now) else 0.0)
        schedule.record_foreign_change(now)
        now = schedule.due
        schedule.record_comparison(now, now + 0.02)
        now += 0.02
    return now


def test_no_comparison_is_due_without_a_change():
    assert Schedule(0.0).due == NEVER


def test_a_change_by_another_program_is_compared_immediately():
    schedule = Schedule(0.0)
    schedule.record_foreign_change(5.0)
    assert (schedule.due, schedule.resting(5.0)) == (5.0, False)
    schedule.record_comparison(5.0, 5.1)
    assert schedule.due == NEVER


def test_a_schedule_is_spent_when_it_has_no_further_effect():
    schedule = Schedule(0.0)
    assert schedule.is_spent(0.0)
    schedule.record_own_change(5.0)
    assert not schedule.is_spent(5.0), "a comparison is due"
    schedule.record_comparison(6.0, 6.5)
    assert not schedule.is_spent(6.5), "an own change would not cause a comparison yet"
    assert schedule.is_spent(6.5 + SHARE * 0.5)
    schedule.record_foreign_change(100.0)
    schedule.record_comparison(100.0, 100.0)
    assert not schedule.is_spent(100.0), "one of the immediate comparisons is used up"
    assert schedule.is_spent(100.0 + RECOVERY_SECONDS)
    fought = Schedule(0.0)
    end = fight(fought, 0.0, int(PATIENCE_ROUNDS) + 2)
    assert not fought.is_spent(end), "the next comparison is delayed"


def test_own_changes_are_compared_after_the_settle_time():
    schedule = Schedule(0.0)
    schedule.record_own_change(5.0)
    schedule.record_own_change(5.5)
    assert schedule.due == 5.0 + SETTLE_SECONDS
    schedule.record_foreign_change(5.6)
    assert schedule.due == 5.6


def test_comparisons_after_own_changes_take_a_small_share_of_the_time():
    schedule = Schedule(0.0)
    schedule.record_comparison(10.0, 10.5)
    schedule.record_own_change(10.6)
    assert schedule.due == 10.5 + SHARE * 0.5
    schedule.record_foreign_change(10.7)
    assert schedule.due == 10.7, "damage does not wait for that"


def test_comparisons_become_rarer_if_a_program_undoes_every_repair():
    schedule = Schedule(0.0)
    now = fight(schedule, 0.0, int(PATIENCE_ROUNDS))
    assert schedule.rest == 0.0
    rests = []
    for _ in range(8):
        now = fight(schedule, now, 1)
        rests.append(schedule.rest)
    assert rests == [1.0, 2.0, 4.0, 8.0, 16.0, *[LONGEST_REST_SECONDS] * 3]
    assert schedule.resting(now)
    assert schedule.due == now + LONGEST_REST_SECONDS


def test_each_delay_ends_with_a_comparison_even_without_another_change():
    schedule = Schedule(0.0)
    now = fight(schedule, 0.0, int(PATIENCE_ROUNDS) + 1)
    assert (schedule.rest, schedule.due) == (1.0, now + 1.0)
    schedule.record_comparison(schedule.due, schedule.due)
    assert (schedule.rest, schedule.due) == (0.0, NEVER)


def test_repairs_are_immediate_again_only_after_a_time_without_changes():
    schedule = Schedule(0.0)
    now = fight(schedule, 0.0, int(PATIENCE_ROUNDS) + 3)
    now = fight(schedule, now, 1)
    assert schedule.rest == 8.0, "the fight went on during the rest"
    schedule.record_comparison(schedule.due, schedule.due)
    now = schedule.due if schedule.due != NEVER else now + 8.0
    now = fight(schedule, now + 3 * RECOVERY_SECONDS, 3)
    assert schedule.rest == 0.0
    now = fight(schedule, now, 2)
    assert schedule.rest > 0.0


def test_rare_changes_are_never_delayed():
    schedule, now = Schedule(0.0), 0.0
    for _ in range(100):
        now = fight(schedule, now + RECOVERY_SECONDS, 1)
        assert schedule.rest == 0.0


def test_changes_without_damage_use_up_less_of_the_immediate_comparisons():
    schedule, now = Schedule(0.0), 10.0
    for _ in range(int(PATIENCE_ROUNDS / QUIET_COST)):
        schedule.record_foreign_change(now)
        schedule.record_comparison(now, now, cost=QUIET_COST)
        assert not schedule.resting(now)
    schedule.record_foreign_change(now)
    schedule.record_comparison(now, now, cost=QUIET_COST)
    assert schedule.resting(now)
