"""The agent guards the host's etcd member; the tests check when the agent restarts the member."""

from engine.cluster import membership
from engine.host import MEMBERSHIP_FILE
from engine.swarm import daemons, etcd_member


def test_an_ended_member_is_restarted_unless_the_host_has_left(tmp_path):
    where = membership.directory(tmp_path)
    where.mkdir()
    (where / "etcd.argv").write_text("sleep\0" + "60")
    (where / MEMBERSHIP_FILE).write_text("{}")
    etcd_member.keep_running(tmp_path, tmp_path)
    assert daemons.is_running(tmp_path, etcd_member.NAME)

    (where / MEMBERSHIP_FILE).unlink()  # a host that leaves the cluster removes this file, then stops etcd
    daemons.stop(tmp_path, etcd_member.NAME)
    etcd_member.keep_running(tmp_path, tmp_path)
    assert not daemons.is_running(tmp_path, etcd_member.NAME)
