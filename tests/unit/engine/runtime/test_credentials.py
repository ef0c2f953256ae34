"""hawse gives a container's process the rights that Docker 26.1.5 gives it."""

from __future__ import annotations

import os

import pytest

from engine.runtime import credentials, root_paths, syscalls
from engine.runtime.errors import SetupFailed


@pytest.mark.parametrize(
    ("add", "drop", "mask"),
    [
        (["NET_ADMIN"], ["NET_ADMIN"], 0xA80435FB),
        (["NET_RAW"], ["ALL", "NET_RAW"], 0x2000),
        (["CHOWN"], ["ALL", "NET_RAW"], 0x1),
        (["ALL"], ["NET_RAW"], 0x1FFFFFFDFFF),
        (["ALL", "NET_RAW"], ["NET_RAW"], 0x1FFFFFFDFFF),
        (["ALL"], ["ALL"], 0x1FFFFFFFFFF),
        (["chown"], ["cap_chown"], 0xA80425FB),
        ([], ["chown"], 0xA80425FA),
    ],
)
def test_an_added_capability_is_not_dropped_but_all_added_ones_are(monkeypatch, add, drop, mask):
    monkeypatch.setattr(syscalls, "permitted_capabilities", lambda: 0x1FFFFFFFFFF)
    assert f"{credentials.capability_mask(add, drop, privileged=False):x}" == f"{mask:x}"


PASSWD = """\
root:x:0:0::/root:/bin/sh
app:x:1000:1001::/srv
shorter:x:1007
named
:x:9:9:::

  blank:x:+1010:01011::/blank:/bin/sh  \t
# note:x:1012:1012::/c:/bin/sh
wrong:x:a:b::/wrong:/bin/sh
minus:x:-5:0::/minus:/bin/sh
huge:x:99999999999999999999:0::/huge:/bin/sh
odd:x:1013:1013
toor:x:0:0::/toor:/bin/sh
joined:x:1014:1014:a\x0csplit:\x85split:\u2028split:\rsplit
"""
GROUP = """\
adm:x:4
only
  extra:x:1002:app, blank,shorter\t
# note:x:1012:app
wrong:x:a:shorter
minus:x:-4:odd
empty:x:1050:
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text(PASSWD)
    (tmp_path / "etc" / "group").write_text(GROUP)
    descriptor = root_paths.open_root(str(tmp_path))
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize(
    ("user", "uid", "groups"),
    [
        ("app", 1000, [1001, 1002]),
        ("shorter", 1007, [0, 1002]),
        ("named", 0, [0]),
        ("9", 9, [9]),
        ("blank", 1010, [1011]),
        ("# note", 1012, [1012]),
        ("wrong", 0, [0]),
        ("0:adm", 0, [4]),
        ("0:only", 0, [0]),
        ("0:extra", 0, [1002]),
    ],
)
def test_short_and_wrong_lines_of_passwd_and_group_are_read_as_docker_reads_them(root, user, uid, groups):
    identity = credentials.find_identity(user, root)
    assert (identity.uid, identity.gid, identity.groups) == (uid, groups[0], groups)


def test_comments_exist_only_in_the_group_file(root):
    with pytest.raises(SetupFailed, match=r"^unable to find group # note: no matching entries in group file$"):
        credentials.find_identity("0:# note", root)


def test_only_a_newline_begins_an_entry(root):
    """Otherwise a part of an entry would be a user of its own, with the ids of root."""
    with pytest.raises(SetupFailed, match=r"^unable to find user split: no matching entries in passwd file$"):
        credentials.find_identity("split", root)


@pytest.mark.parametrize("user", ["minus", "-5", "huge", "0:minus", "odd"])
def test_an_entry_whose_id_is_out_of_range_is_refused(root, user):
    with pytest.raises(SetupFailed, match=r"^unable to setup user: uids and gids must be in range 0-2147483647$"):
        credentials.find_identity(user, root)


@pytest.mark.parametrize(
    ("user", "home"), [("app", "/srv"), ("named", "/root"), ("toor", "/root"), ("shorter", ""), ("77", "/")]
)
def test_home_is_that_of_the_first_entry_with_the_id(root, user, home):
    assert credentials.find_identity(user, root).home == home
