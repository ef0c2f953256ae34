"""Table columns are aligned as by Go's tabwriter with Docker's settings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.output.table import MINIMAL_WIDTH, PADDING, align, align_columns


def test_columns_are_at_least_ten_wide_with_three_blanks_between():
    assert align(["NETWORK ID\tNAME\tDRIVER", "0123456789ab\tn1\tbridge"]) == [
        "NETWORK ID     NAME      DRIVER",
        "0123456789ab   n1        bridge",
    ]


def test_a_table_without_rows():
    assert align(["NETWORK ID\tNAME\tDRIVER\tSCOPE"]) == ["NETWORK ID   NAME      DRIVER    SCOPE"]


def test_empty_cells_keep_their_column():
    assert align(["NAME\tLABELS\tIPV6", "n1\t\tfalse"]) == ["NAME      LABELS    IPV6", "n1                  false"]


def test_a_line_without_tabs_separates_two_tables():
    assert align(["a-very-long-cell\tx", "separator", "b\ty"]) == ["a-very-long-cell   x", "separator", "b         y"]


def test_the_last_cell_is_not_padded():
    assert align(["a\tlong last cell", "b\tx"]) == ["a         long last cell", "b         x"]


def test_wide_letters_take_two_columns_and_combining_marks_none():
    assert align(["NAME\tDRIVER", "网络网络网络\tx", "e\u0301\ty"]) == [
        "NAME           DRIVER",
        "网络网络网络   x",
        "e\u0301              y",
    ]


def test_characters_with_zero_width_joiners_count_as_one():
    assert align(["aaaaaaaaaa👨\u200d👩\u200d👧\tx"]) == ["aaaaaaaaaa👨\u200d👩\u200d👧   x"]


@given(st.lists(st.lists(st.text("ab -", max_size=12), min_size=3, max_size=3), min_size=1, max_size=5))
def test_lines_with_equal_numbers_of_cells_are_aligned_as_by_the_general_code(rows):
    plain = align(["\t".join(row) for row in rows])
    widths = [max(MINIMAL_WIDTH, *(len(row[place]) + PADDING for row in rows)) for place in range(2)]
    assert plain == [f"{first:{widths[0]}}{second:{widths[1]}}{last}" for first, second, last in rows]
    ragged = align([*("\t".join(row) for row in rows), "x\ty"])  # the short row makes `align` use its general code
    assert ragged[:-1] == plain


@pytest.mark.parametrize("odd", ["tab\tbed", "two\nlines", "\n", "网络网络网络", "e\u0301", ""])
def test_a_table_aligned_by_columns_equals_the_table_aligned_by_lines(odd):
    columns = [["ID", "1", "2"], ["NAME", odd, "a-name-of-some-length"], ["SCOPE", "local", odd]]
    lines = ["ID\tNAME\tSCOPE", f"1\t{odd}\tlocal", f"2\ta-name-of-some-length\t{odd}"]
    assert align_columns(columns) == align("\n".join(lines).split("\n"))
    assert align_columns(columns[1:2]) == align("\n".join(columns[1]).split("\n"))
