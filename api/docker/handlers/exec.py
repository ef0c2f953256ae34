"""/containers/{id}/exec and /exec: run further commands in containers.

The command runs in a worker, with pipes or a terminal. The front has the other end of the pipes or the terminal, and
copies data between this end and the client. The front sends the output in frames that name the stream (stdcopy), unless
the client asks for a ``raw`` stream.
"""

from __future__ import annotations

import os
import select
import threading
import tty as terminals
from contextlib import ExitStack, suppress

from msgspec.structs import replace

from api.docker.copying import CHUNK_BYTES, Client, InputPipe, Relay
from api.docker.errors import ApiError, bad_request
from api.docker.execs import EXECS, Exec, run_of
from api.docker.fields import Fields
from api.docker.handlers.attach import SIZE_LIMIT, detach_keys, size
from api.docker.messages import EMPTY, Json, Request, Response, json_response
from api.docker.request_types import EXEC_CREATE, EXEC_START
from api.docker.router import Route
from api.docker.stream import Hijacked, media_type
from api.docker.workers import Job
from engine.api import Engine
from engine.errors import EngineError, NotFound, StartFailure
from engine.model import ExecCreate
from engine.runtime import terminal
from engine.runtime.api import LEFT, Stdio

REFUSAL_SECONDS = 0.25
FAILED = 126
"""The exit code of a command that could not be executed."""


def create(request: Request) -> Response:
    """Answer POST /containers/{id}/exec."""
    body = request.json(EXEC_CREATE)
    words = body.texts("Cmd")
    if not words:
        raise bad_request("No exec command specified")
    document = request.engine.containers.inspect(request.parameters["id"])
    _require_running(document)
    keys = _checked_keys(body.text("DetachKeys"))
    command = ExecCreate(
        cmd=words,
        env=body.texts("Env") or (),
        user=body.text("User"),
        working_dir=body.text("WorkingDir"),
        tty=body.flag("Tty"),
        attach_stdin=body.flag("AttachStdin"),
        privileged=body.flag("Privileged"),
        detach_keys=False,
    )
    attached = body.flag("AttachStdout"), body.flag("AttachStderr")
    console = _console_size(body)
    run = run_of(document)
    instance = EXECS.add(lambda exec_id: Exec(exec_id, document["Id"], run, command, attached, keys, console))
    request.engine.containers.announce_exec(document["Id"], replace(command, exec_id=instance.id))
    return json_response({"Id": instance.id}, 201)


def start(request: Request) -> Response | None:
    """Answer POST /exec/{id}/start; the connection then carries the command's streams.

    With ``Detach``, the connection carries no streams. An exec instance (a created command) can be started only once.
    The error of a second start is, as in Docker:

    - with ``Detach``: an error status in the answer
    - without ``Detach``: a text in the output
    """
    body = request.json(EXEC_START)
    instance = _known(request, in_running=True)
    rows, columns = _console_size(body)
    try:
        instance.claim()
    except ApiError as error:
        if body.flag("Detach"):
            raise
        with request.exchange.hijack(media_type(request.version, tty=body.flag("Tty"))) as connection:
            client = Client(connection, None, None, tty=body.flag("Tty"), stays=True)
            client.write("stdout", f"{error}\r\n".encode())
        return None
    try:
        if rows or columns:
            instance.size = rows, columns
        if body.flag("Detach"):
            _start_detached(request, instance)
            return EMPTY
        # As in Docker, Tty in this request decides only whether the output has frames. Tty in the request that created
        # the exec instance decided whether the command has a terminal.
        raw = body.flag("Tty")
        with request.exchange.hijack(media_type(request.version, tty=raw)) as connection:
            (_run_in_terminal if instance.command.tty else _run_with_pipes)(request, instance, connection, raw=raw)
    except BaseException:
        if instance.exit_code is None:  # no exit code was recorded, for example because the client disconnected
            instance.finish(FAILED)
        raise
    return None


def resize(request: Request) -> Response:
    """Answer POST /exec/{id}/resize."""
    rows, columns = size(request)
    _known(request, in_running=True).resize(rows, columns)
    return EMPTY


