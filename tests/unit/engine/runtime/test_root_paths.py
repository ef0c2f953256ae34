"""Paths inside a container's root are resolved there, also if a symbolic link leads outside.

`is_blocked` returns whether a path, or one of its parents, is a file and no directory. `ensure` creates missing files.
"""

import os
import threading

import pytest

from engine.runtime.root_paths import ensure, is_blocked, open_root


@pytest.mark.parametrize(
    ("path", "blocked"),
    [
        ("/", False),
        ("/dir", False),
        ("/dir/new/new", False),
        ("/file", True),
        ("/file/", True),
        ("/file/below", True),
        ("/link", True),
        ("/outside", False),
    ],
)
def test_only_a_file_blocks_a_directory(tmp_path, path, blocked):
    root = tmp_path / "root"
    (root / "dir").mkdir(parents=True)
    (root / "file").write_text("")
    (root / "link").symlink_to("/file")
    (tmp_path / "outside").write_text("")
    (root / "outside").symlink_to("../outside")
    assert is_blocked(str(root), path) is blocked


def test_nothing_is_blocked_in_a_missing_root(tmp_path):
    assert not is_blocked(str(tmp_path / "none"), "/x")


@pytest.mark.parametrize(
    ("path", "made"),
    [
        ("/new/a/b", "new/a/b"),
        ("/relative/a", "dir/a"),
        ("/absolute/a", "dir/a"),
        ("/outside/a", "else/a"),
        ("/dangling", "dir/gone"),
        ("/dangling/a", "dir/gone/a"),
        ("/dir/../relative/../b", "b"),
    ],
)
def test_what_is_missing_is_made_inside_the_root(tmp_path, path, made):
    root = tmp_path / "root"
    (root / "dir").mkdir(parents=True)
    (tmp_path / "else").mkdir()
    links = {"relative": "dir", "absolute": "/dir", "outside": "../../else", "dangling": "dir/gone"}
    for name, destination in links.items():
        (root / name).symlink_to(destination)
    fd = open_root(str(root))
    for _ in range(2):
        assert ensure(fd, path, directory=False, own_links=True) == f"/{made}"
    os.close(fd)
    assert (root / made).is_file()
    assert os.listdir(tmp_path / "else") == []


def test_two_containers_that_start_at_once_may_need_the_same_mount_point(tmp_path):
    """Both find it missing; the one that is later must not fail."""
    fd, both, made = open_root(str(tmp_path)), threading.Barrier(2, timeout=20), list[str]()

    def start() -> None:
        for number in range(2000):
            both.wait()
            made.append(ensure(fd, f"/{number}/a/b", directory=False))

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    os.close(fd)
    assert len(made) == 4000
