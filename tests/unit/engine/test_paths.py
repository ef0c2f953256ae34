"""hawse creates directories and files that no other user can change, and refuses those that others can change."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from engine import paths
from engine.errors import PermissionDenied


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def refusal(path: Path) -> str:
    with pytest.raises(PermissionDenied) as raised:
        paths.check(path, "HAWSE_RUN")
    return str(raised.value)


@pytest.fixture(params=[0o000, 0o022, 0o777])
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_created_directories_and_files_are_private_with_any_umask(tmp_path, umask):
    paths.make_private_directory(tmp_path / "a" / "b")
    os.close(paths.open_private(tmp_path / "a" / "file", os.O_RDWR | os.O_CREAT))
    assert [mode(tmp_path / name) for name in ("a", "a/b", "a/file")] == [0o700, 0o700, 0o600]


def test_an_opened_file_gets_mode_0600(tmp_path):
    path = tmp_path / "note"
    path.touch(mode=0o644)
    os.close(paths.open_private(path, os.O_RDONLY))
    assert mode(path) == 0o600


@pytest.mark.parametrize("how", [0o777, 0o770, 0o702, 0o1777])
def test_directory_that_others_can_write_is_refused(tmp_path, how):
    path = tmp_path / "run"
    path.mkdir()
    path.chmod(how)
    assert refusal(path) == (
        f"HAWSE_RUN {path} is refused: it can be written by other users "
        f"(chmod go-w {path}, or choose another directory)"
    )
    with pytest.raises(PermissionDenied):
        paths.make_private_directory(path)


def test_a_directory_below_a_writable_one_is_refused_even_if_missing(tmp_path):
    (tmp_path / "open" / "run").mkdir(parents=True)
    (tmp_path / "open").chmod(0o777)
    for name in ("run", "missing", "missing/run"):
        assert f"{tmp_path}/open can be written by other users" in refusal(tmp_path / "open" / name)
    with pytest.raises(PermissionDenied):
        paths.make_private_directory(tmp_path / "open" / "new")
    assert not (tmp_path / "open" / "new").exists()


def test_an_own_directory_in_a_sticky_directory_is_accepted(tmp_path):
    (tmp_path / "sticky").mkdir()
    (tmp_path / "sticky").chmod(0o1777)
    paths.check(tmp_path / "sticky" / "run", "HAWSE_RUN")
    paths.make_private_directory(tmp_path / "sticky" / "run" / "deep")
    paths.check(tmp_path / "sticky" / "run", "HAWSE_RUN")
    assert f"{tmp_path}/sticky can be written" in refusal(tmp_path / "sticky" / "run" / "..")


def test_a_missing_directory_in_a_sticky_one_is_created_although_another_user_removed_his(tmp_path, monkeypatch):
    """The other user's file exists when hawse creates the directory, and is removed before hawse reads its owner."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    (tmp_path / "shared/x").touch()
    lstat = os.lstat

    def lstat_after_removal(place):
        if place == str(tmp_path / "shared/x"):
            monkeypatch.setattr(os, "lstat", lstat)
            os.unlink(place)
        return lstat(place)

    monkeypatch.setattr(os, "lstat", lstat_after_removal)
    paths.check(tmp_path / "shared/x/run", "HAWSE_RUN")
    assert (tmp_path / "shared/x").is_dir()


def test_own_symbolic_links_are_followed_and_their_targets_are_checked(tmp_path):
    (tmp_path / "real" / "run").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real/./run")
    (tmp_path / "far").symlink_to(f"{tmp_path}/link")
    paths.check(tmp_path / "far", "HAWSE_RUN")
    paths.make_private_directory(tmp_path / "far" / "deep")
    (tmp_path / "real").chmod(0o777)
    assert f"{tmp_path}/real can be written" in refusal(tmp_path / "far")


def test_endless_links_are_refused(tmp_path):
    (tmp_path / "run").symlink_to("run")
    assert "too many symbolic links" in refusal(tmp_path / "run")


def test_a_file_in_place_of_a_directory_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        paths.make_private_directory(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        paths.make_private_directory(tmp_path / "file" / "below")


def test_links_are_not_opened(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        paths.open_private(tmp_path / "link", os.O_RDWR | os.O_CREAT)
    with pytest.raises(OSError, match="symbolic links"), open(tmp_path / "link", "w", opener=paths.no_follow):
        pass
    assert not (tmp_path / "victim").exists()
    with pytest.raises(PermissionDenied):
        paths.require_own_file(tmp_path / "link", os.lstat(tmp_path / "link"))


def test_file_that_others_can_write_is_not_opened(tmp_path):
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o666)
    with pytest.raises(PermissionDenied, match="can be written by one"):
        paths.open_private(path, os.O_RDWR)
