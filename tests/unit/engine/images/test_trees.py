"""hawse removes and measures directory trees of any depth."""

from __future__ import annotations

import os
import sys
import tempfile

import pytest

from engine.images import trees
from engine.images.trees import remove_tree, tree_size


def test_a_tree_with_all_kinds_of_files_is_measured_and_removed(tmp_path):
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
    (outside / "kept").write_text("not counted")
    assert tree_size(tree) == len("x") + len(str(outside))
    remove_tree(os.fspath(tree))
    remove_tree(os.fspath(tree))
    assert os.listdir(tmp_path) == ["outside"]
    (tmp_path / "link").symlink_to(outside)
    remove_tree(os.fsencode(tmp_path / "link"))
    assert os.listdir(outside) == ["kept"]


def test_a_directory_that_is_moved_away_takes_nothing_with_it(tmp_path, monkeypatch):
    """A directory is moved out of the tree while hawse removes the tree. hawse must remove nothing at its new path.

    When hawse has emptied a directory, hawse continues in its parent directory. Without a check, hawse would continue
    in the parent at the new path.
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


@pytest.mark.parametrize("victim", ["tree", "tree/a", "tree/a/b", "tree/a/b/c"])
@pytest.mark.parametrize("step", range(1, 6))
def test_two_removals_of_one_tree_leave_nothing(tmp_path, monkeypatch, victim, step):
    """The second removal removes ``victim`` before a step of the first."""
    tree = tmp_path / "tree"
    for name in ("a/b/c", "a/d"):
        (tree / name).mkdir(parents=True)
        for directory in (tree, tree / "a", tree / name):
            (directory / "file").touch()
    remove_files = trees._remove_files
    steps = 0

    def remove_meanwhile(fd: int) -> list[bytes]:
        nonlocal steps
        steps += 1
        if steps == step:
            with monkeypatch.context() as patched:
                patched.setattr(trees, "_remove_files", remove_files)
                remove_tree(os.fspath(tmp_path / victim))
        return remove_files(fd)

    monkeypatch.setattr(trees, "_remove_files", remove_meanwhile)
    remove_tree(os.fspath(tree))
    assert os.listdir(tmp_path) == []


def test_a_tree_deeper_than_pythons_recursion_limit_is_measured_and_removed():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        fd = os.open(directory, os.O_RDONLY)
        for _ in range(2 * sys.getrecursionlimit()):
            os.mkdir("d", dir_fd=fd)
            inner = os.open("d", os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = inner
        os.symlink("x" * 99, "link", dir_fd=fd)
        os.close(fd)
        assert tree_size(directory) == 99
        remove_tree(os.path.join(directory, "d"))
        assert os.listdir(directory) == []


def test_a_tree_that_a_container_changes_meanwhile_is_measured(tmp_path, monkeypatch):
    """Directories vanish, become links or are moved while they are read."""
    for name in ("gone", "link", "moved/deep", "outside"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file").write_text("12345")
    (tmp_path / "outside" / "other").write_text("not counted")
    measure = trees._measure

    def measure_and_change(fd: int) -> tuple[int, list[bytes]]:
        size, directories = measure(fd)
        if len(directories) == 4:
            (tmp_path / "gone").rmdir()
            (tmp_path / "link").rmdir()
            (tmp_path / "link").symlink_to(tmp_path / "outside")
            return size, [b"moved", b"gone", b"link"]
        if directories == [b"deep"]:
            (tmp_path / "moved" / "deep").rename(tmp_path / "outside" / "deep")
        return size, directories

    monkeypatch.setattr(trees, "_measure", measure_and_change)
    assert tree_size(tmp_path) == 5
    assert tree_size(tmp_path / "missing") == 0
