"""A terminal session with a container: attach streams to the container, forward signals, return its exit code."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

from cli.app import App, StatusError, unwritable
from cli.container.signals import SignalProxy
from engine.errors import EngineError, NotFound
from engine.runtime.api import Attachment, Stdio

ESCAPED = "read escape sequence"
"""Error text of ``attach`` and ``exec`` when the user detaches with ctrl-p ctrl-q.

``run`` and ``start`` print no error when the user detaches.
"""


def check_terminal(app: App, *, stdin: bool, tty: bool) -> None:
    """Check that hawse's stdin is a terminal if a container's terminal reads from it; raises StatusError.

    ``stdin`` says whether the container's stdin is attached, and ``tty`` whether the container has a terminal.
    """
    if stdin and tty and not app.stdin.isatty():
        raise StatusError("the input device is not a TTY")


def console_size(app: App) -> tuple[int, int]:
    """Return the height and width of the terminal on stdout in characters, or (0, 0) if stdout is not a terminal."""
    try:
        size = os.get_terminal_size(app.stdout.fileno())
    except OSError:
        return 0, 0
    return size.lines, size.columns


@contextmanager
def streams(*, stdout: bool = True, stderr: bool = True) -> Iterator[Stdio]:
    """Yield the file descriptors of this process's stdin, stdout and stderr, to attach them to a container.

    If ``stdout`` or ``stderr`` is false, a file descriptor of the null device takes the place of this stream, until the
    end of the ``with`` block.
    """
    with open(os.devnull, "wb") as nowhere:
        yield Stdio(0, 1 if stdout else nowhere.fileno(), 2 if stderr else nowhere.fileno())


def proxied(app: App, container_id: str, *, enabled: bool) -> AbstractContextManager[SignalProxy | None]:
    """Return a context manager that yields a `SignalProxy`, which forwards this process's signals to the container.

    If ``enabled`` is false, the context manager does nothing and yields None.
    """
    if not enabled:
        return nullcontext()

    def send(name: str) -> None:
        with suppress(EngineError):  # ignore the error, because the container may have ended already
            app.engine.containers.kill(container_id, name)

    return SignalProxy(send)


def attached(
    app: App, container_id: str, stdio: Stdio, *, stdin: bool, proxy: SignalProxy | None, start: Callable[[], None]
) -> Attachment:
    """Attach to the container and call ``start``; copy the streams until the container ends or the user detaches.

    - ``stdio``: the file descriptors of this process to attach
    - ``stdin``: whether the container's stdin is attached too
    - ``proxy``: forwards this process's signals; earlier signals are queued until ``start`` has returned
    - ``start``: starts the container, or does nothing if the container runs already

    The returned attachment is closed. Its attributes ``exit_code`` and ``detached`` remain valid.

    Raises StatusError if the output cannot be written. If the reason is a broken pipe and ``proxy`` is None, raises
    BrokenPipeError instead. The caller can then end this process as SIGPIPE ends Docker's client.
    """
    attachment = app.engine.containers.open_attachment(container_id, stdio, stdin=stdin)
    try:
        start()
        if proxy:
            proxy.open()
        _copy(attachment, proxy)
    finally:
        attachment.close()
    return attachment


def _copy(attachment: Attachment, proxy: SignalProxy | None) -> None:
    try:
        attachment.run()
    except OSError as error:
        if isinstance(error, BrokenPipeError) and not proxy:
            raise
        raise unwritable(error) from error


def exit_code(app: App, container_id: str, attachment: Attachment, *, removed: bool) -> int:
    """Wait until the container has stopped, and return its exit code; return 0 immediately if the user detached.

    ``attachment`` is the result of `attached`. With ``removed``, the function waits until the container is removed.
    """
    if attachment.detached:
        return 0
    try:
        code = app.engine.containers.wait(container_id, condition="removed" if removed else "not-running")
    except NotFound:
        if attachment.exit_code is None:
            raise
        return attachment.exit_code  # the container was removed before the wait began
    return code if attachment.exit_code is None else attachment.exit_code
