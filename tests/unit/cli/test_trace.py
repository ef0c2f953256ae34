"""``hawse trace`` prints its answer without control characters on a terminal."""

import pytest

HOP = {"where": "ns\x1b[2J", "ok": True, "what": "eth0\x1b[2J", "detail": "up\x1b[2J", "seen": False}
CULPRIT = {"kind": "link", "object": "br\x1b[2J", "detail": "down\x1b[2J", "fix": "set\x1b[2J"}


@pytest.mark.parametrize("terminal", [True, False])
def test_control_characters_are_escaped_on_a_terminal_only(cli, terminal):
    cli.terminal = terminal
    cli.engine.answers["system"]["trace"] = {"hops": [HOP], "culprit": CULPRIT, "reachable": False}
    result = cli("--no-color", "trace", "host\x1b[1m", "http://10.0.0.3/\x1b[2J")
    assert result.code == 1
    escape = "\\u001b" if terminal else "\x1b"
    assert result.out.splitlines()[0] == f"host{escape}[1m → http://10.0.0.3/{escape}[2J"
    assert f"host{escape}[1m does not reach http://10.0.0.3/{escape}[2J\n" in result.out
    assert result.out.count(f"{escape}[2J") == 8
