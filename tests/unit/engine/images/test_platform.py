"""hawse parses the platform of an image, and chooses an image from a manifest list."""

from __future__ import annotations

import pytest

from engine.errors import InvalidArgument, NotFound
from engine.images.platform import Platform, choose, parse_platform, platform_of, this_platform


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", Platform("linux", "amd64")),
        ("linux/x86_64", Platform("linux", "amd64")),
        ("arm64", Platform("linux", "arm64")),
        ("Linux/ARM/v6", Platform("linux", "arm", "v6")),
        ("armhf", Platform("linux", "arm", "v7")),
        ("", this_platform()),
        ("linux", this_platform()),
        ("windows", Platform("windows", this_platform().architecture)),
        ("arm/v7", Platform("arm", "v7")),
    ],
)
def test_platforms_are_parsed_as_by_docker(text, platform):
    assert parse_platform(text) == platform


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/", '"" is an invalid OS component of "/": OSAndVersion specifier component must match '),
        ("x y", r'"x y" is an invalid OS component of "x y": OSAndVersion specifier component must match '
                r'"^([A-Za-z0-9_-]+)(?:\\(([A-Za-z0-9_.-]*)\\))?$": invalid argument'),
        ("x", '"x": unknown operating system or architecture: invalid argument'),
        ("linux/", '"" is an invalid component of "linux/": platform specifier component must match '),
        ("linux/$(id)", '"$(id)" is an invalid component of '),
        ("linux/a/b/c/d", '"c/d" is an invalid component of "linux/a/b/c/d": platform specifier component must match '
                          '"^[A-Za-z0-9_-]+$": invalid argument'),
        ("linux/amd64/v1/x", '"linux/amd64/v1/x": cannot parse platform specifier: invalid argument'),
    ],
)  # fmt: skip
def test_a_wrong_platform_is_refused(text, message):
    """The error texts are those of Docker 26.1.5."""
    with pytest.raises(InvalidArgument) as refused:
        parse_platform(text)
    assert str(refused.value).startswith(message)


def test_the_entry_of_a_platform_is_chosen():
    manifests = [
        {"digest": "1", "platform": {"os": "linux", "architecture": "amd64"}},
        {"digest": "2", "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
        {"digest": "3", "platform": {"os": "linux", "architecture": "arm", "variant": "v6"}},
        {"digest": "4", "platform": {"os": "unknown", "architecture": "unknown"}},
    ]
    assert choose(manifests, parse_platform("linux/arm64"))["digest"] == "2"
    assert choose(manifests, parse_platform("linux/arm/v6"))["digest"] == "3"
    with pytest.raises(NotFound, match="no matching manifest for linux/arm/v7 in the manifest list entries"):
        choose(manifests, parse_platform("linux/arm/v7"))
    with pytest.raises(InvalidArgument):
        choose([{"platform": 1}], this_platform())
    assert str(platform_of({"os": "linux", "architecture": "arm64", "variant": "v8"})) == "linux/arm64/v8"


@pytest.mark.parametrize(
    ("requested", "image", "runs"),
    [
        ("linux/amd64", "linux/amd64/v3", True),
        ("linux/amd64/v2", "linux/amd64", True),
        ("linux/arm/v7", "linux/arm/v6", True),
        ("linux/arm/v6", "linux/arm", False),
        ("linux/arm64", "linux/amd64", False),
        ("windows/amd64", "linux/amd64", False),
    ],
)
def test_a_platform_runs_images_of_lower_variants(requested, image, runs):
    assert parse_platform(requested).runs(parse_platform(image)) is runs
