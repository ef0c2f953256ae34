"""Go's tabwriter as Docker uses it."""

from __future__ import annotations

from cli.table import align


def test_columns_are_at_least_ten_wide_with_three_blanks_between():
    assert align(["NETWORK ID\tNAME\tDRIVER", "0123456789ab\tn1\tbridge"]) == [
        "NETWORK ID     NAME      DRIVER",
        "0123456789ab   n1        bridge",
    ]


def test_a_header_alone():
    assert align(["NETWORK ID\tNAME\tDRIVER\tSCOPE"]) == ["NETWORK ID   NAME      DRIVER    SCOPE"]


def test_empty_cells_keep_their_column():
    assert align(["NAME\tLABELS\tIPV6", "n1\t\tfalse"]) == ["NAME      LABELS    IPV6", "n1                  false"]


def test_a_line_without_tabs_separates_two_tables():
    assert align(["a-very-long-cell\tx", "separator", "b\ty"]) == ["a-very-long-cell   x", "separator", "b         y"]


def test_the_last_cell_is_not_padded():
    assert align(["a\tlong last cell", "b\tx"]) == ["a         long last cell", "b         x"]
