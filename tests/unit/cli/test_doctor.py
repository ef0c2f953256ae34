"""The tests check the output of ``hawse doctor`` in a pipe, on a terminal, and as JSON.

In a pipe, each check is one line. On a terminal, the cause and the fix of a finding are below its line.
"""

from __future__ import annotations

import json

import pytest

from engine.api import FAULT, OK, WARNING, Check, Diagnosis
from engine.errors import InvalidArgument

DOWN = Check(FAULT, "network app", "changed bridge: br-1 is down", "another program", "hawse doctor --fix")
FULL = Check(WARNING, "HAWSE_ROOT", "4 MiB free", "almost full", "delete files")
GOOD = [Check(OK, f"container c{n}", "as recorded") for n in range(7)]


def answer(cli, *checks: Check, repaired=()) -> None:
    cli.engine.answers["diagnostics"]["doctor"] = Diagnosis(checks, repaired)


def test_one_line_for_each_check_and_the_worst_last(cli):
    answer(cli, DOWN, FULL, *GOOD, Check(OK, "store", "sound"))
    result = cli("doctor")
    header, *lines, summary = result.out.splitlines()
    assert (result.code, result.err) == (1, "")
    assert header.split() == ["STATUS", "OBJECT", "FINDING", "CAUSE", "FIX"]
    assert [line.split()[0] for line in lines] == ["ok", "ok", "warning", "fault"]
    assert lines[0].split() == ["ok", "7", "containers", "as", "recorded"]
    assert (
        len({line.find(text) for line, text in ((header, "CAUSE"), (lines[2], "almost"), (lines[3], "another"))}) == 1
    )
    assert summary == "1 fault, 1 warning, 8 ok"


def test_a_terminal_shows_cause_and_fix_below_the_finding_in_colour(cli):
    answer(cli, DOWN)
    cli.terminal = True
    out = cli("doctor").out
    assert "\x1b[1;31mfault" in out
    assert [line.strip() for line in out.splitlines()[2:4]] == ["cause: another program", "fix: hawse doctor --fix"]
    assert "\x1b" not in cli("--no-color", "doctor").out


def test_a_long_name_leaves_room_for_the_finding_on_a_terminal(cli):
    answer(cli, Check(WARNING, "network " + "n" * 60, "the finding has more words than one line", "another program"))
    cli.terminal = True
    lines = cli("--no-color", "doctor").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1] == "warning  network                     the finding has more words than one line"
    assert "".join(line[9:35].strip() for line in lines[1:-1]) == "network" + "n" * 60


@pytest.mark.parametrize("terminal", [True, False])
def test_hostile_text_stays_in_its_cell(cli, terminal):
    answer(cli, Check(FAULT, "network \x1b[2Ja\nb", "[bold]x\r\x07\u202e", "c\nd", "\udcff"))
    cli.terminal = terminal
    out = cli("--no-color", "doctor").out
    assert not set(out) & set("\x1b\r\x07\u202e")
    assert "\\u001b[2Ja\\nb" in out
    assert "[bold]x\\r\\u0007\\u202e" in out


def test_json_has_every_check_with_cause_and_fix(cli):
    answer(cli, DOWN, *GOOD)
    result = cli("doctor", "--format", "json")
    document = json.loads(result.out)
    assert (result.code, list(document)) == (1, ["checks"])
    assert document["checks"][0] == {
        "status": "fault", "object": "network app", "what": "changed bridge: br-1 is down",
        "cause": "another program", "fix": "hawse doctor --fix",
    }  # fmt: skip
    assert len(document["checks"]) == 8


def test_fix_says_what_was_repaired(cli):
    answer(cli, *GOOD, repaired=["network app: changed bridge: br-1 is down"])
    result = cli("doctor", "--fix")
    assert result.code == 0
    assert result.out.splitlines()[-2:] == [
        "repaired: network app: changed bridge: br-1 is down",
        "0 faults, 0 warnings, 7 ok",
    ]
    assert cli.engine.call == ("doctor", (), {"fix": True})
    assert json.loads(cli("doctor", "--fix", "--format", "json").out)["repaired"]
    answer(cli, *GOOD)
    assert "There was nothing to repair.\n" in cli("doctor", "--fix").out


def test_a_warning_alone_is_no_failure(cli):
    answer(cli, FULL)
    assert cli("doctor").code == 0


def test_an_invalid_configuration_file_is_a_fault(cli, monkeypatch):
    def refuse() -> None:
        raise InvalidArgument("/etc/hawse/daemon.json: mtuu: no such configuration key")

    monkeypatch.setattr("cli.app.App.engine", property(lambda app: refuse()))
    result = cli("doctor", "--format", "json")
    assert result.code == 1
    assert json.loads(result.out)["checks"][0]["object"] == "daemon.json"


def test_an_unknown_format_is_refused_before_the_engine_is_called(cli):
    assert "unknown format xml" in cli("doctor", "--format", "xml").err
    assert cli.engine.calls == []
