"""The doctor's check of the agent ignores a lock file that other users can change."""

from types import SimpleNamespace

from engine.agent import client
from engine.diagnosis.doctor import processes


def test_an_agent_with_another_users_lock_file_is_not_running(tmp_path):
    lock = tmp_path / client.LOCK
    lock.touch()
    lock.chmod(0o666)
    assert processes.agent_state(SimpleNamespace(run=tmp_path)) == (processes.ENDED, ())
