"""hawse removes directory trees of any depth."""

from __future__ import annotations

import os
import sys
import tempfile

import pytest

from engine.images import trees
from engine.images.trees import remove_tree


def test_a_tree_with_all_kinds_of_files_is_removed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    tree = tmp_path / "tree"
    for name in ("a/b/c", "d", "e/f"):
        (tree / name).mkdir(parents=True)
    (tree / "a" / "file").write_text("x")
    (tree / "a" / "b" / "link").symlink_to(outside)
    (tree / "e" / "new\nline").touch()
    (tree / os.fsdecode(b"\xff")).mkdir()
    os.mkfifo(tree / "d" / "fifo")
    remove_tree(os.fspath(tree))
    remove_tree(os.fspath(tree))
    assert os.listdir(tmp_path) == ["outside"]
    (tmp_path / "link").symlink_to(outside)
    remove_tree(os.fsencode(tmp_path / "link"))
    assert os.listdir(outside) == ["kept"]


def test_a_directory_that_is_moved_away_takes_nothing_with_it(tmp_path, monkeypatch):
    """A directory is moved out of the tree while hawse removes the tree. hawse must remove nothing at the directory's
    new place.

    When hawse has emptied a directory, hawse continues in its parent directory. Without a check, hawse would continue
    in the parent at the new place.
    """
    (tmp_path / "tree" / "inner" / "deep").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").touch()
    remove_files = trees._remove_files

    def remove_and_move(fd: int) -> list[bytes]:
        directories = remove_files(fd)
        if directories == [b"deep"]:
            (tmp_path / "tree" / "inner").rename(tmp_path / "outside" / "inner")
        return directories

    monkeypatch.setattr(trees, "_remove_files", remove_and_move)
    with pytest.raises(OSError, match="moved while it was being removed"):
        remove_tree(os.fspath(tmp_path / "tree"))
    assert (tmp_path / "outside" / "kept").exists()


def test_a_tree_deeper_than_pythons_recursion_limit_is_removed():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        fd = os.open(directory, os.O_RDONLY)
        for _ in range(2 * sys.getrecursionlimit()):
            os.mkdir("d", dir_fd=fd)
            inner = os.open("d", os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = inner
        os.close(fd)
        remove_tree(os.path.join(directory, "d"))
        assert os.listdir(directory) == []
