"""/images: list, inspect, load, save, pull, import, tag, remove and prune.

Everything except list and inspect runs as a job in a worker, which reports to the front.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import chain
from typing import Any, BinaryIO

from api.docker.errors import ApiError, ClientGone, bad_request
from api.docker.messages import Json, Request, Response, encode, json_response
from api.docker.newer_versions import IMAGE_USERS, image_of
from api.docker.registry_auth import registry_auth
from api.docker.router import Route
from api.docker.versions import Version
from api.docker.workers import Job
from engine.api import Documents, Engine
from engine.errors import EngineError
from engine.validate.image_reference import ImageReference, parse_reference

NO_DOWNLOAD = "hawse does not download: fetch it first, then import the file"
PIECE_BYTES = 64 << 10
EMPTY_NAMES, NO_VIRTUAL_SIZE, NO_CONTAINER_CONFIG = (1, 43), (1, 44), (1, 45)
"""API versions in which the documents of images change.

From EMPTY_NAMES, an image without names has empty lists of names in the list of images. From NO_VIRTUAL_SIZE, the
documents lack the field VirtualSize, and from NO_CONTAINER_CONFIG the field ContainerConfig.
"""
EMPTY_CONFIG = {
    **dict.fromkeys(("Hostname", "Domainname", "User"), ""),
    **dict.fromkeys(("AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"), False),
    **dict.fromkeys(("Env", "Cmd")), "Image": "", "Volumes": None, "WorkingDir": "",
    **dict.fromkeys(("Entrypoint", "OnBuild", "Labels")),
}  # fmt: skip
"""The configuration of the container from which an image was made; hawse makes no images from containers."""


def list_images(request: Request) -> Response:
    """Answer GET /images/json."""
    filters = request.filters()
    if name := request.value("filter"):  # parameter of clients before API version 1.41
        filters["reference"] = [*filters.get("reference", ()), name]
    entries = [_old_entry(each, request.version) for each in request.engine.images.list(filters)]
    if request.version >= IMAGE_USERS:
        users = count_users(request.engine.containers.list({}, all=True))
        entries = [{**entry, "Containers": users[entry["Id"]]} for entry in entries]
    return json_response(entries)


def inspect(request: Request) -> Response:
    """Answer GET /images/{name}/json."""
    document = request.engine.images.inspect(request.parameters["name"])
    if request.version < NO_CONTAINER_CONFIG:
        document["ContainerConfig"] = EMPTY_CONFIG
    return json_response(image_of(with_virtual_size(document, request.version), request.version))


def count_users(containers: Documents) -> Counter[str]:
    """Return the number of containers of each image, by the image's id."""
    return Counter(container["ImageID"] for container in containers)


def with_virtual_size(document: Json, version: Version) -> Json:
    """Return an image's document for an API version; before 1.44, it also has the size as VirtualSize.

    A size of 0 gives no VirtualSize.
    """
    return {**document, "VirtualSize": document["Size"]} if version < NO_VIRTUAL_SIZE and document["Size"] else document


def _old_entry(entry: Json, version: Version) -> Json:
    """Return an entry of GET /images/json for an API version; before 1.43, an image without names is named <none>."""
    if version < EMPTY_NAMES:
        names, digests = entry["RepoTags"], entry["RepoDigests"]
        none = not (names or digests)
        entry = {
            **entry,
            "RepoTags": ["<none>:<none>"] if none else names or None,
            "RepoDigests": ["<none>@<none>"] if none else digests or None,
        }
    return with_virtual_size(entry, version)


def tag(request: Request) -> Response:
    """Answer POST /images/{name}/tag."""
    name = _reference(request.value("repo"), request.value("tag"))
    request.worker.images.tag(request.parameters["name"], str(name))
    return Response(201)


def remove(request: Request) -> Response:
    """Answer DELETE /images/{name}."""
    return json_response(request.worker.images.remove(request.parameters["name"], force=request.flag("force")))


def prune(request: Request) -> Response:
    """Answer POST /images/prune."""
    removed, size = request.worker.images.prune(request.filters())
    return json_response({"ImagesDeleted": removed or None, "SpaceReclaimed": size})


