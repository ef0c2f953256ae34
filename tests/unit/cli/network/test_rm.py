"""The commands ``hawse network rm`` and ``hawse network prune``."""

from __future__ import annotations

import io

import pytest

from engine.errors import Conflict, Forbidden, NotFound

WARNING = (
    "WARNING! This will remove all custom networks not used by at least one container.\n"
    "Are you sure you want to continue? [y/N] "
)


def outcome(reference):
    if reference == "busy":
        return Conflict("network busy has active endpoints")
    return NotFound("network nosuch not found") if reference == "nosuch" else None


def remove_each(references):
    return iter([outcome(reference) for reference in references])


@pytest.fixture
def rm(cli):
    cli.engine.answers["networks"] |= {"remove_each": remove_each, "inspect": NotFound("not asked about")}
    return lambda *argv, **keywords: cli("network", "rm", *argv, **keywords)


def test_a_failure_does_not_prevent_the_removal_of_other_networks(rm):
    result = rm("n1", "nosuch", "busy", "n2")
    assert (result.code, result.out) == (1, "n1\nn2\n")
    assert result.err == (
        "Error response from daemon: network nosuch not found\n"
        "Error response from daemon: network busy has active endpoints\n"
    )


def test_force_ignores_only_missing_networks(rm):
    assert rm("-f", "nosuch", "n1", "").code == 0
    result = rm("-f", "busy")
    assert (result.code, result.err) == (1, "Error response from daemon: network busy has active endpoints\n")


def test_all_networks_are_removed_by_one_call(cli, rm):
    assert rm("n1", "/n2", "", "n3").out == "n1\n/n2\nn3\n"
    assert [args for verb, args, _ in cli.engine.calls if verb == "remove_each"] == [(["n1", "n2", "n3"],)]


def test_the_networks_before_the_ingress_network_are_removed_before_the_question(cli, rm):
    cli.engine.answers["networks"]["inspect"] = lambda name: {"Ingress": name == "ingress"}
    assert rm("n1", "ingress", "n2", stdin=b"n\n").out.startswith("n1\nWARNING! Before removing")
    assert [args for verb, args, _ in cli.engine.calls if verb == "remove_each"] == [(["n1"],), (["n2"],)]


@pytest.mark.parametrize(("answer", "removed"), [(b"y\n", True), (b"n\n", False), (b"", False)])
def test_the_ingress_network_is_removed_only_after_a_question(cli, rm, answer, removed):
    cli.engine.answers["networks"]["inspect"] = {"Ingress": True}
    result = rm("ingress", stdin=answer)
    assert result.code == 0
    assert result.out.startswith("WARNING! Before removing the routing-mesh network, make sure")
    assert result.out.endswith("Are you sure you want to continue? [y/N] " + ("ingress\n" if removed else ""))


@pytest.mark.parametrize("answer", [b"y\n", b" Y \n", b"y"])
def test_prune_after_yes(cli, answer):
    cli.engine.answers["networks"]["prune"] = ["n1", "n2"]
    result = cli("network", "prune", "--filter", "until=1h", stdin=answer)
    assert (result.code, result.out) == (0, WARNING + "Deleted Networks:\nn1\nn2\n\n")
    assert cli.engine.call == ("prune", ({"until": ("1h",)},), {})


@pytest.mark.parametrize("answer", [b"n\n", b"yes\n", b"\n", b""])
def test_prune_after_another_answer_than_yes_removes_nothing(cli, answer):
    result = cli("network", "prune", stdin=answer)
    assert (result.code, result.out, result.err) == (0, WARNING, "")
    assert cli.engine.calls == []


class Interrupted(io.BytesIO):
    def readline(self, _size=-1):
        raise KeyboardInterrupt


def test_prune_interrupted_at_the_question_removes_nothing_and_is_no_failure(cli):
    result = cli("network", "prune", stdin=Interrupted())
    assert (result.code, result.out, result.err) == (0, WARNING + "\n", "")
    assert cli.engine.calls == []


def test_prune_by_force_with_nothing_to_remove_is_silent(cli):
    result = cli("network", "prune", "-f")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_on_a_terminal_the_error_says_how_to_find_the_members_of_a_network(cli):
    error = Forbidden("error while removing network: network app id 1 has active endpoints")
    cli.engine.answers["networks"]["remove_each"] = lambda references: iter([error])
    text = f"Error response from daemon: {error}\n"
    assert cli("network", "rm", "app").err == text
    cli.error_terminal = True
    assert cli("--no-color", "network", "rm", "app").err == (
        text + "\nContainers are on it. Which: hawse network inspect -f '{{range .Containers}}{{.Name}} {{end}}' app\n"
        "Take each off: hawse network disconnect app CONTAINER\n"
    )
