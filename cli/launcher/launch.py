"""The ``hawse`` command's first process: it hands the command to the warm server, or runs it itself.

Where there is perl, cli/launch.pl comes first and does what does not need Python; both hold to what follows.

Knows the server's socket and what must be handed over for the command to run there as it would here; refuses to know
what any command does. It may import only what an interpreter without site packages (``python -IS``) has at hand: every
further module would cost more than the whole way to the server and back.

The conversation: WELCOME comes from a process that could run the command, with its pidfd; the request goes out, with
descriptors (not before, for they would lie about in the queue of a server that hangs); READY comes back; GO commits. Up
to GO the launcher may always run the command itself, because nobody else will; after GO it never does.
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
SERVER_HUNG_FLAG = "hawse-waited"
"""An option (-X) that launch.pl gives the interpreter: the server hangs, so much is known."""
MODE_VARIABLE = b"HAWSE_WARM"
"""Set to "off": no server is asked. "use": one that is there is, none is started. "only": without one, fail."""

SERVER_TIMEOUT_SECONDS = 5.0
"""Seconds to wait for the server to be ready before running the command here."""

WELCOME, READY, REFUSED, GO, EXITED, KILLED, STOPPED = b"W", b"R", b"N", b"G", b"E", b"K", b"T"
MESSAGE = 5  # bytes: one of the above and a number
LOST = 125  # what Docker's client answers for a daemon that fails it
PACKAGES = __file__.rsplit("/", 3)[0]

DESCRIPTORS = ("/dev/fd/", "/proc/self/fd/")
"""Paths of descriptors, such as a shell's ``<(...)``; only the three streams are handed over."""

PASSED_ON = tuple(
    getattr(_signal, f"SIG{name}")
    for name in ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "ALRM", "TSTP", "CONT", "WINCH")
)
HANDOVER_PATHS = (
    (b".", posix.O_PATH), (b"/", posix.O_PATH),
    (b"/proc/self/ns/mnt", posix.O_RDONLY), (b"/proc/self/ns/net", posix.O_RDONLY),
)  # fmt: skip


class ServerRefused(Exception):
    """The server is there and will not take this command."""


def main() -> None:
    """Run the command line of this process, warm where that is possible, and exit."""
    wanted = posix.environ.get(MODE_VARIABLE)
    if wanted == b"off" or names_descriptor(sys.argv[1:]) or in_background():
        run_cold(leave_server=False)
    absent = False
    try:
        if SERVER_HUNG_FLAG not in sys._xoptions:
            run_warm()
    except ServerRefused:
        pass
    except OSError:
        absent = True
    if wanted == b"only":
        posix.write(2, b"hawse: no warm server takes this command\n")
        posix._exit(LOST)
    run_cold(leave_server=absent and wanted != b"use")


def names_descriptor(arguments: list[str]) -> bool:
    """Tell whether an argument is, or holds, the path of a descriptor, which only this process can follow."""
    return any(path in argument for argument in arguments for path in DESCRIPTORS)


def in_background() -> bool:
    """Tell whether this is a background job of the terminal on its stdin, which the kernel alone stops as it should."""
    try:
        return posix.tcgetpgrp(0) != posix.getpgrp()
    except OSError:
        return False


def run_warm() -> None:
    """Have the server run the command and exit as it did; raises OSError or `ServerRefused` where nobody has begun it."""
    streams = [fd for fd in range(3) if is_open(fd)]  # now, while no descriptor of ours has such a number
    server = connect()
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, PASSED_ON)
    try:
        process = receive_pidfd(server)
        send_request(server, streams)
        if receive_message(server)[:1] != READY:
            raise ServerRefused
        server.settimeout(None)
        server.sendall(message(GO))
    except (OSError, ServerRefused):
        server.close()
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
        raise
    relay_until_exit(server, process, before)


def connect() -> _socket.socket:
    """Reach a server of our own user; raises OSError where there is none."""
    # By way of the open directory, for a path may be longer than a socket's name.
    directory = posix.open(posix.environ.get(b"HAWSE_RUN") or DEFAULT_RUN, posix.O_PATH | posix.O_CLOEXEC)
    try:
        server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        server.settimeout(SERVER_TIMEOUT_SECONDS)
        server.connect(b"/proc/self/fd/%d/%s" % (directory, SOCKET))
    finally:
        posix.close(directory)
    credentials = server.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    if int.from_bytes(credentials[4:8], sys.byteorder) != posix.geteuid():
        raise ServerRefused
    return server


