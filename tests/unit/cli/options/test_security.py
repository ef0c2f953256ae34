"""``--security-opt`` as Docker's client sends it; the refusals were recorded from Docker 26.1.5."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.options.security import security_options


@pytest.mark.parametrize(
    "option",
    ["no-new-privileges", "no-new-privileges=true", "no-new-privileges:false", "seccomp=unconfined",
     "seccomp:unconfined", "seccomp=builtin", "label=disable", "label:type:x", "apparmor=unconfined", "foo=bar"],
)  # fmt: skip
def test_options_without_a_profile_file_are_sent_unchanged(option):
    assert security_options([option]) == [option]


def test_systempaths_is_removed_from_the_security_options():
    assert security_options(["systempaths=unconfined", "label=disable"]) == ["label=disable"]


@pytest.mark.parametrize("option", ["foo", "disable", "seccomp=", "seccomp", "foo:"])
def test_option_without_a_value_is_refused(option):
    with pytest.raises(ValueError, match=rf'^Invalid --security-opt: "{option}"$'):
        security_options([option])


def test_profile_is_sent_without_white_space(tmp_path: Path):
    profile = tmp_path / "profile.json"
    profile.write_text('{\n "a b" : [ 1.50 , "\\" x" ],\t"a b": null }\n')
    for separator in "=:":
        sent = security_options([f"seccomp{separator}{profile}"])
        assert sent == ['seccomp={"a b":[1.50,"\\" x"],"a b":null}']
    assert json.loads(sent[0].partition("=")[2]) == {"a b": None}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{bad", "invalid character 'b' looking for beginning of object key string"),
        ("", "unexpected end of JSON input"),
        ('{"a":', "unexpected end of JSON input"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a":1 2}', "invalid character '2' after object key:value pair"),
        ("[1 2]", "invalid character '2' after array element"),
        ("{} x", "invalid character 'x' after top-level value"),
        ("[x]", "invalid character 'x' looking for beginning of value"),
    ],
)
def test_profile_that_is_no_json_is_refused_in_dockers_words(tmp_path: Path, text, why):
    profile = tmp_path / "profile.json"
    profile.write_text(text)
    with pytest.raises(ValueError) as refusal:
        security_options([f"seccomp={profile}"])
    assert str(refusal.value) == f"compacting json for seccomp profile ({profile}) failed: {why}"


def test_profile_that_is_not_there_is_refused_in_dockers_words():
    with pytest.raises(ValueError) as refusal:
        security_options(["seccomp=nosuch"])
    assert str(refusal.value) == "opening seccomp profile (nosuch) failed: open nosuch: no such file or directory"
