"""``ps`` and ``ls`` on terminals of 60, 80 and 120 columns."""

from __future__ import annotations

import json
import re

import pytest
from rich.cells import cell_len

from engine.store.sqlite import SqliteStore
from tests.terminal.conftest import fill, network, on_terminal

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PROGRAM = """
import json, sys
from types import SimpleNamespace
from cli.app import App
from cli.root import run
documents = json.loads(sys.argv.pop(1))
listing = SimpleNamespace(list=lambda filters, **how: documents)
sys.exit(run(sys.argv[1:], App(open_engine=lambda: SimpleNamespace(containers=listing))))
"""
STATUSES = ("Up 2 hours (unhealthy)", "Exited (0) 5 minutes ago", "Exited (137) 3 weeks ago", "Up About a minute")
NAMES = ("web", "网络网络网络", "e\u0301te\u0301", "a-name-of-more-than-thirty-letters-in-all")
PORTS = [
    {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
    {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
]


def document(number: int) -> dict:
    return {
        "Id": f"{number:x}" * 64, "Names": [f"/{NAMES[number]}"], "Image": "registry.test:5000/team/app:1.0",
        "ImageID": "", "Command": "python3 -m http.server 80", "Created": 1700000000, "State": "running",
        "Status": STATUSES[number], "Ports": PORTS if number < 2 else [], "Labels": {}, "Mounts": [],
        "NetworkSettings": {"Networks": {}},
    }  # fmt: skip


DOCUMENTS = json.dumps([document(number) for number in range(4)])


def ps(columns: int, *argv: str, **environ: str) -> list[str]:
    return on_terminal(columns, DOCUMENTS, "ps", "-a", *argv, program=PROGRAM, **environ).splitlines()


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_ps_fits_and_keeps_ids_names_and_states(columns):
    lines = [COLOUR.sub("", line) for line in ps(columns)]
    assert len(lines) == 5
    assert max(map(cell_len, lines)) <= columns
    assert lines[0].startswith("CONTAINER ID  ") and lines[0].endswith("  NAMES")
    assert [line[:12] for line in lines[1:]] == [f"{number:x}" * 12 for number in range(4)]
    starts = {cell_len(line[: line.index(name[:8])]) for line, name in zip(lines[1:], NAMES, strict=True)}
    assert starts == {cell_len(lines[0][: lines[0].index("NAMES")])}
    for line, status in zip(lines[1:], STATUSES, strict=True):
        assert status.split()[0] in line
    assert ("COMMAND" in lines[0]) == (columns > 80)
    assert ("…" in lines[0]) == (columns <= 80)


def test_states_have_colours():
    lines = ps(200)
    assert "\x1b[31mUp 2 hours (unhealthy)\x1b[0m" in lines[1]
    assert "\x1b[90mExited (0) 5 minutes ago\x1b[0m" in lines[2]
    assert "\x1b[31mExited (137) 3 weeks ago\x1b[0m" in lines[3]
    assert "\x1b[32mUp About a minute\x1b[0m" in lines[4]


def test_no_trunc_and_a_terminal_without_colour_get_dockers_table():
    docker = ps(60, NO_COLOR="1")
    assert "\x1b" not in "".join(docker) and "COMMAND" in docker[0] and cell_len(docker[1]) > 60
    assert ps(60, TERM="dumb") == docker
    whole = ps(60, "--no-trunc")
    assert '"python3 -m http.server 80"' in whole[1] and "\x1b[32m" not in "".join(whole)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_network_ls_fits_in_a_real_terminal(columns, started, directory, tmp_path):
    """tmux computes the width of each letter. A line that is wider than the screen therefore takes two screen lines."""
    fill(tmp_path)
    names = ["网络" * 12, "e\u0301" * 30, "x" * 70]
    with SqliteStore(tmp_path / "hawse.db").write() as tx:
        for number, name in enumerate(names, 8):
            tx.put_network(network(number, name))
    screen = started("bash", directory, root=tmp_path, columns=columns)
    screen.keys("-l", "clear; hawse network ls; echo end")
    screen.keys("Enter")
    screen.wait_for(lambda text: "\nend\n" in text)
    lines = screen.tmux("capture-pane", "-p").partition("\nend\n")[0].splitlines()
    rows = lines[next(n for n, line in enumerate(lines) if line.startswith("NETWORK ID")) + 1 :]
    assert len(rows) == 10
    drivers = {cell_len(re.match(r"(.*  )(bridge|host|null) +local$", row)[1]) for row in rows}
    assert len(drivers) == 1