def load(request: Request) -> None:
    """Answer POST /images/load: import the images of an archive."""
    if not request.exchange.has_body:
        raise bad_request("the archive holds no image")
    _with_progress(request, chain([{}], _load_job(request, _load)))


def create(request: Request) -> None:
    """Answer POST /images/create: pull an image (``fromImage``), or import a file system (``fromSrc``)."""
    if image := request.value("fromImage"):
        name = _reference(image, request.value("tag"))
        auth = registry_auth(request.headers.get("x-registry-auth", ""), name.domain)
        with _Output() as output:
            job = request.workers.start(_pull, (str(name), request.value("platform"), auth), files=[output.writer])
            output.close_writer()
            _with_progress(request, _messages(request, job, output))
        return
    if request.value("fromSrc") != "-":
        raise bad_request(NO_DOWNLOAD if request.value("fromSrc") else "fromImage or fromSrc is needed")
    if "changes" in request.query:
        raise bad_request("changes are not supported: hawse uses an image as it is")
    name_of = str(_reference(request.value("repo"), request.value("tag"))) if request.value("repo") else ""
    _with_progress(request, _load_job(request, _import, name_of))


def save(request: Request) -> Response | None:
    """Answer GET /images/{name}/get and GET /images/get (``names``) with an archive of images."""
    single = request.parameters.get("name")
    names = [single] if single else [name for each in request.query.get("names", ()) for name in each.split(",")]
    with _Output() as output:
        job = request.workers.start(_save, (names,), files=[output.writer])
        output.close_writer()
        with closing(job):
            pieces = output.pieces(request.exchange.fileno())
            first = next(pieces, b"")
            if not first:
                job.result()  # raises the error of the job
            with request.exchange.open_stream("application/x-tar") as stream:
                for piece in chain([first], pieces):
                    stream.write(piece)
                job.result()  # raises the error of the job; the client then sees that the last chunk is missing
    return None


def _reference(name: str, tag: str) -> ImageReference:
    """Return the reference of an image that consists of ``name`` and ``tag``; ``tag`` may also be a digest.

    If ``tag`` is "", the reference has the tag or the digest in ``name``. If ``name`` has neither, the reference has
    the default tag. Raises `InvalidArgument` if the result is no valid reference.
    """
    if not tag:
        return parse_reference(name)
    return parse_reference(f"{name}@{tag}" if ":" in tag else f"{parse_reference(name).name}:{tag}")


