"""The tests check the texts and attributes of the events that report repairs."""

from __future__ import annotations

from drivers.model import Difference
from engine.events import repair

MISSING = [Difference("missing", "inet hawse any4", f"tcp . {port}") for port in (84, 80, 82, 81, 83)]


def test_a_line_names_a_few_of_each_kind_and_counts_the_rest():
    differences = [*MISSING, Difference("changed", "inet hawse forward", "the rules")]
    line = "missing inet hawse any4 (tcp . 80, tcp . 81, tcp . 82 and 2 more), changed inet hawse forward (the rules)"
    assert repair.described(differences) == line


def test_the_attributes_name_the_cause_and_what_was_done():
    attributes = repair.attributes("nft (7)", MISSING[:1])
    assert attributes == {"cause": "nft (7)", "action": "missing inet hawse any4 (tcp . 84)"}
    assert repair.attributes("", ())["cause"] == "another program"
    assert repair.resting("nft (7)", 4.0) == {"cause": "nft (7)", "action": "wait 4 s"}
