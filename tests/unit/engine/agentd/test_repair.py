from __future__ import annotations

from engine.agentd.repair import RepairService
from engine.eventloop.loop import Loop


def test_a_thread_may_pass_a_message_after_the_service_was_closed(tmp_path):
    loop = Loop()
    service = RepairService(loop, None, dict, tmp_path)
    service.close()
    service._say("superseded")
    loop.close()
