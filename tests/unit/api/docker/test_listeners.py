"""The unix socket of the service replaces the socket of a service that has ended, and no other."""

from __future__ import annotations

import socket

import pytest

from api.docker.listeners import _remove_old_socket
from engine.errors import EngineError


@pytest.mark.timeout(10)
def test_a_listener_that_accepts_no_connection_is_not_replaced(tmp_path):
    path = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(path))
        listener.listen(0)
        client.connect(str(path))  # fills the backlog; a further connect(2) would block
        with pytest.raises(EngineError, match=r"another process listens there$"):
            _remove_old_socket(path)
    assert path.exists()
    _remove_old_socket(path)
    assert not path.exists()
