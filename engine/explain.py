"""Record the changes of the kernel that this process makes, or would make, as equivalent shell commands."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.explain.dry_run import DryRunRecorder
from drivers.explain.recorder import CommandRecorder
from drivers.linux import recording

_recorder: CommandRecorder | None = None


def start(*, dry_run: bool = False) -> None:
    """Record all changes from now on; with ``dry_run``, the changes are only recorded and not made.

    The recorded commands are for a shell in the present network namespace of this process.
    """
    global _recorder  # noqa: PLW0603  (a process runs one command)
    _recorder = DryRunRecorder() if dry_run else CommandRecorder()
    recording.recorder = _recorder


def stop() -> Sequence[str]:
    """Stop recording, and return the commands in the order of the changes; empty if nothing was recorded."""
    commands = _recorder.commands if _recorder is not None else []
    recording.stop()
    return commands
