"""The platform of an image: parsing, and the choice from a manifest list."""

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
    ],
)
def test_platforms_are_parsed_as_by_docker(text, platform):
    assert parse_platform(text) == platform


@pytest.mark.parametrize("text", ["/", "linux/", "a b", "linux/amd64/v1/x", "linux/$(id)"])
def test_a_wrong_platform_is_refused(text):
    with pytest.raises(InvalidArgument):
        parse_platform(text)


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
