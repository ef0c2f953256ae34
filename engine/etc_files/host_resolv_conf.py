"""Finds the host's resolv.conf: which of its files says where names are really asked for. Writes nothing."""

from __future__ import annotations

from pathlib import Path

from engine.etc_files.resolv_conf import parse

SYSTEM = Path("/etc/resolv.conf")
STUB = "127.0.0.53"
"""systemd-resolved's listener: it stands for the servers in `BEHIND_STUB`, as in Docker."""
BEHIND_STUB = Path("/run/systemd/resolve/resolv.conf")


def read_host(system: Path = SYSTEM, behind_stub: Path = BEHIND_STUB) -> str:
    """The text of the host's own file, or of the one behind systemd-resolved's stub; "" where it is missing."""
    text = _read(system)
    if list(parse(text).servers) == [STUB]:
        return _read(behind_stub) or text
    return text


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