class _Output:
    """The output of a job: a pipe into which the worker writes lines of JSON, or an archive."""

    def __enter__(self) -> _Output:
        self.reader, self.writer = os.pipe()
        return self

    def __exit__(self, *_: object) -> None:
        self.close_writer()
        os.close(self.reader)

    def close_writer(self) -> None:
        """Close the writing end in this process, because the worker has a copy; idempotent."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def lines(self, client: int) -> Iterator[bytes]:
        """Yield the lines that the worker writes; the end, the error and ``client`` are as in `pieces`."""
        unfinished = b""
        for data in self.pieces(client):
            *lines, unfinished = (unfinished + data).split(b"\n")
            yield from lines

    def pieces(self, client: int) -> Iterator[bytes]:
        """Yield the bytes that the worker writes, until it closes the pipe; raises ClientGone if the client has gone.

        ``client`` is the file descriptor of the client's connection.
        """
        poll = select.poll()
        poll.register(self.reader, select.POLLIN)
        poll.register(client, select.POLLRDHUP)
        while True:
            ready = dict(poll.poll())
            if client in ready:
                raise ClientGone
            data = os.read(self.reader, PIECE_BYTES)
            if not data:
                return
            yield data


def _messages(request: Request, job: Job, output: _Output) -> Iterator[Json]:
    """Yield the messages that a job's worker writes to the pipe ``output``; raises ApiError if the job fails.

    If the client disconnects, this process closes the pipe, and the worker then ends its work.
    """
    with closing(job):
        for line in output.lines(request.exchange.fileno()):
            yield json.loads(line)
        job.result()


@contextmanager
def _to_front(output: int) -> Iterator[BinaryIO]:
    """Yield a pipe as a file; the front reads at the other end.

    ``output`` is the file descriptor of the pipe in this worker. If the front closes the pipe or is killed, the
    ``with`` block raises `EngineError`, and the programs that this worker has started end too. The kernel sends SIGIO
    when the front closes the pipe or reads from it. The signal handler therefore checks whether the pipe is closed.
    """

    def look(*_: object) -> None:
        poll = select.poll()
        poll.register(output, 0)
        if poll.poll(0):
            raise EngineError("context canceled")

    signal.signal(signal.SIGIO, look)
    fcntl.fcntl(output, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(output, fcntl.F_SETFL, fcntl.fcntl(output, fcntl.F_GETFL) | os.O_ASYNC)
    look()
    with os.fdopen(output, "wb") as pipe:
        try:
            yield pipe
        except BrokenPipeError as error:
            raise EngineError("context canceled") from error
        finally:
            signal.signal(signal.SIGIO, signal.SIG_IGN)


def _tell(pipe: BinaryIO, message: Json) -> None:
    """Send a message through ``pipe`` to the front, the process that answers the client."""
    pipe.write(encode(message))
    pipe.flush()


def _load_job(request: Request, work: Any, *arguments: Any) -> Iterator[Json]:
    """Run the job ``work``, which reads the body of the request from a pipe, and yield the job's messages.

    ``work`` gets the engine, the file descriptors of its output and of the body, and ``arguments``.
    """
    reader, writer = os.pipe()
    with _Output() as output:
        try:
            job = request.workers.start(work, arguments, files=[output.writer, reader])
        except BaseException:
            os.close(writer)
            raise
        finally:
            os.close(reader)
            output.close_writer()
        with closing(job):
            _pump(request, job, writer)
            yield from _messages(request, job, output)


def _pump(request: Request, job: Job, writer: int) -> None:
    """Copy the body of the request into the pipe ``writer``, and close the pipe; stop if the job ends earlier."""
    with os.fdopen(writer, "wb", buffering=0) as pipe, suppress(BrokenPipeError):
        for piece in request.exchange.body():
            pipe.write(piece)
            if job.has_ended():
                return


def _with_progress(request: Request, messages: Iterator[Json]) -> None:
    """Send an answer that consists of the messages, as lines of JSON.

    The head of the answer is sent as soon as the first message is available. If the first message is empty, no line is
    sent for it. An error before the first message becomes the status of the answer. A later error is sent as the last
    message.
    """
    first = next(messages, None)
    with request.exchange.open_stream() as stream:
        if first:
            stream.write(encode(first))
        try:
            for message in messages:
                stream.write(encode(message))
        except ApiError as error:
            stream.write(encode({"errorDetail": {"message": str(error)}, "error": str(error)}))


def _pull(engine: Engine, files: list[int], name: str, platform: str, auth: Mapping[str, Any]) -> None:
    with _to_front(files[0]) as pipe:
        for message in engine.images.pull(name, platform, auth):
            _tell(pipe, message)


def _load(engine: Engine, files: list[int]) -> None:
    with _to_front(files[0]) as pipe, os.fdopen(files[1], "rb") as archive:
        for image in engine.images.load(archive):
            names = [f"Loaded image: {name}\n" for name in image.references]
            for text in names or [f"Loaded image ID: {image.id}\n"]:
                _tell(pipe, {"stream": text})


def _import(engine: Engine, files: list[int], name: str) -> None:
    with _to_front(files[0]) as pipe, os.fdopen(files[1], "rb") as archive:
        _tell(pipe, {"status": engine.images.import_archive(archive, name)})


def _save(engine: Engine, files: list[int], names: Sequence[str]) -> None:
    with _to_front(files[0]) as pipe:
        engine.images.save(names, pipe)


ROUTES = [
    Route("GET", "/images/json", list_images),
    Route("GET", "/images/get", save),
    Route("POST", "/images/load", load),
    Route("POST", "/images/create", create),
    Route("POST", "/images/prune", prune),
    Route("GET", "/images/{name:.*}/json", inspect),
    Route("GET", "/images/{name:.*}/get", save),
    Route("POST", "/images/{name:.*}/tag", tag),
    Route("DELETE", "/images/{name:.*}", remove),
]
