"""Removals of many containers are done in bunches."""

from __future__ import annotations

from types import SimpleNamespace

from engine.containers import remove
from engine.errors import KernelFailure


def test_removals_of_killed_commands_are_finished_in_bunches(monkeypatch, tmp_path):
    """A command with a thousand open locks would have no descriptor left for its work."""
    finished: list[int] = []

    def finish(_host: object, ids: list[str]) -> dict[str, KernelFailure]:
        finished.append(len(ids))
        return {ids[0]: KernelFailure("no")}

    monkeypatch.setattr(remove, "_finish_removals", finish)
    monkeypatch.setattr(remove, "announce", lambda _: None)
    errors = remove.resume_removals(SimpleNamespace(run=tmp_path), [f"c{number}" for number in range(250)])
    assert finished == [100, 100, 50]
    assert list(errors) == ["c0", "c100", "c200"]
