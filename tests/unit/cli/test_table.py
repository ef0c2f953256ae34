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


def test_wide_letters_take_two_columns_and_marks_none():
    assert align(["NAME\tDRIVER", "网络网络网络\tx", "e\u0301\ty"]) == [
        "NAME           DRIVER",
        "网络网络网络   x",
        "e\u0301              y",
    ]


def test_what_a_joiner_glues_together_is_one_sign():
    assert align(["aaaaaaaaaa👨\u200d👩\u200d👧\tx"]) == ["aaaaaaaaaa👨\u200d👩\u200d👧   x"]
