"""The tests check the output and the exit codes of ``system check``."""

from __future__ import annotations

from engine.api import CheckReport


def checked(cli, report, *flags):
    cli.engine.answers["system"]["check"] = report
    result = cli("system", "check", *flags)
    return result.code, result.out, result.err


def test_a_sound_store_is_reported_as_sound(cli):
    assert checked(cli, CheckReport([])) == (0, "The database is sound.\n", "")


def test_a_damaged_store_names_the_repair(cli):
    error = "The database is damaged (run: hawse system check --repair)\n"
    assert checked(cli, CheckReport(["it is empty"])) == (1, "damaged: it is empty\n", error)


def test_a_repair_prints_each_step(cli):
    report = CheckReport(["it is empty"], ["read the backup", "dropped x"], repaired=True)
    lines = "damaged: it is empty\nrepair: read the backup\nrepair: dropped x\nThe database is repaired.\n"
    assert checked(cli, report, "--repair") == (0, lines, "")
    assert cli.engine.call == ("check", (), {"repair": True})
