"""Help and errors of the command line have the bytes that golden/record.py recorded from a real docker."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from cli import examples
from cli.completion.tree import nodes
from cli.pflag.reading import flags_of
from cli.root import root
from docs import compatibility

GOLDEN = Path(__file__).parent / "golden"
HELP = sorted(path for path in GOLDEN.glob("*.txt") if path.name != "errors.txt")
TRANSCRIPTS = (GOLDEN / "errors.txt").read_text().rstrip("\n").split("\n\n")


def words(path: Path) -> list[str]:
    return path.stem.split("-")


@pytest.mark.parametrize("golden", HELP, ids=lambda path: path.stem)
def test_the_help_of_each_command_is_dockers(cli, golden):
    result = cli(*words(golden), "--help")
    assert (result.code, result.out, result.err) == (0, golden.read_text(), "")


@pytest.mark.parametrize("golden", HELP, ids=lambda path: path.stem)
def test_help_command_prints_the_same(cli, golden):
    assert cli("help", *words(golden)).out == golden.read_text()


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda text: text.split("\n")[0])
def test_the_error_of_each_wrong_command_line_is_dockers(cli, transcript):
    command, code, *output = transcript.split("\n")
    result = cli(*shlex.split(command.removeprefix("$ ")))
    lines = [
        f"{mark}| {line}" for mark, text in (("o", result.out), ("e", result.err)) for line in text.split("\n")[:-1]
    ]
    assert (f"exit: {result.code}", lines) == (code, output)
    assert cli.engine.calls == []


def test_help_is_wrapped_to_the_terminal(cli, monkeypatch):
    monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((60, 24)))
    lines = cli("network", "create", "--help").out.split("\n")
    assert "      --attachable           Enable manual container" in lines
    assert max(map(len, lines)) <= 60


def test_the_list_of_all_commands_names_hawse_only(cli):
    result = cli("--help")
    assert result.code == 0
    assert result.out.startswith("\nUsage:  hawse [OPTIONS] COMMAND\n\nDocker's networks for any Linux process\n")
    assert "  network     Manage networks\n" in result.out
    assert "A pipe gets Docker's text" in result.out
    assert "__exited" not in result.out


def test_no_command_prints_help_on_stderr(cli):
    result = cli()
    assert (result.code, result.out, result.err) == (0, "", cli("--help").out)


def test_an_unknown_global_flag_prints_the_usage(cli):
    result = cli("--bogus")
    assert result.code == 125
    assert result.err.startswith("unknown flag: --bogus\nSee 'hawse --help'.\n\nUsage:  hawse [OPTIONS] COMMAND\n")


def at_terminal(cli, *argv: str) -> str:
    cli.terminal = True
    return cli("--no-color", *argv).out


COMMANDS = [node for node in nodes(root) if not node.commands]


@pytest.mark.parametrize("node", COMMANDS, ids=lambda node: node.paths[0])
def test_help_on_a_terminal_ends_with_examples(cli, node):
    for path in node.paths:
        shown = at_terminal(cli, *path.split(), "--help").partition("\nExamples:\n")[2].splitlines()
        comments, lines = shown[::2], shown[1::2]
        assert lines and len(comments) == len(lines)
        assert all(line.startswith("  # ") for line in comments)
        assert max(map(len, shown)) <= 79
        assert all(any(f"hawse {name}" in line for name in node.paths) for line in lines)


def test_every_example_belongs_to_a_command():
    shown = {examples.notes(f"hawse {path}") for node in COMMANDS for path in node.paths}
    for name, entries in examples.EXAMPLES.items():
        assert any(entries[0][1] in text for text in shown), name


def options(text: str) -> list[str]:
    """Return the first name of each option in a help text."""
    return [line.split()[0] for line in text.splitlines() if line.lstrip().startswith("-")]


@pytest.mark.parametrize("golden", HELP, ids=lambda path: path.stem)
def test_help_on_a_terminal_has_dockers_options_in_dockers_order(cli, golden):
    docker = options(golden.read_text())
    assert [name for name in options(at_terminal(cli, *words(golden), "--help")) if name in docker] == docker


def test_flags_without_an_effect_are_marked_on_a_terminal(cli):
    """The marks are those of docs/compatibility.md."""
    facts = compatibility.load()[0]
    for node in nodes(root):
        command, context = root, None
        for word in node.paths[0].split():
            command = command.get_command(context, word)
        for flag in flags_of(command):
            state = facts.flag(node.paths, flag.long, ours=True)[0] if not flag.hidden or flag.effect else ""
            assert flag.effect == (state if state in ("ignored", "refused") else ""), f"{node.paths} {flag.long}"
    shown = " ".join(at_terminal(cli, "run", "--help").split())
    assert "Memory limit (ignored by hawse)" in shown
    assert "Add a host device to the container (refused by hawse)" in shown


def test_help_on_a_terminal_has_the_commands_and_flags_that_only_hawse_has(cli):
    assert "  verify      Compare this host" in at_terminal(cli, "network", "--help")
    shown = at_terminal(cli, "network", "connect", "--help")
    assert "--default-route" in shown and "netns:NAME" in shown
    assert "hostfs" in at_terminal(cli, "run", "--help")


def test_the_help_of_hawse_explains_images_and_containers(cli):
    shown = cli("--help").out
    for word in ("hostfs", "hawse pull", "netns:NAME", "pid:N"):
        assert word in shown
