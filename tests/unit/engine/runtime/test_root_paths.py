"""`is_blocked` returns whether a path inside a container's root, or one of its parents, is a file and no directory.

Symbolic links are resolved inside the root.
"""

import pytest

from engine.runtime.root_paths import is_blocked


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
