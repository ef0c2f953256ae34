"""Filters of network lists give the results of dockerd 26.1.5."""

import pytest

from engine.errors import EngineError
from engine.filters.networks import filter_networks
from engine.model import NetworkRecord

CREATED = "2026-11-23T22:43:00.5Z"


def network(name, driver="bridge", predefined=False, labels=None, id_=""):
    return NetworkRecord(id_ or name[0] * 64, name, CREATED, driver, predefined=predefined, labels=labels)


NETWORKS = [
    network("bridge", predefined=True),
    network("host", "host", predefined=True),
    network("none", "null", predefined=True),
    network("Big.net"),
    network("n1"),
    network("n2", labels={"a": "b"}, id_="4ccbd2cafbdd9c8c30" + "0" * 46),
    network("lab", labels={"a": "b", "c": "", "d": "e=f"}),
]
CUSTOM = ["Big.net", "lab", "n1", "n2"]
BUILTIN = ["bridge", "host", "none"]
BOOL = """invalid value for filter 'dangling', must be "true" (or "1"), or "false" (or "0")"""


def names(**filters):
    return sorted(n.name for n in filter_networks(NETWORKS, filters))


@pytest.mark.parametrize(
    ("key", "values", "expected"),
    [
        ("driver", ["bri"], []),
        ("driver", [""], []),
        ("driver", [], [*CUSTOM, *BUILTIN]),
        ("driver", ["null", "host"], ["host", "none"]),
        ("id", ["4ccbd"], ["n2"]),
        ("id", ["dd9c8c"], ["n2"]),
        ("id", ["^4ccbd"], ["n2"]),
        ("id", ["zz"], []),
        ("name", ["n"], ["Big.net", "n1", "n2", "none"]),
        ("name", ["^n"], ["n1", "n2", "none"]),
        ("name", ["n1", "host"], ["host", "n1"]),
        ("name", ["N1"], []),
        ("name", ["["], []),
        ("name", ["n(?=1)"], []),
        ("name", ["(?i)big"], ["Big.net"]),
        ("name", ["n[12]$"], ["n1", "n2"]),
        ("name", ["\\d"], ["n1", "n2"]),
        ("name", [""], [*CUSTOM, *BUILTIN]),
        ("label", ["a"], ["lab", "n2"]),
        ("label", ["a=b"], ["lab", "n2"]),
        ("label", ["a=c"], []),
        ("label", ["a", "c"], ["lab"]),
        ("label", ["c="], ["lab"]),
        ("label", ["d=e=f"], ["lab"]),
        ("label", [""], []),
        ("scope", ["local"], [*CUSTOM, *BUILTIN]),
        ("scope", ["bogus"], []),
        ("type", ["custom"], CUSTOM),
        ("type", ["builtin"], BUILTIN),
        ("type", ["custom", "builtin"], [*CUSTOM, *BUILTIN]),
        ("dangling", ["true"], CUSTOM),
        ("dangling", ["1"], CUSTOM),
        ("dangling", ["0"], BUILTIN),
        ("dangling", ["false"], BUILTIN),
        ("type", [], []),
        *((key, [], [*CUSTOM, *BUILTIN]) for key in ("driver", "name", "id", "label", "scope", "dangling")),
    ],
)
def test_a_filter_selects_the_matching_networks(key, values, expected):
    assert names(**{key: values}) == sorted(expected)


def test_filters_of_different_keys_must_all_match():
    assert names(name=["n1"], driver=["host"]) == []


@pytest.mark.parametrize(
    ("key", "values", "text"),
    [
        ("foo", ["x"], "invalid filter 'foo'"),
        ("until", ["1h"], "invalid filter 'until'"),
        ("label!", ["a"], "invalid filter 'label!'"),
        ("", ["x"], "invalid filter"),
        ("type", ["bogus"], "invalid filter: 'type'='bogus'"),
        ("type", [""], "invalid filter: 'type'=''"),
        ("dangling", ["yes"], BOOL),
        ("dangling", ["True"], BOOL),
        ("dangling", [""], BOOL),
        ("dangling", ["true", "false"], 'got more than one value for filter key "dangling"'),
    ],
)
def test_a_bad_filter_is_refused(key, values, text):
    with pytest.raises(EngineError) as caught:
        names(**{key: values})
    assert str(caught.value) == text


def test_a_bad_value_of_dangling_is_named_before_one_of_type():
    with pytest.raises(EngineError) as caught:
        names(type=["bogus"], dangling=["yes"])
    assert str(caught.value) == BOOL
