from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.terminal.conftest import CHECKOUT, on_terminal

GOLDEN = CHECKOUT / "tests" / "unit" / "cli" / "golden"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def plain(text: str) -> str:
    return COLOUR.sub("", text)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_options_fit_the_terminal_and_examples_follow(columns):
    shown = plain(on_terminal(columns, "network", "connect", "--help"))
    assert max(map(len, shown.splitlines())) <= columns
    assert "--default-route" in shown
    assert "  pid:N " in shown and "\nExamples:\n  # " in shown


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_list_of_commands_fits_the_terminal(columns):
    shown = on_terminal(columns)
    assert max(map(len, plain(shown).splitlines())) <= columns
    assert "\x1b[1mCommon Commands:\x1b[0m\n  \x1b[36mrun\x1b[0m " in shown
    beside = plain(shown).partition("  attach ")[2].partition("  completion ")[0].splitlines()[1:]
    assert all(line.startswith(" " * 14) for line in beside)


def test_a_long_example_is_continued_with_a_backslash():
    shown = plain(on_terminal(60, "run", "--help"))
    assert "  hawse run -d --name web -p 8080:80 hostfs python3 -m \\\n      http.server 80\n" in shown


def test_a_pipe_gets_dockers_bytes():
    command = [sys.executable, "-m", "cli", "network", "connect", "--help"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, stdin=subprocess.DEVNULL)
    assert ran.stdout == (GOLDEN / "network-connect.txt").read_text()


def test_a_mistake_gets_a_suggestion_and_a_red_word_on_a_terminal():
    assert on_terminal(80, "netwrok", "ls") == (
        "\x1b[31m\x1b[1mhawse:\x1b[0m 'netwrok' is not a hawse command.\n"
        "See 'hawse --help'\n\nDid you mean 'hawse network'?\n"
    )
    for quiet in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert on_terminal(80, "netwrok", "ls", **quiet).startswith("hawse: 'netwrok' is")


def test_the_version_is_that_of_docker_in_a_pipe():
    """Scripts that check the version of Docker read the third word, or the numbers after "Docker version"."""
    assert re.fullmatch(r"hawse version \S+ \(works as Docker 26\.1\.5\)\n", on_terminal(80, "--version"))
    ran = subprocess.run([sys.executable, "-m", "cli", "--version"], capture_output=True, text=True, cwd=CHECKOUT)
    assert re.fullmatch(r"Docker version 26\.1\.5, build hawse-\S+\n", ran.stdout)
