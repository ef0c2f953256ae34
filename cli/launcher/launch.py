"""Send the command of the ``hawse`` script to the warm server, or run the command in this process.

The warm server is a resident process that runs commands faster, because it has already imported hawse's modules.
This module sends the server the attributes of this process that the command needs: arguments, environment, streams,
directories and namespaces. The module imports only built-in modules and `_socket`, because every further import takes
longer than the exchange with the server.

The launcher is this process. The protocol between launcher and server consists of these messages:

- A child process of the server receives the connection. The child sends WELCOME with its own pidfd (a file descriptor
  for a process), so that the launcher can send signals to the child.
- The launcher then sends the request with file descriptors. It does not send them before WELCOME, because a server
  that hangs would keep the descriptors open in the queue of its socket.
- The child sends READY, and the launcher sends GO. The child runs the command only after GO.
- Before GO, the launcher may run the command itself, because the child waits for GO. After GO, the launcher never runs
  the command.
"""

import _socket
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

PROTOCOL = 1
DEFAULT_RUN = b"/run/hawse"
SOCKET = b"warm.sock"
MODE_VARIABLE = b"HAWSE_WARM"
"""Name of the environment variable that says how the warm server is used.

- "off": every command runs in its own process, without the warm server.
- "use": a command uses a warm server that is running, but starts no server.
- "only": the command fails if no warm server accepts the command.

In each mode, these commands run in their own process: background jobs, `UNINSTALL`, and commands with a path of
`DESCRIPTORS` in an argument.
"""

LOCK = b"warm.lock"
SERVER_TIMEOUT_SECONDS = 5.0
"""Seconds that the child process of the server waits for the launcher.

With HAWSE_WARM=only, the launcher waits for the same time instead of `ANSWER_TIMEOUT_SECONDS`.
"""
ANSWER_TIMEOUT_SECONDS = 1.0
"""Seconds that the launcher waits for each answer of the warm server; then the launcher runs the command in its own
process.
"""
CHECK_SECONDS = 0.25
"""Seconds between two checks whether a server that does not answer is stopped or hangs."""

WELCOME, READY, REFUSED, GO, EXITED, KILLED, STOPPED = b"W", b"R", b"N", b"G", b"E", b"K", b"T"
MESSAGE = 5  # bytes of one protocol message: a letter that names the message, and a 4-byte number
LOST = 125  # exit code if no warm server accepts the command or if it is lost; `docker run` uses 125 without a daemon
REFUSED_TEXT = b"hawse: no warm server accepted the command (HAWSE_WARM=only)\n"
LOST_TEXT = b"hawse: lost the warm server while running this command; the next hawse command will recover\n"
PACKAGES = __file__.rsplit("/", 3)[0]

DESCRIPTORS = ("/dev/fd/", "/proc/self/fd/")
"""Path prefixes that name a file descriptor of this process, as a shell's ``<(...)`` does.

A command with such a path in an argument cannot run in the warm server. The warm server receives only the three
standard streams, so the file descriptor is not open there.
"""

FORWARDED = tuple(
    getattr(_signal, f"SIG{name}")
    for name in ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "ALRM", "TSTP", "CONT", "WINCH")
)
HANDOVER_PATHS = (
    (b".", posix.O_PATH), (b"/", posix.O_PATH),
    (b"/proc/self/ns/mnt", posix.O_RDONLY), (b"/proc/self/ns/net", posix.O_RDONLY),
)  # fmt: skip

UNINSTALL = "uninstall"
"""The name of the command ``hawse system uninstall``, which stops the unit of the warm server.

It must not run in the warm server, because that server ends only after the commands that it runs. Because global flags
may precede the command, a command with this word anywhere in its arguments does not use the warm server.
"""


class ServerRefused(Exception):
    """Raised when the warm server runs but does not accept this command."""


class ServerStopped(Exception):
    """Raised when the warm server hangs, or when a signal such as SIGSTOP has stopped it."""


