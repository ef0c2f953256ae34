"""The tests check which number a new host of the cluster gets."""

import pytest

from engine.cluster.record_checks import HIGHEST_INDEX
from engine.errors import InvalidArgument
from engine.swarm.server.admission import next_free


def test_numbers_are_given_in_turn_and_begin_again_at_the_end():
    assert next_free(0, ()) == 1 and next_free(4, {5, 6}) == 7
    assert next_free(HIGHEST_INDEX, {1, 2}) == 3 and next_free(HIGHEST_INDEX - 1, {HIGHEST_INDEX}) == 1


def test_a_full_cluster_admits_no_host():
    with pytest.raises(InvalidArgument, match="as many hosts as it can have"):
        next_free(7, range(1, HIGHEST_INDEX + 1))
