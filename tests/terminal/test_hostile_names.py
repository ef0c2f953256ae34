"""Another host or an image has chosen hostile names.

TAB must not execute any part of such a name, and must not garble the screen.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.store.sqlite import SqliteStore
from tests.terminal.conftest import CHECKOUT, PATIENCE, Screen, network, start

PROGRAM = """#!/bin/sh
[ "$1" != __complete ] || PYTHONPATH={checkout} exec {python} -m cli "$@"
printf '%s\\0' "$@" > said.new && mv said.new said
"""
"""A ``hawse`` script that passes completion queries to the real hawse, and records the arguments of other commands."""

NAMES = {
    "n01": "$(touch pwned)",
    "n02": "`touch pwned`",
    "n03": "it's; touch pwned; '",
    "n04": 'say "; touch pwned; "',
    "n05": ";touch pwned",
    "n06": "|touch pwned&",
    "n07": "<pwned>pwned",
    "n08": "back\\slash\\",
    "n09": "$HOME ${HOME} ~root",
    "n10": "*?[a-z]{a,b}",
    "n11": "%F{red}%n%%",
    "n12": "#c =ls ^a",
    "n13": "a:b=c,d",
    "n14": "网络 ünï",
    "n15": "!touch",
}
NOT_OFFERED = ["n20\x1b[2J", "n21\x9b31m", "n22\u202etxt", "n23\nline", "n24\x07", "n25\x7f", "--n26", "-v /:/x"]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    """A home directory with the completion files, and with a store that contains hostile names."""
    home = tmp_path_factory.mktemp("hostile")
    (home / "bin").mkdir()
    program = home / "bin" / "hawse"
    program.write_text(PROGRAM.format(python=shlex.quote(sys.executable), checkout=shlex.quote(str(CHECKOUT))))
    program.chmod(0o755)
    shutil.copytree(CHECKOUT / "completions", home / "completions")
    with SqliteStore(home / "state" / "hawse.db").write() as tx:
        for number, name in enumerate([*(key + rest for key, rest in NAMES.items()), *NOT_OFFERED], 1):
            labels = {f"l{number}\x1b[2J$(touch pwned)": "\x1b[2J`touch pwned`", "good": "1", "great": "2"}
            tx.put_network(network(number, name, labels=labels))
    return home


@pytest.fixture(scope="module", params=["bash", "zsh", "fish"])
def shell(request, hostile) -> Iterator[Screen]:
    screen = start(request.param, hostile)
    yield screen
    screen.close()


def executed(screen: Screen, home: Path, line: str) -> list[str]:
    """Type a line, TAB and Enter; return the arguments of the ``hawse`` command that the shell executed.

    If the shell executed no ``hawse`` command, return the text on the screen.
    """
    output = home / "said"
    output.unlink(missing_ok=True)
    screen.fresh()
    screen.keys("-l", line)
    screen.keys("Tab", "Enter")
    end = time.monotonic() + PATIENCE
    while not output.exists() and time.monotonic() < end:
        time.sleep(0.02)
    return output.read_text().split("\0")[:-1] if output.exists() else [screen.text()]


@pytest.fixture
def untouched(hostile) -> Iterator[None]:
    """Check after the test that no shell executed text from a name."""
    (hostile / "pwned").unlink(missing_ok=True)
    yield
    assert not (hostile / "pwned").exists()


@pytest.mark.parametrize("quote", ["", '"', "'"])
def test_name_becomes_one_word_and_nothing_is_executed(shell, hostile, untouched, quote):
    arguments = {key: executed(shell, hostile, f"hawse network rm {quote}{key}")[2:] for key in NAMES if key != "n15"}
    assert arguments == {key: [key + rest] for key, rest in NAMES.items() if key != "n15"}


@pytest.mark.parametrize("quote", ["", "'"])
def test_name_that_looks_like_a_history_expansion_stays_text(shell, hostile, untouched, quote):
    assert executed(shell, hostile, f"hawse network rm {quote}n15")[2:] == ["n15!touch"]


def test_bash_is_not_offered_a_history_expansion_in_double_quotes(hostile, started, untouched):
    line = 'hawse network rm "n15'
    assert started("bash", hostile).completed(line, f"{line}Z") == f"{line}Z"


@pytest.mark.parametrize(("line", "word"), [("hawse network rm n", "n14"), ("hawse network ls -f label=", "good")])
def test_names_that_cannot_be_typed_are_not_offered(shell, hostile, untouched, line, word):
    shown = shell.offered(line, word)
    assert word in shown
    assert [text for text in ("n20", "n21", "txt", "line", "n24", "n25", "n26", "/x", "l1") if text in shown] == []


def test_hostile_file_names_are_no_flags(shell, hostile, untouched):
    """The user's directory has a file with a hostile name. A pattern in the completion tables matches this name. The
    shell must not replace the pattern by the name.
    """
    evil = hostile / "evil--label,$(touch pwned)=environment"
    evil.touch()
    line = "hawse network create --lab"
    completions = ("hawse network create --label Z", "hawse network create --label=Z")
    assert shell.completed(line, *completions) in completions
    evil.unlink()


@pytest.mark.parametrize("option", ["failglob", "nullglob"])
def test_completion_works_with_the_options_failglob_and_nullglob_of_bash(hostile, started, option):
    screen = started("bash", hostile)
    screen.keys("-l", f"shopt -s {option}")
    screen.keys("Enter")
    line = "hawse network create --lab"
    assert screen.completed(line, "hawse network create --label Z") == "hawse network create --label Z"


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_answer_in_a_directory_of_another_user_is_not_read(name, hostile, tmp_path, started):
    """Completion keeps its answers in a file. Here the file is in a directory of another user, who could write any
    names into the file.

    The shell must not read the file. hawse itself refuses to use the directory.
    """
    root = tmp_path / "state"
    (root / "names").mkdir(parents=True)
    for file in (root / "hawse.db", root / "names" / "custom-networks+"):
        file.write_text("from-another-user\t\n")
    for path in (root, *root.rglob("*")):
        os.chown(path, 65534, 65534)
        os.utime(path, ns=(1, 1))
    screen = started(name, hostile, root=root)
    nothing = ("hawse network rm fromZ",)
    assert screen.completed("hawse network rm from", *nothing) in nothing