def main() -> None:
    """Run the command of this process and exit; the command runs in the warm server if possible."""
    mode = posix.environ.get(MODE_VARIABLE)
    if mode == b"off" or names_descriptor(sys.argv[1:]) or in_background() or UNINSTALL in sys.argv:
        run_cold(leave_server=False)
    absent = False
    try:
        run_warm()
    except (ServerRefused, TimeoutError):
        pass
    except ServerStopped:
        from cli.launcher import silence

        absent = silence.end_server()
    except OSError:
        absent = True
    if mode == b"only":
        posix.write(2, REFUSED_TEXT)
        posix._exit(LOST)
    run_cold(leave_server=absent and mode != b"use")


def names_descriptor(arguments: list[str]) -> bool:
    """Return whether an argument has a path of a file descriptor (``/dev/fd/63``), which only this process can open."""
    return any(path in argument for argument in arguments for path in DESCRIPTORS)


def in_background() -> bool:
    """Return whether this process is a background job of its terminal; return False if stdin is not that terminal.

    A background job must not use the warm server. When a background job reads the terminal, the kernel stops the job.
    If the warm server's child read the terminal instead, the kernel would not stop the job.
    """
    try:
        return posix.tcgetpgrp(0) != posix.getpgrp()
    except OSError:
        return False


def run_warm() -> None:
    """Run the command in the warm server and exit with the command's status.

    Raises OSError, `ServerRefused` or `ServerStopped` if the server has not started the command. The caller may then
    run the command itself.
    """
    # Make this list before any open(), because a new file could get the descriptor number of a closed stream.
    streams = [fd for fd in range(3) if is_open(fd)]
    server = connect()
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, FORWARDED)
    try:
        await_answer(server)
        process = receive_pidfd(server)
        send_request(server, streams)
        await_answer(server)
        if receive_message(server)[:1] != READY:
            raise ServerRefused
        server.settimeout(None)
        server.sendall(message(GO))
    except (OSError, ServerRefused, ServerStopped):
        server.close()
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
        raise
    relay_until_exit(server, process, before)


def connect() -> _socket.socket:
    """Connect to the warm server and return the connected socket.

    Raises OSError if no server is listening. Raises `ServerRefused` if the server belongs to another user.
    """
    # Connect through the open directory, because the path of HAWSE_RUN may be longer than a socket address allows.
    directory = posix.open(posix.environ.get(b"HAWSE_RUN") or DEFAULT_RUN, posix.O_PATH | posix.O_CLOEXEC)
    try:
        server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        server.settimeout(CHECK_SECONDS)
        server.connect(b"/proc/self/fd/%d/%s" % (directory, SOCKET))
    finally:
        posix.close(directory)
    credentials = server.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    if int.from_bytes(credentials[4:8], sys.byteorder) != posix.geteuid():
        raise ServerRefused
    return server


def await_answer(server: _socket.socket) -> None:
    """Wait until the warm server answers or closes the connection; the caller then reads the answer.

    Raises `ServerStopped` if two checks in a row find that a signal has stopped the server. Raises `ServerStopped`
    after the time-out if the server hangs, and TimeoutError if the server is only slow.
    """
    only = posix.environ.get(MODE_VARIABLE) == b"only"
    limit, waited, checks = SERVER_TIMEOUT_SECONDS if only else ANSWER_TIMEOUT_SECONDS, 0.0, []
    while True:
        try:
            server.recv(1, _socket.MSG_PEEK)
            return
        except TimeoutError:
            from cli.launcher import silence

            waited += CHECK_SECONDS
            checks.append(silence.activity_of(silence.server_pid()))
            if silence.is_stopped(checks) or (waited >= limit and silence.hangs(checks)):
                raise ServerStopped from None
            if waited >= limit:
                raise


