"""Records are converted to JSON and back without loss. A document that is not a valid record is refused.

The error names the record's type, and the field if one is invalid or missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType, NoneType, UnionType
from typing import Union, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import fields

from engine import model
from engine.store.codec import CodecError, decode, encode

RECORDS = [model.NetworkRecord, model.ContainerRecord, model.EndpointRecord, model.ImageRecord]
TEXT = st.text(max_size=5)


def values(hint):
    """Return a test-data strategy for all values that a record's field may have by its type hint.

    A generated collection has at most three items.
    """
    arguments = get_args(hint)
    if isinstance(hint, type) and issubclass(hint, Struct):
        return st.builds(hint, **{field.name: values(field.type) for field in fields(hint)})
    if get_origin(hint) in (Union, UnionType):
        return st.one_of(*map(values, arguments))
    if get_origin(hint) is Mapping:
        return st.dictionaries(TEXT, values(arguments[1]), max_size=3)
    if get_origin(hint) is tuple and Ellipsis in arguments:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if get_origin(hint) is tuple:
        return st.tuples(*map(values, arguments))
    return {str: TEXT, int: st.integers(), bool: st.booleans(), NoneType: st.none()}[hint]


@settings(max_examples=20, deadline=None)
@given(data=st.data(), kind=st.sampled_from(RECORDS))
def test_every_record_comes_back_equal(data, kind):
    record = data.draw(values(kind))
    assert decode(kind, encode(record)) == record


class Inner(Struct, frozen=True, omit_defaults=True):
    name: str


class Outer(Struct, frozen=True, omit_defaults=True):
    id: str
    inner: tuple[Inner, ...] = ()
    options: Mapping[str, str] | None = None
    ratio: float | None = None
    size: tuple[int, int] = (0, 0)
    count: int = 7
    on: bool = False


def test_lists_come_back_as_tuples_and_any_mapping_as_a_dict():
    there = Outer("a", [Inner("x")], MappingProxyType({"k": "v"}))
    assert decode(Outer, encode(there)) == Outer("a", (Inner("x"),), {"k": "v"})


def test_unknown_fields_are_dropped_and_missing_optional_ones_take_their_default():
    assert decode(Outer, '{"id": "a", "invented_later": [1], "inner": [{"name": "x", "also": 1}]}') == Outer(
        "a", (Inner("x"),)
    )


def test_defaults_are_not_written():
    assert encode(Outer("a")) == '{"id":"a"}'
    assert encode(Outer("a", count=0, options={})) == '{"id":"a","options":{},"count":0}'
    assert decode(Outer, encode(Outer("a", count=0))).count == 0


def test_space_around_a_document_is_accepted():
    assert decode(Outer, ' {"id": "a"}\n') == Outer("a")


def test_an_integer_is_accepted_for_a_float():
    assert decode(Outer, '{"id": "a", "ratio": 2}').ratio == 2


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("{}", "Outer: Object missing required field `id`"),
        ('{"id": null}', "Outer: Expected `str`, got `null` - at `$.id`"),
        ('{"id": "a", "count": true}', "Outer: Expected `int`, got `bool` - at `$.count`"),
        ('{"id": "a", "on": 1}', "Outer: Expected `bool`, got `int` - at `$.on`"),
        ('{"id": "a", "inner": [{}]}', "Outer: Object missing required field `name` - at `$.inner[0]`"),
        ('{"id": "a", "inner": {}}', "Outer: Expected `array`, got `object` - at `$.inner`"),
        ('{"id": "a", "options": {"k": 1}}', "Outer: Expected `str`, got `int` - at `$.options[...]`"),
        ('{"id": "a", "options": []}', "Outer: Expected `object | null`, got `array` - at `$.options`"),
        ('{"id": "a", "size": [1]}', "Outer: Expected `array` of length 2 - at `$.size`"),
        ("[]", "Outer: Expected `object`, got `array`"),
        ("{", "Outer: Input data was truncated"),
    ],
)
def test_the_error_for_an_invalid_document_names_the_field(document, complaint):
    with pytest.raises(CodecError, match="^" + re.escape(complaint)):
        decode(Outer, document)


def test_values_that_a_record_cannot_hold_are_not_encoded():
    with pytest.raises(TypeError, match="object has no place in a record"):
        encode(Outer("a", count=object()))
