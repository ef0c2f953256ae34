"""hawse fits its tables into the width of the terminal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from cli.output.table import align
from cli.output.terminal_table import coloured, table_lines

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
TITLES = ["CONTAINER ID", "IMAGE", "COMMAND", "STATUS", "NAMES"]
ELIDED = ("COMMAND", "IMAGE", "STATUS")
words = st.text(st.sampled_from("ab网e-"), max_size=50)


def lines(rows: list[list[str]], room: int) -> list[str]:
    return [COLOUR.sub("", line) for line in table_lines(rows, ELIDED, room)]


@given(st.lists(st.tuples(words, words, words, words), max_size=4), st.integers(60, 200))
def test_every_table_fits_the_width_and_keeps_whole_ids(cells, room):
    rows = [TITLES, *(["0123456789ab", *row] for row in cells)]
    shown = lines(rows, room)
    assert max(map(cell_len, shown)) <= room
    assert all(line.startswith("0123456789ab") for line in shown[1:])


def test_a_table_that_fits_is_formatted_as_by_docker():
    rows = [TITLES, ["0123456789ab", "hostfs", '"sleep 1d"', "Created", "web"]]
    docker = align(["\t".join(row) for row in rows])
    assert lines(rows, 200) == docker
    assert lines(rows, 0) == docker
    assert lines(rows, max(map(len, docker))) == docker
    assert lines(rows, max(map(len, docker)) - 1) != docker


def test_columns_that_are_left_out_share_one_mark():
    rows = [TITLES, ["0123456789ab", "i" * 30, "c" * 30, "Up 2 hours", "n" * 24]]
    assert lines(rows, 60) == [
        "CONTAINER ID  …  STATUS      NAMES",
        f"0123456789ab  …  Up 2 hours  {'n' * 24}",
    ]


def test_cells_are_cut_before_a_column_is_left_out():
    rows = [TITLES, ["0123456789ab", "i" * 30, "c" * 30, "Up 2 hours", "web"]]
    assert lines(rows, 60) == [
        "CONTAINER ID  IMAGE         COMMAND        STATUS      NAMES",
        "0123456789ab  iiiiiiiiiii…  cccccccccccc…  Up 2 hours  web",
    ]


def test_a_long_name_is_cut_before_a_state():
    rows = [TITLES, ["0123456789ab", "i" * 30, '"sleep 1d"', "Up 2 hours (unhealthy)", "n" * 40]]
    assert lines(rows, 60)[1] == f"0123456789ab  …  Up 2 hours (unhe…  {'n' * 23}…"
    assert lines(rows, 90)[1] == f'0123456789ab  iiiiiiiii…  "sleep 1d"  Up 2 hours (unhealthy)  {"n" * 27}…'


@pytest.mark.parametrize(("state", "code"), [("Up 2 hours (unhealthy)", "31"), ("Exited (0) 2 hours ago", "90")])
def test_a_cut_state_has_the_colour_of_the_whole(state, code):
    rows = [TITLES, ["0123456789ab", "i" * 30, "c" * 30, state, "n" * 24]]
    assert f"  \x1b[{code}m{state[:9]}…\x1b[0m  " in table_lines(rows, ELIDED, 53)[1]


def test_published_ports_come_first_where_the_column_is_cut():
    ports = "80/tcp, 90/udp, 0.0.0.0:8080->80/tcp, :::8080->80/tcp"
    rows = [["CONTAINER ID", "PORTS", "NAMES"], ["0123456789ab", ports, "web"]]
    assert [COLOUR.sub("", line) for line in table_lines(rows, ("PORTS",), 44)] == [
        "CONTAINER ID  PORTS                    NAMES",
        "0123456789ab  0.0.0.0:8080->80/tcp, …  web",
    ]
    assert ports in COLOUR.sub("", table_lines(rows, ("PORTS",), 200)[1])


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("Up 2 hours", "32"), ("Up 2 hours (healthy)", "32"), ("Up 2 hours (unhealthy)", "31"),
        ("Up 2 hours (Paused)", "33"), ("Up 1 second (health: starting)", "33"), ("Restarting (1) 2 seconds ago", "33"),
        ("Exited (0) 2 hours ago", "90"), ("Exited (137) 2 hours ago", "31"), ("Dead", "31"), ("Ready", "32"),
        ("Down", "31"),
    ],
)  # fmt: skip
def test_states_have_colours(state, code):
    assert coloured(state, state) == f"\x1b[{code}m{state}\x1b[0m"


def test_other_states_have_no_colour():
    assert coloured("Created", "Created") == "Created"
