"""hawse parses integers in Go's notation."""

from __future__ import annotations

import pytest

from engine.golang.strconv import parse_int, parse_uint


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("-5", -5), ("+5", 5), ("0x1F", 31), ("017", 15), ("0o17", 15), ("0O1_7", 15), ("0b11", 3),
        ("1_000", 1000),
    ],
)  # fmt: skip
def test_integers_are_parsed_as_in_go(text, value):
    assert parse_int(text) == value


@pytest.mark.parametrize("text", ["", "a", "1.0", "08", " 1", "1_", "\u0661", "0o", "0x", "0_"])
def test_an_invalid_integer_is_refused(text):
    with pytest.raises(ValueError, match="invalid syntax"):
        parse_int(text)


def test_an_integer_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r'^strconv.ParseUint: parsing "70000": value out of range$'):
        parse_uint("70000", 16, base=10)
    with pytest.raises(ValueError, match="value out of range"):
        parse_int("9223372036854775808")
    assert parse_int("-9223372036854775808") == -(2**63)
    with pytest.raises(ValueError, match="value out of range"):
        parse_int("-" + "9" * 5000)
    assert parse_int("0" * 5000 + "7", base=10) == 7
