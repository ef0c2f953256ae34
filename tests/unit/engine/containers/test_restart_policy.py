"""A restart policy decides whether and when a container is started again after it has ended."""

from __future__ import annotations

from signal import SIGKILL, SIGTERM, SIGUSR1

import pytest
from msgspec.structs import replace

from engine.containers import restart_policy
from engine.model import ContainerConfig, ContainerRecord, HostConfig, RestartPolicy

RAN = {"started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:00:01Z"}


def container(name="no", retries=0, **fields) -> ContainerRecord:
    host = HostConfig(restart_policy=RestartPolicy(name, retries))
    record = ContainerRecord("c" * 64, "web", "", ContainerConfig("bb"), host)
    return replace(record, status="running", pid=7, **{**RAN, **fields})


@pytest.mark.parametrize(
    ("ended", "status", "count"),
    [
        (container("no", exit_code=1), "exited", 0),
        (container("always"), "restarting", 1),
        (container("always", stopped_by_user=True), "exited", 0),
        (container("unless-stopped", restart_count=4), "restarting", 5),
        (container("on-failure"), "exited", 0),
        (container("on-failure", exit_code=1), "restarting", 1),
        (container("on-failure", 3, exit_code=1, restart_count=2), "restarting", 3),
        (container("on-failure", 3, exit_code=1, restart_count=3), "exited", 3),
    ],
)
def test_an_ended_container_is_restarted_as_its_policy_says(ended, status, count):
    after = restart_policy.after_end(ended)
    assert (after.status, after.restart_count, after.pid) == (status, count, 0)


def test_a_restart_that_the_user_requests_follows_at_once_and_resets_the_count():
    after = restart_policy.after_end(container("no", restart_count=3), restart_requested=True)
    assert (after.status, after.restart_count, restart_policy.backoff(after)) == ("restarting", 0, 0)


def test_the_pause_doubles_up_to_a_minute_and_is_short_after_a_long_run():
    assert [restart_policy.backoff(container(restart_count=n)) for n in (1, 2, 7, 11, 99)] == [0.1, 0.2, 6.4, 60, 60]
    assert restart_policy.backoff(container(restart_count=9, finished_at="2026-01-01T00:00:11Z")) == 0.1


def test_only_the_chosen_stop_signal_or_sigkill_prevents_a_restart_by_always():
    plain = container("always")
    chosen = replace(plain, config=ContainerConfig("bb", stop_signal="USR1"))
    assert restart_policy.ends_with(plain, SIGTERM)
    assert [restart_policy.ends_with(chosen, number) for number in (SIGTERM, SIGUSR1, SIGKILL)] == [False, True, True]
    assert restart_policy.ends_with(replace(chosen, host=container("unless-stopped").host), SIGTERM)
