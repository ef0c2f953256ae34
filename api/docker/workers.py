"""Workers: processes that each run one job. The service's parent, which has only one thread, forks them.

To ask for a worker, the front passes one end of a socket pair to the parent. Over the other end, the front sends the
job and gets the result. A worker finishes its job even if the client has closed its connection, as in Docker.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Any, NoReturn

from api.docker import rehearsal
from api.docker.errors import ApiError, api_error
from engine.api import Engine
from engine.core import open_engine
from engine.errors import EngineError
from engine.eventloop.readiness import wait_readable
from engine.runtime import prefork, protocol

FILES_LIMIT = 8
"""Maximum number of descriptors that a job may get."""
PARALLEL_LIMIT = 200
"""Maximum number of workers that run at the same time; further jobs wait. Jobs with ``counted=False`` do not count."""
END_SECONDS = 1.0
"""Maximum seconds that the front waits for the end of a worker whose job has failed."""
_LENGTH = struct.Struct("!Q")


class Job:
    """A job that runs in a worker; it ends when its result has arrived, or when the worker was killed."""

    def __init__(self, channel: socket.socket, pidfd: int, turn: threading.Semaphore) -> None:
        self._channel, self._pidfd, self._turn = channel, pidfd, turn
        self._open = True
        self._lock = threading.Lock()  # held by each method that uses the pidfd, because threads share the job

    def fileno(self) -> int:
        """Return a file descriptor that is readable when the job has ended."""
        return self._channel.fileno()

    def pid(self) -> int:
        """Return the pid of the worker, or -1 if the worker has ended or /proc cannot be read."""
        with self._lock, suppress(OSError):
            if self._open:
                with open(f"/proc/self/fdinfo/{self._pidfd}", encoding="ascii") as file:
                    return next((int(line[4:]) for line in file if line.startswith("Pid:")), -1)
        return -1

    def has_ended(self, seconds: float = 0.0) -> bool:
        """Wait up to ``seconds`` for the end of the job, and return whether the job has ended."""
        return bool(wait_readable([self._channel], seconds=seconds))

    def result(self) -> Any:
        """Wait for the end of the job, and return its result; raises ApiError for an error of the job."""
        try:
            kind, *values = _receive(self._channel)
            if kind == "error":
                self._await_end()
        except (OSError, EOFError):
            raise ApiError(500, "the process that worked on the request was killed") from None
        finally:
            self.close()
        if kind == "error":
            raise ApiError(*values)
        return values[0]

    def _await_end(self) -> None:
        """Wait until the worker of a failed job has ended, at most `END_SECONDS`.

        The job may have left unfinished work. Other commands can finish this work only after the worker has ended.
        """
        with self._lock:
            if self._open:
                wait_readable([self._pidfd], seconds=END_SECONDS)

    def kill(self, number: int) -> None:
        """Send the signal ``number`` to the worker; does nothing if the worker has ended."""
        with self._lock, suppress(ProcessLookupError):
            if self._open:
                signal.pidfd_send_signal(self._pidfd, number)

    def close(self) -> None:
        """Release the job; idempotent. A worker that still runs continues, and its result is lost."""
        with self._lock:
            if self._open:
                self._open = False
                self._channel.close()
                os.close(self._pidfd)
                self._turn.release()


class Workers:
    """Starts jobs in workers. All threads of the front share one object of this class."""

    def __init__(self, parent: socket.socket) -> None:
        self._parent = parent
        self._turn = threading.BoundedSemaphore(PARALLEL_LIMIT)

    def start(
        self, job: Callable[..., Any], arguments: Sequence[Any], *, files: Sequence[int] = (), counted: bool = True
    ) -> Job:
        """Start ``job(engine, files, *arguments)`` in a worker, with copies of the file descriptors ``files``.

        ``job`` is a function at module level. With ``counted``, the call blocks while `PARALLEL_LIMIT` jobs run.
        Without ``counted``, the job starts at once, and may run as long as a container runs. Raises ApiError if no
        worker can be started, and ValueError for more than `FILES_LIMIT` files.
        """
        if len(files) > FILES_LIMIT:
            raise ValueError(f"a job gets at most {FILES_LIMIT} files")
        data = pickle.dumps((job, tuple(arguments)))
        turn = self._turn if counted else threading.Semaphore(1)
        turn.acquire()
        try:
            return Job(*self._start_worker(files, data), turn)
        except BaseException as error:
            turn.release()
            if not isinstance(error, (OSError, EOFError)):
                raise
            raise ApiError(500, f"no process for the request could be started: {error}") from error

    def _start_worker(self, files: Sequence[int], data: bytes) -> tuple[socket.socket, int]:
        """Start a worker with the pickled job ``data``; return a socket to the worker, and the worker's pidfd.

        ``files`` are the file descriptors for the job. The result of the job will come over the socket. Raises OSError
        or EOFError if the worker cannot be started.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._parent, [b"w"], [theirs.fileno()])
            socket.send_fds(ours, [b"f"], list(files))
            _send(ours, data)
            _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
            if not descriptors:
                raise EOFError
        except BaseException:
            ours.close()
            raise
        return ours, descriptors[0]


