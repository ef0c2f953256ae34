"""A command reads the agent's whole answer, also if the answer is longer than one read."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest

from engine.agent import client


@pytest.mark.parametrize("part_bytes", [30_000, 200_000])
def test_a_long_status_answer_is_read_to_its_end(tmp_path, monkeypatch, part_bytes):
    monkeypatch.setattr(client.peer, "is_genuine", lambda _: True)
    warnings = [f"ip (7) keeps changing the links of container web{number}" for number in range(2000)]
    answer = json.dumps({"warnings": warnings}).encode() + b"\n"

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(100) == b"status\n"
            for start in range(0, len(answer), part_bytes):
                connection.sendall(answer[start : start + part_bytes])
                time.sleep(0.02)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / client.SOCKET))
        listener.listen()
        agent = threading.Thread(target=serve)
        agent.start()
        assert client.warnings(tmp_path) == warnings
        agent.join()
