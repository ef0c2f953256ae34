"""hawse merges the values of a repeated key as Go's package encoding/json does; see also the tests of request types."""

from __future__ import annotations

import json
import time

import pytest

from engine.golang.json_text import unmarshal
from engine.golang.json_types import Int, ListOf, MapOf, Pointer, Struct, Text, compact, kind

PART = {"a": Text(), "b": Int("uint64", signed=False)}
OUTER = Struct(
    "p.Outer",
    {
        "number": Pointer(Int("uint", signed=False)),
        "list": ListOf(Text()),
        "map": MapOf(Text()),
        "pair": ListOf(Text(), "[2]string", length=2),
        "one": Struct("p.Part", PART),
        "many": ListOf(Struct("p.Part", PART), "[]*p.Part"),
        "values": ListOf(Struct("p.Part", PART, is_value=True)),
    },
)


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ('{"number":1,"number":null}', {"number": None}),
        ('{"list":["a"],"list":null,"list":[null]}', {"list": [""]}),
        ('{"list":["a","b"],"list":[null]}', {"list": ["a"]}),
        ('{"list":["a","b","c"],"list":["d"],"list":[null,null,null,null]}', {"list": ["d", "b", "c", ""]}),
        ('{"list":["a","b"],"list":[],"list":[null]}', {"list": [""]}),
        ('{"pair":["a","b"],"pair":[null]}', {"pair": ["a", ""]}),
        ('{"pair":["a","b"],"pair":[],"pair":[null,null,"c"]}', {"pair": ["", ""]}),
        ('{"map":{"a":"x","b":"y"},"map":{"b":null}}', {"map": {"a": "x", "b": ""}}),
        ('{"one":{"a":"x"},"one":{"b":1}}', {"one": {"a": "x", "b": 1}}),
        ('{"one":{"a":"x"},"one":null,"one":{"b":1}}', {"one": {"b": 1}}),
        ('{"many":[{"a":"x"},{"a":"y"}],"many":[{"b":1}]}', {"many": [{"a": "x", "b": 1}]}),
        ('{"many":[{"a":"x"},{"a":"y"}],"many":[{}],"many":[null,{"b":1}]}', {"many": [None, {"a": "y", "b": 1}]}),
        ('{"values":[{"a":"x"}],"values":[null,null]}', {"values": [{"a": "x"}, {}]}),
    ],
)
def test_values_of_one_key_merge_as_in_go(text, decoded):
    assert OUTER.document(unmarshal(text)) == decoded


MANY = 50_000


@pytest.mark.parametrize(
    ("key", "first", "later", "length"),
    [("list", [""] * MANY, [""], 1), ("map", dict.fromkeys(map(str, range(MANY)), ""), {"0": ""}, MANY)],
)
def test_a_key_may_be_repeated_very_often(key, first, later, length):
    texts = [json.dumps(first), *[json.dumps(later)] * MANY]
    value = unmarshal("{" + ",".join(f'"{key}":{text}' for text in texts) + "}")
    start = time.process_time()
    assert len(OUTER.document(value)[key]) == length
    assert time.process_time() - start < 2  # seconds; with a copy for each repetition, it takes 20 s or more


def test_a_pointers_type_is_named_without_the_pointer():
    with pytest.raises(
        ValueError, match=r"^json: cannot unmarshal string into Go struct field Outer\.number of type uint$"
    ):
        OUTER.document(unmarshal('{"number":"1"}'))


@pytest.mark.parametrize(
    ("text", "name"), [('"é"', "string"), ("1.50", "number"), ('[4,true,{"b":1,"b":null}]', "array"), ("{}", "object")]
)
def test_a_value_can_be_written_without_white_space(text, name):
    assert (compact(unmarshal(text)), kind(unmarshal(text))) == (text, name)
