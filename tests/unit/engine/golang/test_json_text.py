"""hawse reads JSON as Go does. The expected texts are those of dockerd 26.1.5 for the same bodies."""

from __future__ import annotations

import pytest

from engine.golang.json_text import InvalidJson, Literal, MoreContent, decode, unmarshal
from engine.golang.json_types import Pairs


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (rb'{"a": "x\ud800y"}', Pairs([("a", "x\ufffdy")])),
        (rb'["\ud83d\ude00"]', ["\U0001f600"]),
        (b'"\xff"', "\ufffd"),
        (b"\n[1]\n", [1]),
        (b'{"a":1,"a":2}', Pairs([("a", 1), ("a", 2)])),
        (b"{}]", Pairs()),
        (b"[-0]", [0]),
    ],
)
def test_valid_json_is_decoded_as_by_go(data, value):
    assert decode(data) == value


def test_unusual_numbers_are_kept_as_written():
    numbers = decode(b"[1.5, 1e999, 123456789012345678901234567890, " + b"9" * 5000 + b"]")
    assert [number.text for number in numbers if isinstance(number, Literal)] == [
        "1.5", "1e999", "123456789012345678901234567890", "9" * 5000
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"bad", "invalid character 'b' looking for beginning of value"),
        (b"NaN", "invalid character 'N' looking for beginning of value"),
        (b'{"a":NaN}', "invalid character 'N' looking for beginning of value"),
        (b'{"a":-Infinity}', "invalid character 'I' in numeric literal"),
        (b'{"a"', "unexpected EOF"),
        (b'{"a":1', "unexpected EOF"),
        (b"-", "unexpected EOF"),
        (b"tru", "unexpected EOF"),
        (b"1.", "unexpected EOF"),
        (b"1e", "unexpected EOF"),
        (b'"a', "unexpected EOF"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b"{'a':1}", "invalid character '\\'' looking for beginning of object key string"),
        (b"{,}", "invalid character ',' looking for beginning of object key string"),
        (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        (b'{"a":[1,]}', "invalid character ']' looking for beginning of value"),
        (b'{"a":["b" "c"]}', "invalid character '\"' after array element"),
        (b'{"a":1 "b"}', "invalid character '\"' after object key:value pair"),
        (b'{"a":1\xc3\xa9}', "invalid character 'Ã' after object key:value pair"),
        (b"\xff\xfe", "invalid character 'ÿ' looking for beginning of value"),
        (b"\xef\xbb\xbf{}", "invalid character 'ï' looking for beginning of value"),
        (b'{"a":1.}', "invalid character '}' after decimal point in numeric literal"),
        (b'{"a":1e+}', "invalid character '}' in exponent of numeric literal"),
        (b'{"a":01}', "invalid character '1' after object key:value pair"),
        (b'{"a":tru}', "invalid character '}' in literal true (expecting 'e')"),
        (b'{"a":nulx}', "invalid character 'x' in literal null (expecting 'l')"),
        (b'{"a":"\\x"}', "invalid character 'x' in string escape code"),
        (b'{"a":"\\u12G4"}', "invalid character 'G' in \\u hexadecimal character escape"),
        (b'{"a":"b\nc"}', "invalid character '\\n' in string literal"),
        (b'{"a":"b\x00c"}', "invalid character '\\x00' in string literal"),
        (b"[" * 100_000, "invalid character '[' exceeded max depth"),
        (b'{"x":' * 10_001 + b"1" + b"}" * 10_001, "invalid character '{' exceeded max depth"),
        (b"[" * 800 + rb'"\ud800"' + b"]" * 800, "exceeded max depth"),  # Go accepts this; Python has less depth
    ],
)
def test_syntax_errors_have_the_texts_of_go(data, text):
    with pytest.raises(InvalidJson) as refused:
        decode(data)
    assert str(refused.value) == text


@pytest.mark.parametrize(("data", "whole"), [(b"{} {}", False), (b"{} x", False), (b"{}]", True)])
def test_text_after_the_first_value_is_refused(data, whole):
    with pytest.raises(MoreContent, match="unexpected content after JSON"):
        decode(data, whole=whole)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "unexpected end of JSON input"),
        ('{"a"', "unexpected end of JSON input"),
        ("{} x", "invalid character 'x' after top-level value"),
        ("{}]", "invalid character ']' after top-level value"),
        ("{} {}", "invalid character '{' after top-level value"),
        ("01", "invalid character '1' after top-level value"),
        ("// x\n{}", "invalid character '/' looking for beginning of value"),
        ("\ufeff{}", "invalid character 'ï' looking for beginning of value"),
    ],
)
def test_a_text_with_one_value_has_the_errors_of_unmarshal(text, error):
    with pytest.raises(InvalidJson) as refused:
        unmarshal(text)
    assert str(refused.value) == error


def test_a_text_with_one_value_is_decoded():
    assert unmarshal(' {"a": [1]}\n') == Pairs([("a", [1])])