def inspect(request: Request) -> Response:
    """Answer GET /exec/{id}/json."""
    instance, pid = _known(request), 0
    if runner := instance.runner():
        with suppress(EngineError):  # the container may have ended
            pid = request.engine.containers.exec_pid(instance.container_id, runner)
    return json_response(instance.document(pid))


def _known(request: Request, *, in_running: bool = False) -> Exec:
    """Return the exec instance (a created command) with the id in the path; raises ApiError (404) for an unknown id.

    With ``in_running``, raises ApiError (409) if the container does not run. As in Docker, an id is unknown if the
    container has been removed. The id of a command that was never started is also unknown after the end of the
    container's run.

    Without ``in_running``, the id stays valid for a short time after the command's end. The removal of a container ends
    the command, and ``docker exec`` must still be able to read the exit code.
    """
    instance = EXECS.get(request.parameters["id"])
    if instance.has_just_ended and not in_running:
        return instance
    try:
        document = request.engine.containers.inspect(instance.container_id)
    except NotFound:
        document = None
    if document is None or not (instance.started.is_set() or run_of(document) == instance.run):
        raise ApiError(404, f"No such exec instance: {instance.id}")
    if in_running:
        _require_running(document)
    return instance


def _checked_keys(text: str) -> str:
    """Check that ``text`` names detach keys, and return it; raises ApiError (500, Docker's status) if not."""
    try:
        detach_keys(text)
    except ApiError:
        raise ApiError(500, f"Invalid escape keys ({text}) provided") from None
    return text


def _require_running(document: Json) -> None:
    """Check that a container runs; raises ApiError (409) if not."""
    if document["State"]["Restarting"]:
        raise ApiError(409, f"Container {document['Id']} is restarting, wait until the container is running")
    if not document["State"]["Running"]:
        raise ApiError(409, f"container {document['Id']} is not running")


def _start_detached(request: Request, instance: Exec) -> None:
    """Start the command for a detached client, which gets no streams; raises ApiError if it cannot be executed.

    A worker reports only the end of a command, not its start. A command that cannot be executed ends early. This
    function therefore waits up to `REFUSAL_SECONDS` for the end.
    """
    master, file = instance.open_terminal() if instance.command.tty else (-1, _null())
    job = _job(request, instance, [file])
    if job.has_ended(REFUSAL_SECONDS):
        code, text = _outcome(job)
        instance.finish(code, executed=not text)
        if text:
            raise ApiError(400, text)
    else:
        threading.Thread(target=_await_end, args=(instance, job, master), daemon=True).start()


def _await_end(instance: Exec, job: Job, master: int) -> None:
    """Discard the terminal output of a detached command until the command ends, and record its exit code.

    ``master`` is the file descriptor of the pseudo-terminal's master, or -1 without a terminal.
    """
    poll = select.poll()
    poll.register(job.fileno(), select.POLLIN)
    if master >= 0:
        poll.register(master, select.POLLIN)
    while job.fileno() not in dict(poll.poll()):
        try:
            os.read(master, CHUNK_BYTES)
        except OSError:
            poll.unregister(master)
    instance.finish(_outcome(job)[0])


def _run_with_pipes(request: Request, instance: Exec, connection: Hijacked, *, raw: bool) -> None:
    """Run the command with a pipe for each stream that the client wants, until the command has ended.

    With ``raw``, stdout is sent without frames, and stderr is not sent.
    """
    command = instance.command
    with ExitStack() as stack:
        worker_files: list[int] = []
        stack.callback(_close, worker_files)
        source = None
        if command.attach_stdin:
            reader, writer = os.pipe()
            worker_files.append(reader)
            source = InputPipe(writer)
            stack.callback(source.close)
        else:
            worker_files.append(_null())
        outputs = []
        for attached, stream in zip(instance.attached, ("stdout", "stderr"), strict=True):
            if attached and not (raw and stream == "stderr"):
                reader, writer = os.pipe()
                stack.callback(os.close, reader)
                outputs.append((reader, stream))
                worker_files.append(writer)
            else:
                worker_files.append(_null())
        job = _job(request, instance, worker_files)
        client = Client(connection, source, None, tty=raw, stays=True)
        Relay(client, source, outputs, job.fileno()).run()
        _finish(instance, job, client)


