"""Fixtures for tests of images: each test has an image store in a separate directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.images import ImageStore
from engine.store.sqlite import SqliteStore
from tests.conftest import require_root


@pytest.fixture(autouse=True)
def as_root() -> None:
    """Require root for the test, because unpacking an image changes the process's root directory."""
    require_root()


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    (tmp_path / "root").mkdir()
    return SqliteStore(tmp_path / "root" / "hawse.db")


@pytest.fixture
def images(store, tmp_path: Path) -> ImageStore:
    return ImageStore(store, tmp_path / "root")


@pytest.fixture
def rootfs(images):
    """Return a function that finds the directory with an image's files."""

    def find(reference: str) -> Path:
        record = images.resolve(reference)
        assert record is not None
        return Path(record.rootfs)

    return find


@pytest.fixture
def left(images, tmp_path: Path):
    """Return a function that lists all files and records of images. A refused import must leave no such file
    or record.
    """

    def find() -> list[str]:
        return [*map(str, (tmp_path / "root" / "images").iterdir()), *map(str, images.list({}))]

    return find
