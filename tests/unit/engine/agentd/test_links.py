"""The agent cannot watch the links of a sandbox, because file descriptors have run out."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace

from engine.agentd import links
from engine.agentd.links import LinkService, Ours, Place
from engine.eventloop.inotify import Inotify
from engine.eventloop.loop import Loop
from engine.recovery.link_repair import CONTAINER, Subject


def test_the_listener_is_closed_when_the_redirection_cannot_be_watched(monkeypatch, capsys):
    closed = []

    def watch_redirection():
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(links, "inside", lambda _fd, action: action())
    monkeypatch.setattr(links, "LinkListener", lambda _groups: SimpleNamespace(close=lambda: closed.append(True)))
    monkeypatch.setattr(links, "RedirectWatch", watch_redirection)
    loop, subject = Loop(), Subject(CONTAINER, "web")
    service = LinkService(loop, Inotify(loop), None, lambda: True)
    ours = Ours(subject, frozenset(), frozenset(), frozenset(), frozenset())
    service._watch(subject, Place(f"/proc/{os.getpid()}/ns/net", resolves=True), ours)
    assert closed == [True]
    assert "cannot watch the links of container web" in capsys.readouterr().err
    loop.close()
