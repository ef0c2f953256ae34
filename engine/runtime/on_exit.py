"""The command ``on_exit``, which the supervisor runs after a container's end unless a client handles the end."""

from __future__ import annotations

from engine.runtime.directory import ContainerDirectory
from engine.runtime.jobs import Job, Jobs
from engine.runtime.stop_order import StopOrder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from engine.runtime.directory import Spec


class OnExit:
    """The command ``on_exit`` of one container, and the number of clients that handle the container's end (`hold`).

    The command releases what the ended container used. A client that handles the end does this itself.
    """

    def __init__(self, directory: ContainerDirectory, spec: Spec, stop_order: StopOrder, jobs: Jobs) -> None:
        self._directory, self._spec, self._stop_order, self._jobs = directory, spec, stop_order, jobs
        self._holders = 0
        self._job: Job | None = None  # None before the container's end, or if the end has been handled

    @property
    def is_held(self) -> bool:
        """Whether a client handles the container's end itself, so that the command ``on_exit`` must not run."""
        return self._holders > 0

    def hold(self) -> None:
        """Prevent the command ``on_exit`` from running, because a client handles the container's end itself.

        `release` undoes this call. If several clients handle the end, each client makes both calls.
        """
        self._holders += 1

    def release(self) -> None:
        """Undo one call of `hold`; run the registered command ``on_exit`` unless the container's end has been handled.

        - Another client still handles the end: nothing runs.
        - The container's files are deleted and no restart is due: the end has been handled, so ``on_exit`` is
          cancelled.
        """
        self._holders -= 1
        if self._holders:
            return
        if self._directory.exists() or self._stop_order.restart:
            self.run()
        else:
            self.cancel()

    def register(self) -> None:
        """Register the command ``on_exit`` as a job, because the container has ended; do not run the job yet.

        If the user has requested a restart, the job is durable: after a kill of this supervisor, the next supervisor
        runs it.
        """
        if self._spec["on_exit"]:
            self._job = Job(self._directory.id, self._spec["on_exit"], self._spec["on_exit_env"])
            self._jobs.add(self._job, durable=self._stop_order.restart)

    def run(self) -> None:
        """Run the registered command ``on_exit`` as a separate process; later calls of this method do nothing."""
        job, self._job = self._job, None
        if job is not None:
            self._jobs.run(job)

    def cancel(self) -> None:
        """Cancel the registered command ``on_exit``, because a client has handled the container's end; idempotent."""
        self._jobs.drop(self._job)
        self._job = None

    def handle_recorded_end(self) -> None:
        """Run the command ``on_exit`` for a container's end that an earlier supervisor recorded.

        Does nothing if no end is recorded, or if a job for the container exists.
        """
        if self._directory.read("exit") is not None and not self._jobs.has(self._directory.id):
            self.register()
            self.run()