def send_request(server: _socket.socket, streams: list[int]) -> None:
    """Send the request to the warm server; ``streams`` lists the open standard file descriptors (0, 1, 2).

    The request carries the descriptors in ``streams``, and descriptors of the current directory, the root directory and
    the namespaces.
    """
    opened: list[int] = []
    try:
        for path, flags in HANDOVER_PATHS:
            opened.append(posix.open(path, flags | posix.O_CLOEXEC))
        rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in streams + opened)
        request = request_of_this_process(streams)
        sent = server.sendmsg([request], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
        server.sendall(request[sent:])
    finally:
        for fd in opened:
            posix.close(fd)


def request_of_this_process(streams: list[int]) -> bytes:
    """Return the bytes of the request for the command of this process; ``streams`` as in `send_request`."""
    umask = posix.umask(0o077)
    posix.umask(umask)
    ignored = [number for number in FORWARDED if _signal.getsignal(number) == _signal.SIG_IGN]
    arguments = [argument.encode(errors="surrogateescape") for argument in sys.argv[1:]]
    variables = [name + b"=" + value for name, value in posix.environ.items()]
    return encoded(identity(), umask, streams, ignored, arguments, variables)


def encoded(
    identity: bytes, umask: int, streams: "range | list[int]", ignored: list[int],
    arguments: list[bytes], variables: list[bytes],
) -> bytes:  # fmt: skip
    """Return the bytes of a request to the warm server.

    - ``identity``: identifies the protocol's version and hawse's installation; the result of the function `identity`.
    - ``umask``: the launcher's file mode creation mask.
    - ``streams``: the open standard file descriptors (0, 1, 2).
    - ``ignored``: the numbers of the signals that the launcher ignores.
    - ``arguments``: the command's arguments, without the name of the program.
    - ``variables``: the environment variables as ``NAME=value``.
    """
    groups = [umask, len(arguments)], streams, ignored
    numbers = b" ".join(b",".join(b"%d" % number for number in group) for group in groups)
    body = b"\0".join([identity, numbers, *arguments, *variables])
    return len(body).to_bytes(4, "big") + body


def is_open(fd: int) -> bool:
    """Return whether the number ``fd`` is an open file descriptor of this process."""
    try:
        posix.fstat(fd)
    except OSError:
        return False
    return True


def identity() -> bytes:
    """Return, as bytes, the facts that must be the same for the launcher and the warm server.

    The facts are the version of the protocol, the interpreter, the file of this module and the directory of hawse's
    packages.
    """
    file = posix.stat(__file__)
    interpreters = sys.executable.rpartition("/")[0]  # only the directory counts, so that python and python3 are equal
    facts = (PROTOCOL, sys.hexversion, file.st_dev, file.st_ino, file.st_mtime_ns, interpreters, PACKAGES)
    return " ".join(map(str, facts)).encode(errors="surrogateescape")


def message(kind: bytes, number: int = 0) -> bytes:
    """Return the bytes of one message of the protocol between launcher and server.

    ``kind`` is the message's letter, one of the constants such as `EXITED`. ``number`` is an exit code or the number of
    a signal; it is 0 in a message that needs no number.
    """
    return kind + number.to_bytes(4, "big")


def receive_pidfd(server: _socket.socket) -> int:
    """Receive and return the pidfd (file descriptor) of the warm server's child that will run the command.

    Raises `ServerRefused` if the server refuses this process, and OSError for any other answer.
    """
    answer, rights, _, _ = server.recvmsg(MESSAGE, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
    if answer[:1] == REFUSED:
        raise ServerRefused
    if answer[:1] != WELCOME or not rights:
        raise OSError
    return int.from_bytes(rights[0][2], sys.byteorder)


def relay_until_exit(server: _socket.socket, process: int, mask: "set[int]") -> None:
    """Wait until the command in the warm server ends, and exit with the command's exit code or signal.

    ``process`` is the pidfd of the command. The caller has blocked the signals in `FORWARDED`. ``mask`` is the signal
    mask before that blocking; this function restores it. While the command runs:

    - Signals to this process are forwarded to the command.
    - When the command is stopped, this process stops too. When this process is continued, it continues the command.
    - If the connection ends without a result, this process prints `LOST_TEXT` and exits with the code `LOST`.
    """

    def forward(number: int, _frame: object) -> None:
        try:
            _signal.pidfd_send_signal(process, number)
        except ProcessLookupError:
            return

    for number in FORWARDED:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, forward)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
    while True:
        event = receive_message(server)
        number = int.from_bytes(event[1:], "big")
        if event[:1] == STOPPED:
            stop(number, forward)
        elif event[:1] == KILLED:
            die(number)
        elif event[:1] == EXITED:
            posix._exit(number)
        else:
            posix.write(2, LOST_TEXT)
            posix._exit(LOST)


def receive_message(server: _socket.socket) -> bytes:
    """Receive and return one message of the warm server; return b"" if the server has closed the connection."""
    try:
        return server.recv(MESSAGE, _socket.MSG_WAITALL)
    except OSError:
        return b""


def stop(number: int, forward: "_signal._HANDLER") -> None:
    """Stop this process with the signal that has stopped the command in the warm server.

    ``number`` is the number of this signal. When this process is continued, it sends SIGCONT to the command, so that
    the command continues too. ``forward`` is the handler that forwards signals to the command.
    """
    for each in (number, _signal.SIGCONT):
        if each != _signal.SIGSTOP:
            _signal.signal(each, _signal.SIG_DFL)
    posix.kill(posix.getpid(), number)
    for each in (number, _signal.SIGCONT):
        if each in FORWARDED:
            _signal.signal(each, forward)
    posix.kill(posix.getpid(), _signal.SIGCONT)


def die(number: int) -> None:
    """End this process with the signal ``number``, which has ended the command in the warm server."""
    if number != _signal.SIGKILL:
        _signal.signal(number, _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [number])
    posix.kill(posix.getpid(), number)
    posix._exit(128 + number)


def run_cold(*, leave_server: bool) -> None:
    """Run the command in this process, without the warm server, and exit.

    With ``leave_server``, also start a warm server for the next command.
    """
    if sys.flags.no_site:
        import site

        site.main()
    from cli.root import run_and_revive

    if _signal.getsignal(_signal.SIGINT) == _signal.SIG_DFL:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    try:
        code = run_and_revive(sys.argv[1:])
    finally:
        if leave_server:
            start_server()
    sys.exit(code)


def start_server() -> None:
    """Start a warm server, which outlives this process.

    The new server ends immediately if another warm server is running.
    """
    if posix.fork():
        return
    try:
        posix.setsid()
        if posix.fork():
            posix._exit(0)
        become_server()
    finally:
        posix._exit(127)


def become_server() -> None:
    """Replace this process by the warm server.

    The server keeps neither the file descriptors nor the current directory of this process. It keeps only the
    environment variables PATH and HAWSE_*.
    """
    kept = {name: value for name, value in posix.environ.items() if name == b"PATH" or name.startswith(b"HAWSE_")}
    if kept.get(b"HAWSE_RUN", b"/")[:1] not in (b"", b"/"):
        kept[b"HAWSE_RUN"] = posix.getcwdb() + b"/" + kept[b"HAWSE_RUN"]
    posix.chdir("/")
    null = posix.open("/dev/null", posix.O_RDWR)
    for fd in range(3):
        posix.dup2(null, fd)
    posix.closerange(3, 65536)
    for number in range(1, 32):
        if number not in (_signal.SIGKILL, _signal.SIGSTOP):
            _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, [])
    boot = "import sys; sys.path.insert(0, sys.argv.pop(1)); from cli.warm.__main__ import main; main()"
    posix.execve(sys.executable, [sys.executable, "-I", "-X", "utf8", "-c", boot, PACKAGES], kept)
