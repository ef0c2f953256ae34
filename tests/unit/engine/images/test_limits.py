"""Limits on the size of images. The limits come from the environment and from the file system's free space."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from engine.errors import InvalidArgument
from engine.images.limits import DEFAULT_MEMBERS, DEFAULT_SIZE, Limits, limits_for


@pytest.fixture
def disk(monkeypatch):
    """Return a function that simulates a file system with the given free bytes, free inodes and total inodes."""

    def give(free: int, inodes: int, files: int = 1 << 60) -> None:
        status = SimpleNamespace(f_bavail=free // 4096, f_frsize=4096, f_favail=inodes, f_files=files)
        monkeypatch.setattr(os, "statvfs", lambda _: status)

    give(1 << 60, 1 << 60)
    return give


def test_without_settings_the_default_limits_apply(disk):
    assert limits_for("/x") == Limits(DEFAULT_SIZE, DEFAULT_MEMBERS)


def test_the_environment_sets_the_limits(disk, monkeypatch):
    monkeypatch.setenv("HAWSE_IMAGE_LIMIT", "1000")
    monkeypatch.setenv("HAWSE_IMAGE_MEMBERS", "5")
    limits = limits_for("/x")
    assert (limits.size, limits.members) == (1000, 5)
    assert limits.too_large("image") == "the image is larger than 1000 bytes (HAWSE_IMAGE_LIMIT)"


@pytest.mark.parametrize("value", ["x", "-1", "0", "1e9", "٣", "1 "])
@pytest.mark.parametrize("variable", ["HAWSE_IMAGE_LIMIT", "HAWSE_IMAGE_MEMBERS"])
def test_an_invalid_limit_in_the_environment_is_refused(disk, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidArgument, match=f"{variable}: expected a number from 1 on"):
        limits_for("/x")


def test_limits_are_at_most_nine_tenths_of_the_free_space(disk):
    disk(4096 * 1000, 1000)
    limits = limits_for("/x")
    assert (limits.size, limits.members) == (4096 * 900, 900)
    assert limits.too_large("archive").endswith("(nine tenths of the free space of /x)")
    disk(4096 * 1000, 0, 0)  # 0 inodes in total: the file system creates inodes on demand
    assert limits_for("/x").members == DEFAULT_MEMBERS
