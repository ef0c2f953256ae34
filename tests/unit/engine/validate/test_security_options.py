"""Checks of the engine's ``SecurityOpt`` field; the refusals were recorded from Docker 26.1.5."""

from __future__ import annotations

import pytest

from engine.errors import EngineError
from engine.validate.container import Security, parse_security_options


@pytest.mark.parametrize(
    ("options", "parsed"),
    [
        ([], Security()),
        (["no-new-privileges"], Security(no_new_privileges=True)),
        (["no-new-privileges:T", "seccomp:unconfined"], Security("unconfined", no_new_privileges=True)),
        (["no-new-privileges", "no-new-privileges=0", "label=disable", "disable"], Security()),
        (["seccomp=unconfined", 'seccomp={"x":1}'], Security('{"x":1}')),
    ],
)
def test_last_option_of_a_kind_counts(options, parsed):
    assert parse_security_options(options) == parsed


@pytest.mark.parametrize("option", ["foo=bar", "no-new-privileges=maybe", "no-new-privileges:", "systempaths=foo"])
def test_unknown_options_are_refused_in_dockers_words(option):
    with pytest.raises(EngineError) as refusal:
        parse_security_options([option])
    assert (refusal.value.status, str(refusal.value)) == (500, f'invalid --security-opt 2: "{option}"')


@pytest.mark.parametrize("option", ["", "foo", "seccomp", "label"])
def test_options_without_a_value_are_refused_in_dockers_words(option):
    with pytest.raises(EngineError) as refusal:
        parse_security_options([option])
    assert (refusal.value.status, str(refusal.value)) == (500, f'invalid --security-opt 1: "{option}"')
