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
        ("armhf", Platform("linux", "arm")),
        ("linux/amd64/v1", Platform("linux", "amd64")),
        ("", this_platform()),
        ("linux", this_platform()),
        ("windows", Platform("windows", this_platform().architecture)),
        ("arm/v7", Platform("arm", "v7")),
        ("linux/arm/7", Platform("linux", "arm", "v7")),
        ("linux/aarch64/8", Platform("linux", "arm64", "v8")),
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
    with pytest.raises(NotFound, match="no matching manifest for linux/arm/v5 in the manifest list entries"):
        choose(manifests, parse_platform("linux/arm/v5"))
    with pytest.raises(InvalidArgument):
        choose([{"platform": 1}], this_platform())
    assert str(platform_of({"os": "linux", "architecture": "arm64", "variant": "v8"})) == "linux/arm64/v8"


@pytest.mark.parametrize(
    ("requested", "offered", "chosen"),
    [
        ("linux/arm/v7", "linux/arm/v5 linux/arm/v6", "linux/arm/v6"),
        ("linux/arm64", "linux/arm/v5 linux/arm/v6", "linux/arm/v6"),
        ("linux/arm64", "linux/arm/v7 linux/arm64/v8", "linux/arm64/v8"),
        ("linux/amd64", "linux/386", "linux/386"),
        ("linux/amd64/v4", "linux/386 linux/amd64 linux/amd64/v2 linux/amd64/v3", "linux/amd64/v3"),
        ("linux/amd64/v1", "linux/386 linux/amd64", "linux/amd64"),
    ],
)
def test_the_highest_variant_that_runs_is_chosen(requested, offered, chosen):
    """Docker 26.1.5 pulls the same images."""
    platforms = [
        dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False)) for text in offered.split()
    ]
    entry = choose([{"platform": platform} for platform in platforms], parse_platform(requested))
    assert str(platform_of(entry["platform"])) == chosen


@pytest.mark.parametrize(
    ("requested", "image", "runs"),
    [
        ("linux/amd64", "linux/amd64/v3", False),
        ("linux/amd64", "linux/amd64/v1", True),
        ("linux/amd64/v2", "linux/amd64", True),
        ("linux/arm/v7", "linux/arm/v6", True),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/arm/v6", "linux/arm", True),
        ("linux/amd64/v3", "linux/amd64/v1", True),
        ("linux/amd64/v3", "linux/amd64/v4", False),
        ("linux/amd64/v10", "linux/amd64/v8", True),
        ("linux/amd64/v8", "linux/amd64/v10", False),
        ("linux/amd64", "linux/386", True),
        ("linux/386", "linux/amd64", False),
        ("linux/arm64/v8", "linux/arm64/v8.2", False),
        ("linux/arm64/v8.2", "linux/arm64/v8", True),
        ("linux/arm64/v8.10", "linux/arm64/v8.9", True),
        ("linux/arm64/v9", "linux/arm64/v8.5", True),
        ("linux/arm64/v9", "linux/arm64/v8.6", False),
        ("linux/arm64/v9.2", "linux/arm64/v9.1", True),
        ("linux/arm64/v8.9", "linux/arm64/v9", False),
        ("linux/arm64", "linux/arm/v7", True),
        ("linux/arm64", "linux/arm/v9", False),
        ("linux/arm/v8", "linux/arm64", False),
        ("linux/arm64", "linux/amd64", False),
        ("linux/s390x/z13", "linux/s390x/z13", True),
        ("linux/s390x/z13", "linux/s390x/z10", False),
        ("windows/amd64", "linux/amd64", False),
        ("linux/amd64", "linux/", False),
    ],
)
def test_a_platform_runs_images_of_lower_variants(requested, image, runs):
    """For arm64, these are the results of containerd's package platforms 1.0.0; for others, also of Docker 26.1.5."""
    assert Platform(*requested.split("/")).runs(Platform(*image.split("/"))) is runs
