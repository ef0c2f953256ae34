"""CSV records in the values of flags, such as ``--mount``."""

from __future__ import annotations

import pytest

from cli.pflag.csv import csv_fields


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("a", ["a"]),
        ("a,,b,", ["a", "", "b", ""]),
        ('"a,b",c', ["a,b", "c"]),
        ('"a""b"', ['a"b']),
        ('""', [""]),
        (" a , b", [" a ", " b"]),
        ("a\nb", ["a"]),
        ('"a\nb",c', ["a\nb", "c"]),
        ('"a\r\nb",c\r\nd', ["a\nb", "c"]),
        ('"\udce9",\udce9', ["\udce9", "\udce9"]),
    ],
)
def test_csv_fields_are_parsed_as_in_go(text, fields):
    assert csv_fields(text) == fields


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('a"b', 'parse error on line 1, column 2: bare " in non-quoted-field'),
        ('"a', 'parse error on line 1, column 3: extraneous or missing " in quoted-field'),
        ('"a"b', 'parse error on line 1, column 3: extraneous or missing " in quoted-field'),
        ("\n", "EOF"),
        ("\r\n", "EOF"),
        ('"\udce9', 'parse error on line 1, column 3: extraneous or missing " in quoted-field'),
        ('type=bind,\u00e9"x', 'parse error on line 1, column 13: bare " in non-quoted-field'),
        ('"\u00e9"x', 'parse error on line 1, column 4: extraneous or missing " in quoted-field'),
        ('\n\na"b', 'parse error on line 3, column 2: bare " in non-quoted-field'),
        (
            '\n"\u00e9\n\u00fc"x',
            'record on line 2; parse error on line 3, column 3: extraneous or missing " in quoted-field',
        ),
        ('a,"b\n', 'parse error on line 1, column 6: extraneous or missing " in quoted-field'),
        ('a,"b\n\n', 'record on line 1; parse error on line 2, column 2: extraneous or missing " in quoted-field'),
    ],
)
def test_invalid_csv_is_refused_with_gos_text(text, error):
    """The texts are those of docker 26.1.5."""
    with pytest.raises(ValueError) as raised:
        csv_fields(text)
    assert str(raised.value) == error
