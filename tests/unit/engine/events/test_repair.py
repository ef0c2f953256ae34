"""The tests check the texts and attributes of the events that report repairs."""

from __future__ import annotations

from drivers.model import Difference
from engine.events import repair
from engine.store.sqlite import SqliteStore
from engine.store.store_file import NAME

MISSING = [Difference("missing", "inet hawse any4", f"tcp . {port}") for port in (84, 80, 82, 81, 83)]


def test_a_line_names_a_few_of_each_kind_and_counts_the_rest():
    differences = [*MISSING, Difference("changed", "inet hawse forward", "the rules")]
    line = "missing inet hawse any4 (tcp . 80, tcp . 81, tcp . 82 and 2 more), changed inet hawse forward (the rules)"
    assert repair.described(differences) == line


def test_the_attributes_name_the_cause_and_what_was_done(tmp_path):
    store = SqliteStore(tmp_path / NAME)
    repair.add_alone(store, "driver", "bridge", "nft (7)", MISSING[:1])
    repair.add_alone(store, "driver", "bridge", "", MISSING[:1])
    repair.add_delay(store, "driver", "bridge", "nft (7)", 4.0)
    with store.read() as reader:
        events = reader.events()
    assert [(e.action, e.attributes["cause"], e.attributes["action"]) for e in events] == [
        ("repair", "nft (7)", "missing inet hawse any4 (tcp . 84)"),
        ("repair", "another program", "missing inet hawse any4 (tcp . 84)"),
        ("drift", "nft (7)", "wait 4 s"),
    ]
