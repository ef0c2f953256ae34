"""Parsing of image references; error texts are those of Docker 26.1.5."""

import pytest

from cli.options.image_reference import check_reference


@pytest.mark.parametrize(
    ("text", "familiar"),
    [
        ("bb", "bb:latest"),
        ("bb:1.0", "bb:1.0"),
        ("docker.io/library/bb", "bb:latest"),
        ("me/app", "me/app:latest"),
        ("host:5000/a/b:x", "host:5000/a/b:x"),
        ("localhost/a", "localhost/a:latest"),
        ("bb@sha256:" + "a" * 64, "bb@sha256:" + "a" * 64),
        ("a" * 64, "a" * 64),
    ],
)
def test_references_are_shown_in_dockers_familiar_form(text, familiar):
    assert check_reference(text) == familiar


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "invalid reference format"),
        ("bb::", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("NoSuch", "invalid reference format: repository name (library/NoSuch) must be lowercase"),
        ("a" * 300, "repository name must not be more than 255 characters"),
    ],
)
def test_invalid_references_are_refused(text, problem):
    with pytest.raises(ValueError) as caught:
        check_reference(text)
    assert str(caught.value) == problem
