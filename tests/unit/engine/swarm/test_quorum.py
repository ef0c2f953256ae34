import pytest

from engine.swarm import quorum


@pytest.mark.parametrize(
    ("reachable", "unreachable", "warning"),
    [
        (1, 0, "Removing the last manager erases all current state of the swarm."),
        (2, 0, "Removing this node leaves 1 managers out of 2. Without a Raft quorum"),
        (2, 1, "Removing this node leaves 1 managers out of 3. Without a Raft quorum"),
        (3, 0, "The only way to restore a swarm that has lost consensus"),
        (0, 0, "The only way to restore a swarm that has lost consensus"),
    ],
)
def test_a_leaving_manager_is_warned_of_a_lost_quorum(reachable, unreachable, warning):
    text = quorum.warning(reachable, unreachable)
    assert text.startswith(quorum.ATTEMPT + warning)
    assert bool(quorum.hint(text)) == ("--force-new-cluster" in text)
