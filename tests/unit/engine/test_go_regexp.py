"""Go's regular expressions, where Python's are others; each as a real dockerd found it in `network ls -f name=`."""

import re

import pytest

from engine.go_regexp import Invalid, compiled


@pytest.mark.parametrize(
    ("text", "found", "missed"),
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
    ],
)
def test_what_is_found(text, found, missed):
    assert compiled(text).search(found)
    assert not compiled(text).search(missed)


WRONG = r"* a** a*+ a{1001} a{2,1} (?=a) (?<!a) (?#a) (?>a) (a)\1 \Z \h ( ) [a [b-a] [[:no:]] [\b] \ (?x)a \p{Qq} (?)"


@pytest.mark.parametrize("text", WRONG.split())
def test_what_is_none(text):
    with pytest.raises(Invalid):
        compiled(text)


@pytest.mark.parametrize(("text", "members"), [(r"\D", "[^0-9]"), (r"\S", r"[^\t\n\f\r ]"), (r"\W", "[^0-9A-Za-z_]")])
def test_what_a_class_leaves_out(text, members):
    for code in range(0x180):
        assert bool(compiled(text).search(chr(code))) == bool(re.search(members, chr(code)))
        assert bool(compiled(f"[{text}]").search(chr(code))) == bool(re.search(members, chr(code)))
