"""A container's standard streams in the supervisor, which copies output to the log and to every attached client.

Output goes through FIFOs that the container itself keeps open. Therefore the container never gets SIGPIPE, and a new
supervisor can continue to copy after the old supervisor has ended. A slow client slows the container down, as with
Docker.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import struct
import termios

from engine.eventloop.loop import READ, WRITE, Loop
from engine.runtime import crun, protocol
from engine.runtime.connection import Connection
from engine.runtime.directory import ContainerDirectory
from engine.runtime.jsonlog import LogWriter
from engine.runtime.logcompress import Compressor
from engine.runtime.reaper import Children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from engine.runtime.directory import Spec

_CHUNK = 65536
FULL_BYTES = 1 << 18  # bytes of waiting input; above this limit, no input is read from clients
_TERMINAL_BYTES = 1 << 20  # more than a terminal holds (TTYB_DEFAULT_MEM_LIMIT in Linux, drivers/tty/tty_buffer.c)
_FIFO = os.O_NOFOLLOW | os.O_CLOEXEC


def _capacity(fd: int) -> int:
    """Return the number of bytes that a pipe can hold; for a terminal, `_TERMINAL_BYTES`."""
    try:
        return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
    except OSError:
        return _TERMINAL_BYTES


def _open_log(children: Children, spec: Spec) -> LogWriter:
    """Open the container's log with the size limits in ``spec`` (the container's description).

    A description that an older hawse wrote has no limits. ``children`` reaps the processes that compress rotated logs.
    """
    path = spec["log_path"]
    compress = Compressor(children, path).start if path and spec.get("log_compress") else None
    return LogWriter(path, spec.get("log_max_size", 0), spec.get("log_max_files", 1), compress)


class Streams:
    """The standard input, output and error of one container, and the clients that are attached to them."""

    def __init__(self, loop: Loop, children: Children, directory: ContainerDirectory, spec: Spec) -> None:
        self.attached: list[Connection] = []
        self._loop, self._directory, self._spec = loop, directory, spec
        self._log = _open_log(children, spec)
        self._outputs: dict[int, int] = {}
        self._stdin, self._unsent, self._stdin_ended = -1, bytearray(), False
        self._terminal, self._size = -1, (0, 0)
        self._begun, self._fresh = False, True

    def open_fifos(self, *, adopted: int = 0) -> None:
        """Open the supervisor's ends of the FIFOs; does nothing if the container has a terminal.

        ``adopted`` is the pid of a process that an earlier supervisor started, or 0. With the option stdin_once, an
        adopted process gets no standard input. This option closes standard input when the first client's input ends,
        and that client's connection has ended with the earlier supervisor.
        """
        if self._spec["tty"]:
            return
        for number, (kind, name) in enumerate(protocol.STREAM_NAMES.items(), 1):
            self._outputs[self._open_fifo(name, adopted, number, os.O_RDONLY)] = kind
        if self._spec["open_stdin"] and not (adopted and self._spec["stdin_once"]):
            self._stdin = self._open_fifo("stdin", adopted, 0, os.O_RDWR)
        if adopted:
            self._fresh = False
            self.begin()

    def _open_fifo(self, name: str, adopted: int, number: int, mode: int) -> int:
        """Open the FIFO ``name`` with ``mode``, the flags of open(2), and return its file descriptor.

        If the FIFO's file was deleted, open the FIFO that the process ``adopted`` has as file descriptor ``number``. An
        ``adopted`` of 0 means that there is no such process.
        """
        if adopted and not os.path.lexists(self._directory.file(name)):
            with contextlib.suppress(OSError):
                path_fd = os.open(f"/proc/{adopted}/fd/{number}", os.O_PATH | os.O_CLOEXEC)
                try:
                    if stat.S_ISFIFO(os.fstat(path_fd).st_mode):
                        return os.open(f"/proc/self/fd/{path_fd}", mode | os.O_CLOEXEC | os.O_NONBLOCK)
                finally:
                    os.close(path_fd)
        return os.open(self._directory.make_fifo(name), mode | _FIFO | os.O_NONBLOCK)

    def open_for_child(self) -> tuple[int, int, int]:
        """Open the container's ends of its standard input, output and error; return the three file descriptors.

        The caller closes them. With a terminal, each is /dev/null, because the process opens the terminal itself
        (`init.connect_streams`).
        """
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        if self._spec["tty"]:
            return null, null, null
        out, err = (os.open(self._directory.file(n), os.O_RDWR | _FIFO) for n in ("stdout", "stderr"))
        if self._stdin < 0:
            return null, out, err
        os.close(null)
        mode = os.O_RDONLY if self._spec["stdin_once"] else os.O_RDWR
        return os.open(self._directory.file("stdin"), mode | _FIFO), out, err

    def take_terminal(self, master: int) -> None:
        """Use the container's terminal for all streams; ``master`` is a file descriptor of its master."""
        os.set_blocking(master, False)
        self._terminal, self._outputs[master] = master, protocol.STDOUT
        if self._spec["open_stdin"]:
            self._stdin = master
        self.resize(*self._size)
        self.resume()

    def attach(self, client: Connection) -> None:
        """Copy the container's output to ``client`` from now on."""
        self.attached.append(client)
        client.on_drain = self.resume

    def detach(self, client: Connection) -> None:
        """Stop copying the container's output to ``client``."""
        self.attached.remove(client)
        self.resume()

    def feed(self, data: bytes) -> None:
        """Write ``data`` to the container's standard input; b"" means that the client's input has ended.

        The container's input is then closed if the container has the option stdin_once and no terminal.
        """
        if data:
            self._unsent += data
        elif self._spec["stdin_once"] and not self._spec["tty"]:
            self._stdin_ended = True
        self._write_stdin()

    def resize(self, rows: int, columns: int) -> None:
        """Set the terminal's size now, or later when the container gets its terminal."""
        self._size = rows, columns
        if self._terminal >= 0 and (rows or columns):
            fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def begin(self) -> None:
        """Start reading output and writing input, because the command has now been executed.

        No output is read before this call, because it would not be from the command. Input that clients have sent
        earlier is kept until this call.
        """
        self._begun = True
        self.resume()
        self._write_stdin()

    def discard(self) -> None:
        """Drop the output that was written before a command failed to execute."""
        for fd in list(self._outputs):
            self._close_output(fd)

    def resume(self) -> None:
        """Read output again, unless more than 1 MiB waits to be sent to an attached client."""
        if not self._begun:
            return
        held = any(client.full for client in self.attached)
        for fd in self._outputs:
            self._watch(fd, held=held)

    def close(self) -> None:
        """Read the remaining data from the pipes, then close the pipes and the log.

        A process outside the container may have got a pipe from the container, and may write to it without end.
        Therefore, each pipe is read only up to its capacity.
        """
        for fd, kind in list(self._outputs.items()):
            left = _capacity(fd)
            while left > 0 and (size := self._copy(fd, kind)):
                left -= size
            self._close_output(fd)
        self._close_stdin()
        self._log.close()

    def _watch(self, fd: int, *, held: bool) -> None:
        writable = WRITE if fd == self._stdin and self._unsent else 0
        events = (0 if held or not self._begun else READ) | writable
        if events:
            self._loop.watch(fd, lambda events: self._ready(fd, events), events)
        else:
            self._loop.forget(fd)

    def _ready(self, fd: int, events: int) -> None:
        if events & WRITE:
            self._write_stdin()
        if events & ~WRITE and fd in self._outputs and not self._copy(fd, self._outputs[fd]):
            self._close_output(fd)
        elif any(client.full for client in self.attached):
            self.resume()

    def _copy(self, fd: int, kind: int) -> int:
        """Copy the available data of the stream ``fd`` to the log and the clients; return the number of bytes copied.

        Returns 0 at the end of the stream or if no data is available. ``kind`` is the type of the frames that
        carry the data to the clients, such as `protocol.STDOUT`.
        """
        try:
            data = os.read(fd, _CHUNK)
        except OSError:
            return 0
        size = len(data)
        if data:
            data = self._first_words(data, kind)
            self._log.write(protocol.STREAM_NAMES[kind], data)
            for client in list(self.attached):
                client.send(protocol.frame(kind, data))
        return size

    def _first_words(self, data: bytes, kind: int) -> bytes:
        """Return ``data``, but replace crun's error message for a failed execve by runc's message.

        Only the first output of a container can be crun's message. ``kind`` is the type of the frames that carry
        the data to the clients, such as `protocol.STDERR`.
        """
        fresh, self._fresh = self._fresh, False
        if not fresh or self._spec["rootfs"] == "/" or (kind == protocol.STDOUT and not self._spec["tty"]):
            return data
        return crun.refusal(data, self._spec["argv"])

    def _write_stdin(self) -> None:
        if self._begun:
            self._write_unsent()
        for client in self.attached:
            client.pause(len(self._unsent) > FULL_BYTES)
        if not self._begun or self._stdin < 0:
            return
        if self._stdin_ended and not self._unsent:
            self._close_stdin()
        elif self._stdin == self._terminal:
            self._watch(self._stdin, held=any(client.full for client in self.attached))
        elif self._unsent:
            self._loop.watch(self._stdin, lambda _: self._write_stdin(), WRITE)
        else:
            self._loop.forget(self._stdin)

    def _write_unsent(self) -> None:
        if self._stdin < 0:
            self._unsent.clear()
        try:
            while self._unsent:
                del self._unsent[: os.write(self._stdin, self._unsent[:_CHUNK])]
        except BlockingIOError:
            return
        except OSError:
            self._unsent.clear()

    def _close_output(self, fd: int) -> None:
        del self._outputs[fd]
        self._loop.forget(fd)
        if fd == self._terminal:
            self._terminal = -1
            if fd == self._stdin:
                self._stdin = -1
        os.close(fd)

    def _close_stdin(self) -> None:
        if self._stdin >= 0 and self._stdin != self._terminal:
            self._loop.forget(self._stdin)
            os.close(self._stdin)
            self._stdin = -1