def send_request(server: _socket.socket, streams: list[int]) -> None:
    """Send the request, and with it our streams, directory, root and namespaces."""
    own: list[int] = []
    try:
        for path, how in HANDOVER_PATHS:
            own.append(posix.open(path, how | posix.O_CLOEXEC))
        rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in streams + own)
        request = request_of_this_process(streams)
        sent = server.sendmsg([request], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
        server.sendall(request[sent:])
    finally:
        for fd in own:
            posix.close(fd)


def request_of_this_process(streams: list[int]) -> bytes:
    """What must be known to run the command as here."""
    umask = posix.umask(0o077)
    posix.umask(umask)
    ignored = [number for number in PASSED_ON if _signal.getsignal(number) == _signal.SIG_IGN]
    arguments = [argument.encode(errors="surrogateescape") for argument in sys.argv[1:]]
    numbers = b" ".join(
        b",".join(b"%d" % number for number in group) for group in ([umask, len(arguments)], streams, ignored)
    )
    variables = [name + b"=" + value for name, value in posix.environ.items()]
    body = b"\0".join([identity(), numbers, *arguments, *variables])
    return len(body).to_bytes(4, "big") + body


def is_open(fd: int) -> bool:
    """Tell whether the caller gave us this descriptor."""
    try:
        posix.fstat(fd)
    except OSError:
        return False
    return True


def identity() -> bytes:
    """Which hawse on which Python this is: a server must be the same, down to the file we were read from."""
    file = posix.stat(__file__)
    facts = (PROTOCOL, sys.hexversion, file.st_dev, file.st_ino, file.st_mtime_ns, sys.executable, PACKAGES)
    return " ".join(map(str, facts)).encode(errors="surrogateescape")


def message(kind: bytes, number: int = 0) -> bytes:
    """One message of the conversation after the request."""
    return kind + number.to_bytes(4, "big")


def receive_pidfd(server: _socket.socket) -> int:
    """Wait for the process that is to run the command: its pidfd."""
    answer, rights, _, _ = server.recvmsg(MESSAGE, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
    if answer[:1] == REFUSED:
        raise ServerRefused
    if answer[:1] != WELCOME or not rights:
        raise OSError
    return int.from_bytes(rights[0][2], sys.byteorder)


def relay_until_exit(server: _socket.socket, process: int, mask: "set[int]") -> None:
    """Pass signals on and do what the command does: stop, be continued, end."""

    def pass_on(number: int, _frame: object) -> None:
        try:
            _signal.pidfd_send_signal(process, number)
        except ProcessLookupError:
            return

    for number in PASSED_ON:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, pass_on)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
    while True:
        told = receive_message(server)
        number = int.from_bytes(told[1:], "big")
        if told[:1] == STOPPED:
            stop(number, pass_on)
        elif told[:1] == KILLED:
            die(number)
        elif told[:1] == EXITED:
            posix._exit(number)
        else:
            posix.write(2, b"hawse: the process that ran this command is lost; the next command puts things right\n")
            posix._exit(LOST)


def receive_message(server: _socket.socket) -> bytes:
    """Wait for one message; empty when nobody is there any more."""
    try:
        return server.recv(MESSAGE, _socket.MSG_WAITALL)
    except OSError:
        return b""


def stop(number: int, pass_on: "_signal._HANDLER") -> None:
    """Stop as the command did; when we are continued, so is it."""
    for each in (number, _signal.SIGCONT):
        if each != _signal.SIGSTOP:
            _signal.signal(each, _signal.SIG_DFL)
    posix.kill(posix.getpid(), number)
    for each in (number, _signal.SIGCONT):
        if each in PASSED_ON:
            _signal.signal(each, pass_on)
    posix.kill(posix.getpid(), _signal.SIGCONT)


def die(number: int) -> None:
    """End by the signal that ended the command, so that the caller sees what it would have seen."""
    if number != _signal.SIGKILL:
        _signal.signal(number, _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [number])
    posix.kill(posix.getpid(), number)
    posix._exit(128 + number)


def run_cold(*, leave_server: bool) -> None:
    """Run the command in this process and exit; a server for the next one may be left behind."""
    if sys.flags.no_site:
        import site

        site.main()
    from cli.app import App
    from cli.root import run

    try:
        code = run(sys.argv[1:], App())
    finally:
        if leave_server:
            start_server()
    sys.exit(code)


def start_server() -> None:
    """Start a server that outlives this process and keeps nothing of it; of several, all but one end at once."""
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
    """Execute the server, without the caller's descriptors, directory and variables."""
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


if __name__ == "__main__":
    main()
