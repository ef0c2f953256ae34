"""Strings are quoted as by Go's ``%q``."""

from __future__ import annotations

import pytest

from engine.golang.strconv import quote


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("a", '"a"'),
        ('a"b\\', '"a\\"b\\\\"'),
        ("\n\t\x00\x7f", '"\\n\\t\\x00\\x7f"'),
        ("é\u200b", '"é\\u200b"'),
        ("\udcff", '"\\xff"'),
    ],
)
def test_strings_are_quoted_as_go_does(text, quoted):
    assert quote(text) == quoted


def test_the_quotation_mark_and_ascii_only_can_be_chosen():
    assert quote("'", mark="'") == "'\\''"
    assert quote("é\U0001f600", ascii_only=True) == '"\\u00e9\\U0001f600"'
