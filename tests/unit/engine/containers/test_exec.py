"""Commands in a container that fail before they start."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from engine.containers import exec as execution
from engine.model import ExecCreate
from engine.runtime.api import RuntimeFailure, Stdio


def test_an_argument_with_a_nul_character_is_refused_in_an_adopted_namespace():
    record = SimpleNamespace(sandbox_path="/run/netns/lab1")
    request = ExecCreate(cmd=("echo", "a\0b"), detach=True)
    with pytest.raises(RuntimeFailure, match=r"unable to start container process: invalid argument: unknown$"):
        execution._execute_in_namespace(SimpleNamespace(), record, request, Stdio())
