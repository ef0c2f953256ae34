"""Where a container's log is, and how it is bounded."""

from __future__ import annotations

from engine.errors import KernelFailure
from engine.host import Host
from engine.model import ContainerRecord
from engine.validate.logging import LOCAL, NONE, Rotation, rotation


def log_path(host: Host, record: ContainerRecord) -> str:
    """Return the path of the container's log; "" where its driver keeps none."""
    directory = host.root / "containers" / record.id
    if record.host.log_driver == NONE:
        return ""
    if record.host.log_driver == LOCAL:
        return str(directory / "local-logs" / "container.log")
    return str(directory / f"{record.id}-json.log")


def log_bounds(host: Host, record: ContainerRecord) -> Rotation:
    """Return how the log is bounded; ValueError carries Docker's text about options."""
    return rotation(record.host.log_driver, record.host.log_options, host.config.default_log_limit)


def log_bounds_at_start(host: Host, record: ContainerRecord) -> Rotation:
    """Return how the log is bounded; raises the error of a container that is to start."""
    try:
        return log_bounds(host, record)
    except ValueError as error:
        text = f"failed to create task for container: failed to initialize logging driver: {error}"
        raise KernelFailure(text) from None
