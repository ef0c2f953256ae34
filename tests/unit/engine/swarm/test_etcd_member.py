"""The agent guards the host's etcd member; the tests check when the agent restarts the member."""

import os
import shutil
import threading
from types import SimpleNamespace

import pytest

from engine.cluster import membership
from engine.cluster.etcd import EtcdError, EtcdUnavailable
from engine.errors import Unavailable
from engine.host import MEMBERSHIP_FILE
from engine.swarm import daemons, etcd_member


@pytest.fixture
def where(tmp_path):
    """The cluster directory of a manager whose etcd member has run."""
    directory = membership.directory(tmp_path)
    logs = directory / "etcd" / "member" / "wal"
    logs.mkdir(parents=True)
    (logs / "0.wal").touch()
    (directory / "etcd.argv").write_text("sleep\0" + "60")
    (directory / MEMBERSHIP_FILE).write_text("{}")
    return directory


def test_an_ended_member_is_restarted_unless_the_host_has_left(tmp_path, where):
    etcd_member.keep_running(tmp_path, tmp_path)
    assert daemons.is_running(tmp_path, etcd_member.NAME)

    (where / MEMBERSHIP_FILE).unlink()  # a host that leaves the cluster removes this file, then stops etcd
    daemons.stop(tmp_path, etcd_member.NAME)
    etcd_member.keep_running(tmp_path, tmp_path)
    assert not daemons.is_running(tmp_path, etcd_member.NAME)


def test_a_member_is_stopped_if_the_host_leaves_while_the_member_is_started(tmp_path, where):
    argv = where / "etcd.argv"
    argv.unlink()
    os.mkfifo(argv)  # the start waits here for the command line
    starting = threading.Thread(target=etcd_member.keep_running, args=(tmp_path, tmp_path))
    starting.start()
    with argv.open("w") as command_line:
        (where / MEMBERSHIP_FILE).unlink()
        daemons.stop(tmp_path, etcd_member.NAME)
        command_line.write("sleep\0" + "60")
    starting.join()
    assert not daemons.is_running(tmp_path, etcd_member.NAME)


def test_a_member_without_its_data_is_not_restarted(tmp_path, where):
    shutil.rmtree(where / "etcd")
    with pytest.raises(Unavailable, match=r"its data in .*/cluster/etcd is lost: use \"hawse swarm leave --force\""):
        etcd_member.keep_running(tmp_path, tmp_path)
    assert not daemons.is_running(tmp_path, etcd_member.NAME)


def test_a_promotion_is_tried_again_while_the_store_elects_a_leader(monkeypatch):
    answers = [EtcdUnavailable("no leader"), {"members": [{"name": "a", "ID": "1"}]}, EtcdError("not in sync"),
               {"members": [{"name": "a", "ID": "1"}]}, {}]  # fmt: skip

    def call(path, body):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(daemons, "is_running", lambda run, name: True)
    etcd_member.promote(None, SimpleNamespace(call=call), "a")
    assert answers == []
