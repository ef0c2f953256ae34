"""Names of images are read as Docker reads them."""

from __future__ import annotations

import pytest

from engine.errors import InvalidArgument
from engine.images.reference import id_prefix, normalise


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("bb", "bb:latest"),
        ("bb:1.0", "bb:1.0"),
        ("a/b/c:1", "a/b/c:1"),
        ("docker.io/library/bb", "bb:latest"),
        ("index.docker.io/user/bb:2", "user/bb:2"),
        ("library/bb", "bb:latest"),
        ("localhost:5000/c", "localhost:5000/c:latest"),
        ("registry.example.com/x/y:t", "registry.example.com/x/y:t"),
        ("deadbeef", "deadbeef:latest"),
    ],
)
def test_familiar_form(given, shown):
    assert normalise(given) == shown


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("BAD", "invalid reference format: repository name (library/BAD) must be lowercase"),
        ("user/Bad:1", "invalid reference format: repository name (user/Bad) must be lowercase"),
        ("a:b:c", "invalid reference format"),
        ("", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("../x", "invalid reference format"),
        ("/etc", "invalid reference format"),
        ("x@sha256:aaaa", "invalid reference format"),
    ],
)
def test_refusals(given, text):
    with pytest.raises(InvalidArgument) as refusal:
        normalise(given)
    assert str(refusal.value) == text


def test_id_prefix():
    assert id_prefix("sha256:3529") == "3529"
    assert id_prefix("3529ca") == "3529ca"
    assert id_prefix("bb:latest") is None
    assert id_prefix("xyz") is None
