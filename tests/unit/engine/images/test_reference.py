"""hawse parses image names as Docker does."""

from __future__ import annotations

import pytest

from engine.errors import InvalidArgument
from engine.images.reference import archived_name, id_prefix, new_name, normalise


@pytest.mark.parametrize(
    ("reference", "shown"),
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
        ("X/y", "X/y:latest"),
        ("[::1]:5000/x", "[::1]:5000/x:latest"),
        ("a" * 247, f"{'a' * 247}:latest"),
        (f"x@sha256:{'0' * 64}", f"x@sha256:{'0' * 64}"),
        (f"x:t@sha256:{'0' * 64}", f"x:t@sha256:{'0' * 64}"),
    ],
)
def test_references_are_shown_in_dockers_familiar_form(reference, shown):
    assert normalise(reference) == shown


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("BAD", "invalid reference format: repository name (library/BAD) must be lowercase"),
        ("user/Bad:1", "invalid reference format: repository name (user/Bad) must be lowercase"),
        ("a:b:c", "invalid reference format"),
        ("", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("../x", "invalid reference format"),
        ("/etc", "invalid reference format"),
        ("x@sha256:aaaa", "invalid reference format"),
        ("a:ü", "invalid reference format"),
        ("a:b\n", "invalid reference format"),
        ("a___b", "invalid reference format"),
        ("a\x1b", "invalid reference format"),
        ("A\x1b", 'invalid reference format: repository name ("library/A\\u001b") must be lowercase'),
        ("a" * 248, "repository name must not be more than 255 characters"),
        ("0" * 64, f"invalid repository name ({'0' * 64}), cannot specify 64-byte hexadecimal strings"),
    ],
)
def test_invalid_references_are_refused(reference, text):
    with pytest.raises(InvalidArgument) as refusal:
        normalise(reference)
    assert str(refusal.value) == text


def test_a_hexadecimal_name_may_be_a_prefix_of_an_id():
    assert id_prefix("sha256:3529") == "3529"
    assert id_prefix("3529ca") == "3529ca"
    assert id_prefix("bb:latest") is None
    assert id_prefix("xyz") is None


def test_names_that_an_import_may_give():
    """The image name of an import must not be a digest; the error texts are Docker 26.1.5's."""
    assert new_name("bb") == "bb:latest"
    for name, text in (
        (f"x@sha256:{'0' * 64}", "cannot import digest reference"),
        ("sha256:abc", "refusing to create an ambiguous tag using digest algorithm as name"),
    ):
        with pytest.raises(InvalidArgument, match=f"^{text}$"):
            new_name(name)


def test_names_that_an_archive_may_give():
    """The image name in an archive must have a tag and no digest; the error texts are Docker 26.1.5's."""
    assert archived_name("bb:1") == "bb:1"
    for name in ("bb", f"bb:1@sha256:{'0' * 64}"):
        with pytest.raises(InvalidArgument, match=f'^invalid tag "{name}"$'):
            archived_name(name)
