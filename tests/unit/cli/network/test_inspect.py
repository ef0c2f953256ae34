"""``hawse network inspect`` prints the networks that exist, and then reports the missing networks."""

from __future__ import annotations

import pytest

from engine.errors import NotFound

BRIDGE = {"Name": "bridge", "Labels": {"k": "<é&\u2028\x01>"}, "Options": {}, "Config": [], "IPAM": None}
INDENTED = """\
[
    {
        "Name": "bridge",
        "Labels": {
            "k": "<é&\\u2028\\u0001>"
        },
        "Options": {},
        "Config": [],
        "IPAM": null
    }
]
"""
NOPE = 'template parsing error: template: :1:2: executing "" at <.Nope>: map has no entry for key "Nope"\n'
MISSING = "Error response from daemon: network nosuch not found\n"


def answer(reference, *, verbose):
    if reference == "nosuch":
        raise NotFound("network nosuch not found")
    return BRIDGE


@pytest.fixture
def inspect(cli):
    cli.engine.answers["networks"]["inspect"] = answer
    return lambda *argv: cli("network", "inspect", *argv)


@pytest.mark.parametrize(
    ("argv", "out", "err"),
    [
        (["bridge"], INDENTED, ""),
        (["bridge", "nosuch"], INDENTED, MISSING),
        (["nosuch", "bridge"], INDENTED, MISSING),
        (["nosuch", "nosuch"], "[]\n", MISSING * 2),
        (["-f", "{{.Name}}", "bridge", "nosuch", "bridge"], "bridge\nbridge\n", MISSING),
        (["-f", "{{.Name}}", "nosuch"], "\n", MISSING),
        (["-f", "json", "nosuch"], "[]\n", MISSING),
        (["-f", "json", "bridge"], '[{"Name":"bridge","Labels":{"k":"<é&\\u2028\\u0001>"},"Options":{},"Config":[],'
         '"IPAM":null}]\n', ""),
        (["-f", "{{.Nope}}", "bridge", "nosuch"], "\n",
         NOPE + MISSING),
        ([""], "[]\n", "Error: No such network: \n"),
    ],
)  # fmt: skip
def test_inspect_prints_dockers_output_and_errors(inspect, argv, out, err):
    result = inspect(*argv)
    assert (result.code, result.out, result.err) == (1 if err else 0, out, err)


def test_an_invalid_template_is_refused_before_the_engine_is_asked(cli, inspect):
    result = inspect("-f", "{{nofunc}}", "bridge")
    assert (result.code, result.out) == (64, "")
    assert result.err == 'template parsing error: template: :1: function "nofunc" not defined\n'
    assert cli.engine.calls == []


def test_verbose_is_passed_on(cli, inspect):
    inspect("-v", "bridge")
    assert cli.engine.call == ("inspect", ("bridge",), {"verbose": True})
