"""The lines of ps become the document of ``top``. A process chooses its own name, which ps shows."""

from __future__ import annotations

import pytest

from engine.containers import processes
from engine.errors import EngineError


@pytest.mark.parametrize(("line", "pid"), [("                    123", ""), ("two words           123", "words")])
def test_a_name_that_hides_the_pid_is_an_error(line, pid):
    """Docker 26.1.5 has this error for a name with a space."""
    with pytest.raises(EngineError) as raised:
        processes._parsed(f"COMMAND             PID\nsleep               7\n{line}\n", {7, 123})
    assert str(raised.value) == f"Unexpected pid '{pid}': strconv.Atoi: parsing \"{pid}\": invalid syntax"


def test_lines_of_other_processes_are_left_out():
    document = processes._parsed("COMMAND             PID\nsleep               7\nbash                8\n", {7})
    assert document == {"Titles": ["COMMAND", "PID"], "Processes": [["sleep", "7"]]}
