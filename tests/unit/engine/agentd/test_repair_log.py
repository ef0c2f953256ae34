"""The tests check the log lines that the agent writes about repairs, and the limit of the log's size."""

from __future__ import annotations

import os
import sys

from drivers.model import Difference
from engine.agentd import repair_log


def test_a_long_log_is_emptied(tmp_path, monkeypatch):
    monkeypatch.setattr(repair_log, "LONG_LOG_BYTES", 1000)
    path = tmp_path / "agent.log"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "w") as log:
        monkeypatch.setattr(sys, "stderr", log)
        for _ in range(50):
            repair_log.say_resting("bridge", "nft (7)", 4.0)
    assert 0 < path.stat().st_size < 1200
    assert path.read_text().endswith("bridge: nft (7) keeps undoing the repair; the next one waits 4 s\n")


def test_a_name_that_a_container_chose_stays_text_on_one_line(capfd):
    name = "eth0 is named \x1b[2J\nagent: all is well\udcff\u202e"
    repair_log.say_restored("container web", "", [Difference("changed", "interface", name)], 0.02)
    written = capfd.readouterr().err
    assert written.count("\n") == 1
    assert written.removesuffix("\n").isprintable()
    assert "named \\u001b[2J\\u000aagent: all is well\\udcff\\u202e" in written
