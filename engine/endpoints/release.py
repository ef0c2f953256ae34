"""Giving back what a container holds: endpoints, addresses and ports. All of it idempotent."""

from __future__ import annotations

from pathlib import Path

from engine.model import ContainerRecord


def close_sandbox(record: ContainerRecord) -> None:
    """Take away the sandbox's path; the record keeps telling where it was, as Docker's does."""
    path = Path(record.sandbox_path)
    if record.kind == "process" and path.is_symlink():
        path.unlink(missing_ok=True)