def _run_in_terminal(request: Request, instance: Exec, connection: Hijacked, *, raw: bool) -> None:
    """Run the command with a terminal between the front and the worker, until the command has ended.

    The worker copies between this terminal and the command's terminal in the container. If this terminal's size
    changes, the command's terminal gets the same size. With ``raw``, the output is sent without frames.
    """
    master, slave = instance.open_terminal()
    with ExitStack() as stack:
        stack.callback(_close, worker_files := [slave])
        terminals.setraw(slave)
        rows, columns = instance.size
        if rows or columns:
            terminal.set_size(master, rows, columns)
        source = InputPipe(os.dup(master))
        stack.callback(source.close)
        job = _job(request, instance, worker_files)
        sink = source if instance.command.attach_stdin else None
        client = Client(connection, sink, detach_keys(instance.keys) if sink else None, tty=raw, stays=False)
        Relay(client, source, [(master, "stdout")], job.fileno()).run()
        _finish(instance, job, client)


def _job(request: Request, instance: Exec, files: list[int]) -> Job:
    """Start the instance's command in a worker, and close ``files`` (see `_execute`), because the worker has copies.

    If no worker can be started, records the end of the command, and raises ApiError.
    """
    try:
        command = replace(instance.command, exec_id=instance.id)
        job = request.workers.start(_execute, (instance.container_id, command), files=files, counted=False)
    except ApiError:
        instance.finish(FAILED)
        raise
    finally:
        _close(files)
    instance.connect(job)
    return job


def _close(files: list[int]) -> None:
    """Close a list of file descriptors and empty the list; idempotent."""
    while files:
        os.close(files.pop())


def _finish(instance: Exec, job: Job, client: Client) -> None:
    """Wait for the command's end and record its exit code.

    If the command could not be executed, the client gets the reason as output.
    """
    code, text = _outcome(job)
    instance.finish(code, executed=not text)
    if text:
        client.write("stdout", f"{text}\r\n".encode("utf-8", "replace"))


def _outcome(job: Job) -> tuple[int, str]:
    """Wait for the end of the job; return the result of `_execute`, or `FAILED` and the text of the job's error."""
    try:
        code, text = job.result()
    except ApiError as error:
        return FAILED, str(error)
    return int(code), str(text)


def _execute(engine: Engine, files: list[int], container_id: str, command: ExecCreate) -> tuple[int, str]:
    """Run a command in a container, as a job of a worker; return its exit code, and an error text or "".

    The error text says why the command could not be executed. ``files`` has the file descriptor of a terminal, or the
    file descriptors of stdin, stdout and stderr.
    """
    stdio = Stdio(files[0], files[0], files[0]) if len(files) == 1 else Stdio(*files)
    try:
        code = engine.containers.exec(container_id, command, stdio)
    except StartFailure as error:
        return error.exit_code, str(error)
    return (0 if code == LEFT else code), ""


def _console_size(body: Fields) -> tuple[int, int]:
    """Return the rows and columns in the field ConsoleSize, or (0, 0) without this field.

    Raises ApiError (400) if a number is negative or above `SIZE_LIMIT`.
    """
    rows, columns = body.size("ConsoleSize")
    if not (0 <= rows <= SIZE_LIMIT and 0 <= columns <= SIZE_LIMIT):
        raise bad_request(f"invalid ConsoleSize: [{rows} {columns}]")
    return rows, columns


def _null() -> int:
    return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


ROUTES = [
    Route("POST", "/containers/{id:.*}/exec", create),
    Route("POST", "/exec/{id}/start", start),
    Route("POST", "/exec/{id}/resize", resize),
    Route("GET", "/exec/{id}/json", inspect),
]
