"""The generated pages are current, each link of the documentation has a target, and its command lines are valid."""

from __future__ import annotations

import html
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import click
import pytest

from cli.pflag.parser import FlagSet
from cli.pflag.reading import flags_of
from cli.root import root
from docs import build, manpages, reference, session

CHECKOUT = Path(__file__).parent.parent.parent
PAGES = [*sorted(CHECKOUT.glob("*.md")), *sorted((CHECKOUT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(?:sh|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT = re.compile(r"(?:[\w-]*[#$] )?(hawse .*)")
GROUPS = {"network", "container", "image", "swarm", "node", "system"}


def test_generated_pages_are_current():
    assert build.stale() == [], "run `python -m docs.build`"


@pytest.mark.parametrize("table", ["daemon", "environment", "exit", "option"])
def test_a_name_without_a_text_and_a_text_without_a_name_are_found(monkeypatch, table):
    load = reference.tomllib.loads

    def without_one(text: str) -> dict:
        tables = load(text)
        tables[table].popitem()
        return tables

    monkeypatch.setattr(reference.tomllib, "loads", without_one)
    with pytest.raises(reference.Unexplained, match=f"table {table}"):
        reference.texts()
    monkeypatch.setattr(reference.tomllib, "loads", lambda text: {**load(text), table: {**load(text)[table], "x": ""}})
    with pytest.raises(reference.Unexplained, match=f"table {table}: x"):
        reference.texts()


def test_the_picture_shows_the_session_of_the_readme():
    drawn = html.unescape(re.sub(r"<[^>]*>", " ", session.TARGET.read_text())).replace("\xa0", " ").split()
    for line in session.session():
        for word in line.split():
            assert word in drawn, "stale: run `python -m docs.session`"


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes from the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_links_lead_to_files_and_headings(page):
    for link in LINK.findall(page.read_text()):
        if not link.startswith(("http://", "https://", "mailto:")):
            path, _, heading = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            assert not heading or heading in anchors(target), link


def command_lines(page: Path) -> list[str]:
    lines = "".join(BLOCK.findall(page.read_text())).replace("\\\n", " ").splitlines()
    return [match[1] for line in lines if (match := PROMPT.fullmatch(line.strip()))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_command_lines_have_commands_and_flags_that_exist(page):
    for line in command_lines(page):
        lexer = shlex.shlex(
            re.sub(r"\$\([^)]*\)", "WORDS", line.replace(" 2>&1", "")), posix=True, punctuation_chars=";|&<>"
        )
        lexer.whitespace_split = True
        words = list(lexer)
        end = next((n for n, word in enumerate(words) if set(word) <= set(";|&<>")), len(words))
        check(words[1:end], line)


def check(words: list[str], line: str) -> None:
    """Parse the words after ``hawse`` as hawse does, without running a command; fail for an unknown command or flag."""
    command: click.Command = root
    while isinstance(command, click.Group):
        rest = FlagSet(flags_of(command), lambda _: None).parse(words, interspersed=False)
        if not rest:
            return
        subcommand = command.get_command(click.Context(command), rest[0])
        assert subcommand is not None, line
        command, words = subcommand, rest[1:]
    everywhere = [flag for flag in flags_of(root) if flag.everywhere]
    rest = FlagSet([*flags_of(command), *everywhere], lambda _: None).parse(words, interspersed=command.interspersed)
    assert "--help" in words or command.arity.allows(len(rest)), line


def test_man_finds_the_pages_that_the_wheel_installs():
    installed = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert installed["shared-data"]["docs/man"] == "share/man"
    for name, word in [
        ("hawse", "HAWSE_ROOT"), ("hawse-network-create", "enable_icc"), ("hawse-run", "--publish"),
        ("hawse-container-run", "--publish"), ("hawse-daemon.json", "default-address-pools"),
    ]:  # fmt: skip
        command = ["man", "--warnings", "-E", "UTF-8", "-M", str(manpages.DIRECTORY), name]
        ran = subprocess.run(command, capture_output=True, text=True)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert word in re.sub("\b.", "", ran.stdout).replace("\u2010", "-")
