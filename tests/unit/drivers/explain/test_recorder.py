"""The tests check which commands the recorder keeps, and which values it does not show."""

from __future__ import annotations

import os
import subprocess

import pytest

from drivers.explain.recorder import CommandRecorder


def test_a_command_with_secret_input_is_shown_as_a_comment():
    recorder, done = CommandRecorder(), []
    recorder.command(("wg", "syncconf", "hw1", "/dev/stdin"), lambda: done.append(1), secret=True)
    assert recorder.commands[0].startswith("# wg syncconf hw1 /dev/stdin ")
    assert done == [1]


def test_a_change_that_fails_is_not_kept():
    recorder = CommandRecorder()
    with pytest.raises(ZeroDivisionError):
        recorder.nft("add table x\n", lambda: 1 / 0)
    assert list(recorder.commands) == []


def test_forked_children_add_to_the_commands():
    recorder = CommandRecorder()
    recorder.sysctl("net/ipv4/ip_forward", "1", lambda: None)
    child = os.fork()
    if child == 0:
        recorder.sysctl("net/ipv4/conf/eth0.10/forwarding", "1", lambda: None)
        os._exit(0)
    os.waitpid(child, 0)
    recorder.command(("touch", "/tmp/a b"), lambda: None)
    assert recorder.commands == [
        "sysctl -w net.ipv4.ip_forward=1", "sysctl -w net/ipv4/conf/eth0.10/forwarding=1", "touch '/tmp/a b'",
    ]  # fmt: skip


def test_no_part_of_a_comment_is_executed(tmp_path):
    recorder, flag = CommandRecorder(), tmp_path / "flag"
    recorder.comment(f"/etc/netns/x\ntouch {flag}\r/resolv.conf gets the address of the resolver.")
    recorder.command(("wg", f"x\ntouch {flag}"), lambda: None, secret=True)
    subprocess.run(["sh"], input="\n".join(recorder.commands), text=True, check=True)
    assert len(recorder.commands) == 2
    assert not flag.exists()
