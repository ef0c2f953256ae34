"""Regular expressions where Go differs from Python. Each result was seen with a real dockerd (`network ls -f
name=`).
"""

from __future__ import annotations

import re
import time

import pytest

from engine.filters.rules import matches_pattern
from engine.golang.regexp import Invalid, is_found


@pytest.mark.parametrize(
    ("text", "hit", "missed"),
    [
        ("net[[:digit:]]", "net1", "net:"),
        ("[^[:lower:]]et", "Net", "net"),
        ("[[:^alpha:]]", "a1", "ab"),
        ("[]a]", "]", "b"),
        ("a(?i)B", "ab", "Ab"),
        ("(?i:N)et", "net", "NET"),
        ("(?U)^n.+$", "net", "xn"),
        ("(?P<x>n)et", "net", "x"),
        ("(?s)a.b", "a\nb", "ab"),
        ("a.b", "a-b", "a\nb"),
        ("a$", "ba", "a\n"),
        ("(?m)^b$", "a\nb\nc", "ab"),
        (r"a\z", "ba", "ab"),
        (r"\Qa+b\E$", "a+b", "aab"),
        (r"\x{6e}\156\x6e", "nnn", "n"),
        (r"\pL\p{Nd}", "é1", "1a"),
        (r"\PL", "1", "é"),
        (r"\W", "é", "e_1"),
        (r"\d", "1", "\u0661"),
        ("n{,2}", "n{,2}", "nn"),
        ("^*a", "a", "b"),
        ("^(a|b)*?$", "abba", "c"),
        ("(?)n", "n", "a"),
        (r"\p{Greek}", "\u03b1", "a"),
        ("(?i)k", "\u212a", "a"),
        (".", "\U0001f600", ""),
        ("plain-name_1", "a-plain-name_1", "plain"),
    ],
)
def test_expressions_match_as_in_go(text, hit, missed):
    assert is_found(text, hit)
    assert not is_found(text, missed)


WRONG = r"* a** a*+ a{1001} a{2,1} (?=a) (?<!a) (?#a) (?>a) (a)\1 \Z \h ( ) [a [b-a] [[:no:]] [\b] \ (?x)a \p{Qq} (?P<1"


@pytest.mark.parametrize("text", WRONG.split())
def test_an_invalid_expression_is_refused(text):
    with pytest.raises(Invalid):
        is_found(text, "a")


@pytest.mark.parametrize(("text", "members"), [(r"\D", "[^0-9]"), (r"\S", r"[^\t\n\f\r ]"), (r"\W", "[^0-9A-Za-z_]")])
def test_negated_classes_match_as_in_go(text, members):
    for code in range(0x180):
        assert is_found(text, chr(code)) == bool(re.search(members, chr(code)))
        assert is_found(f"[{text}]", chr(code)) == bool(re.search(members, chr(code)))


def test_an_expression_that_is_not_utf8_is_refused():
    with pytest.raises(Invalid):
        is_found("a\udcff+", "a")


HOSTILE = ["^(a+)+$", "(a|aa)+$", "(a|a?)+$", "(.*)*" * 100 + "b", "(a*)*" * 20 + "$", "(x+x+)+y"]
HOSTILE += ["a?" * 500 + "a" * 500, "(" * 50_000 + "a" + ")" * 50_000, "(((a{1,99}){1,9})+)+$"]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:20])
def test_hostile_expression_takes_linear_time(text):
    """A hostile expression needs only linear time, although names of any length are allowed.

    A backtracking engine would need twice the time for each additional letter.
    """
    start = time.process_time()
    matches_pattern({"name": [text]}, "name", "a" * 5000 + "!")
    assert time.process_time() - start < 2


def test_invalid_expression_matches_nothing_and_prints_nothing(capfd):
    assert not matches_pattern({"name": ["(", "a{1001}", "a\udcff."]}, "name", "a", "()")
    assert matches_pattern({"name": ["(", "a"]}, "name", "a")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("pattern", [r"\C", r"a\C", r"[\C]", r"\Qx\E\C"])
def test_the_escape_for_any_single_byte_is_refused_as_in_go(pattern):
    with pytest.raises(Invalid):
        is_found(pattern, "abc")


@pytest.mark.parametrize("pattern", [r"\\C", r"\Q\C\E", r"\Q\C"])
def test_a_quoted_escape_matches_itself(pattern):
    assert is_found(pattern, r"\C")
