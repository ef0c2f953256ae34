"""hawse matches patterns of image references as dockerd 26.1.5 does (`image ls --filter reference=…`)."""

from __future__ import annotations

import time

import pytest

from engine.errors import EngineError
from engine.golang.glob import matches


@pytest.mark.parametrize(
    ("pattern", "hit", "missed"),
    [
        ("bb", "bb", "b"),
        ("b?", "bb", "b/"),
        ("*", "bb", "app/web"),
        ("*/*", "app/web", "bb"),
        ("**b", "bb", "bc"),
        ("app/w*", "app/web", "app/w/b"),
        ("[^a]b", "bb", "ab"),
        ("[!a]b", "ab", "bb"),
        ("[^^]b", "bb", "^b"),
        (r"\bb", "bb", r"\bb"),
        (r"[\]b]b", "bb", "ab"),
        (r"b[a-\b]", "bb", "bc"),
        ("[[b]b", "bb", "ab"),
        ("[*]b", "*b", "bb"),
        (r"\*b", "*b", "bb"),
        ("b.", "b.", "bb"),
        ("b[^c-a]", "bb", "b"),
        ("b[c-ab]", "bb", "ba"),
        ("[c-a]b", "", "ab"),
        ("app[/]web", "app/web", "appxweb"),
        ("é*", "éa", "e"),
    ],
)
def test_patterns_match_as_in_dockerd(pattern, hit, missed):
    assert not hit or matches(pattern, hit)
    assert not matches(pattern, missed)


BAD = [
    "[",
    "[b",
    "b[",
    "[]",
    "[]b]b",
    "[a-]b",
    "[-a]b",
    "[a-b-c]b",
    "[^]b",
    "b\\",
    "b[\\",
    "b[a-\\",
    "b[a-",
    "*[",
    "zz[",
]


@pytest.mark.parametrize("pattern", BAD)
def test_an_invalid_pattern_is_refused(pattern):
    with pytest.raises(EngineError, match=r"^syntax error in pattern$"):
        matches(pattern, "bb")


@pytest.mark.parametrize(
    "pattern", ["*a" * 5000 + "b", "*" * 20_000 + "b", "[a-z]*" * 2000 + "!", "[" * 20_000 + "]", "[a-z]" * 20_000]
)
def test_hostile_pattern_takes_linear_time(pattern):
    start = time.process_time()
    matches(pattern, "a" * 250)
    assert time.process_time() - start < 2
    assert not matches("\udcff*", "a")
