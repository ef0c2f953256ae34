"""JSON as Go reads it."""

from __future__ import annotations

import json

import pytest

from api.docker.golang_json import decode, syntax_error


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (rb'{"a": "x\ud800y"}', {"a": "x\ufffdy"}),
        (rb'["\ud83d\ude00"]', ["\U0001f600"]),
        (b'"\xff"', "\ufffd"),
        (b"[1]", [1]),
    ],
)
def test_what_is_no_unicode_is_replaced(data, value):
    assert decode(data) == value


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"bad", "invalid character 'b' looking for beginning of value"),
        (b'{"a"', "unexpected EOF"),
        (b'{"a":1', "unexpected EOF"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b"{} {}", "unexpected content after JSON"),
        (b"[" * 100_000, "exceeded max depth"),
    ],
)
def test_texts_of_go(data, text):
    with pytest.raises((ValueError, RecursionError)) as refused:
        decode(data)
    assert syntax_error(refused.value, data) == text
    assert refused.type in (json.JSONDecodeError, RecursionError)