class WorkerVerb:
    """A verb of the engine, such as ``containers.start``. A call runs the verb in a worker, and returns its result.

    ``WorkerVerb(workers)`` has the engine's groups of verbs as attributes, such as ``containers``. Each group has its
    verbs as attributes. A call blocks while `PARALLEL_LIMIT` jobs run. It raises ApiError if the verb fails or no
    worker can be started.
    """

    def __init__(self, workers: Workers, *names: str) -> None:
        self._workers, self._names = workers, names

    def __getattr__(self, name: str) -> WorkerVerb:
        return WorkerVerb(self._workers, *self._names, name)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Run the verb in a worker, and return its result; arguments and result are pickled."""
        return self._workers.start(_call, (".".join(self._names), arguments, keywords)).result()


def _call(engine: Engine, _files: Sequence[int], verb: str, arguments: Sequence[Any], keywords: Any) -> Any:
    return attrgetter(verb)(engine)(*arguments, **keywords)


def wait_for_job(idle: socket.socket) -> NoReturn:
    """Warm up this idle worker, wait for a job, and run it; does not return.

    The parent sends the channel of the job, a socket to the front, over ``idle``.
    """
    try:
        rehearsal.warm_up(until=lambda: prefork.has_work(idle))
        channel = socket.socket(fileno=prefork.receive(idle))
        idle.close()
        serve(channel)
    finally:
        os._exit(1)


def serve(channel: socket.socket) -> NoReturn:
    """Receive a job from the front over ``channel``, run it in this worker, and send the result; does not return."""
    code = 1
    try:
        with suppress(OSError):
            os.setsid()
        _, files, _, _ = socket.recv_fds(channel, 1, FILES_LIMIT)
        job, arguments = _receive(channel)
        pidfd = os.pidfd_open(os.getpid())
        socket.send_fds(channel, [b"p"], [pidfd])
        os.close(pidfd)
        answer = _outcome(job, files, arguments)
        with suppress(BrokenPipeError, ConnectionError):  # the front no longer waits
            _send(channel, answer)
        code = 0
    except EOFError:
        code = 0  # the front ended before it sent the job
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(Exception):
            sys.stderr.flush()
        os._exit(code)


def _outcome(job: Callable[..., Any], files: Sequence[int], arguments: Sequence[Any]) -> bytes:
    try:
        return pickle.dumps(("result", job(open_engine(), files, *arguments)))
    except (EngineError, ApiError) as failure:
        error = api_error(failure)
        return pickle.dumps(("error", error.status, str(error)))
    except Exception as error:
        sys.excepthook(*sys.exc_info())
        return pickle.dumps(("error", 500, f"hawse: unexpected {type(error).__name__}: {error}"))


def _send(channel: socket.socket, data: bytes) -> None:
    channel.sendall(_LENGTH.pack(len(data)) + data)


def _receive(channel: socket.socket) -> Any:
    """Wait for the next pickled object on the channel, and return it; raises OSError and EOFError.

    Both ends are processes of one service, so pickle is safe here.
    """
    (length,) = _LENGTH.unpack(protocol.exactly(channel, _LENGTH.size))
    return pickle.loads(protocol.exactly(channel, length))
