"""Define `App`, which every command receives: the engine, the output streams and facts about the terminal.

All output goes through this module, so that only this module decides about colour, pipes and encodings. `App` writes
text as bytes, immediately and in the order of the calls. An argument that is not UTF-8 is written with its original
bytes. On a terminal, control characters are escaped (`cli.output.terminal_escapes`). A pipe gets every byte unchanged.

Modules that only few runs need are imported inside functions. They are the engine, which help texts and flag errors do
not need, and the modules for output to a terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO, TypeVar, cast

from engine.names import as_text

if TYPE_CHECKING:
    from types import ModuleType

    from cli.output.progress import Progress
    from engine.api import Engine
    from engine.errors import EngineError

T = TypeVar("T")

FLAG_ERROR = 125
"""Exit code of hawse for an invalid flag, and for a `run` that could not start its container."""

NOTICE_LIMIT = 10
"""A command that removes at least this number of objects says so on the terminal while it removes them."""


class StatusError(Exception):
    """An exception that ends the command. Its text is printed to stderr without a prefix.

    If the text is empty, nothing is printed. The process exits with the exception's exit code.
    """

    def __init__(self, text: str = "", exit_code: int = 1) -> None:
        super().__init__(text)
        self.text = text
        self.exit_code = exit_code


def open_default_engine() -> Engine:
    """Open this host's engine."""
    from engine.core import open_engine

    return open_engine()


def standard(stream: TextIO | None, mode: str) -> BinaryIO:
    """Return the byte stream of a standard stream such as ``sys.stdin``, or of the null device if ``stream`` is None.

    ``stream`` is None if the standard stream was closed when this process started. The null device is then opened with
    ``mode`` ("rb" or "wb"). It gets the closed stream's file descriptor number, so that no later file gets this number.
    """
    if stream is not None:
        return stream.buffer
    descriptor = os.open(os.devnull, os.O_RDWR)
    os.set_inheritable(descriptor, True)
    return cast("BinaryIO", os.fdopen(descriptor, mode, closefd=False))


def shell_colours(text: str) -> str:
    """Return the shell script ``text`` coloured for a terminal; long lines are not wrapped."""
    from rich.console import Console
    from rich.syntax import Syntax

    console, syntax = Console(force_terminal=True, color_system="standard"), Syntax("", "bash", theme="ansi_dark")
    with console.capture() as capture:
        for line in text.splitlines():
            console.print(syntax.highlight(line), end="", soft_wrap=True)
    return capture.get()


def _escaping() -> ModuleType:
    from cli.output import terminal_escapes

    return terminal_escapes


def _explain() -> ModuleType:
    from cli import explain

    return explain


def _layout() -> ModuleType:
    from cli.output import terminal_text

    return terminal_text


def unwritable(error: OSError) -> StatusError:
    """Return Docker's error for a failed write to stdout."""
    return StatusError(f"write /dev/stdout: {(error.strerror or '').lower()}")


def discard_output(stream: BinaryIO) -> None:
    """Redirect a stream to /dev/null after a failed flush, so that the interpreter does not flush it again at exit."""
    with suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


class App:
    """One run of a hawse command: its engine, its output streams and facts about the terminal.

    ``hint`` is the remedy that the user may try if the command fails. The hint is printed after the error, and only on
    a terminal. ``global_flags`` are the values of the flags of ``hawse`` itself.
    """

    def __init__(
        self,
        *,
        stdin: BinaryIO | None = None,
        stdout: BinaryIO | None = None,
        stderr: BinaryIO | None = None,
        environ: Mapping[str, str] = os.environ,
        open_engine: Callable[[], Engine] = open_default_engine,
    ) -> None:
        self.stdin = stdin or standard(sys.stdin, "rb")
        self.stdout = stdout or standard(sys.stdout, "wb")
        self.stderr = stderr or standard(sys.stderr, "wb")
        self.environ = environ
        self.open_engine = open_engine
        self.debug = bool(environ.get("HAWSE_DEBUG"))
        self.no_color = bool(environ.get("NO_COLOR"))
        self.hint = ""
        self.global_flags: Mapping[str, Any] = {}
        self._progress: Progress | None = None

    @cached_property
    def engine(self) -> Engine:
        """This host's engine, opened at first use.

        - In a dry run, the engine makes no changes, and records the changes that it would make.
        - With ``--explain``, the engine makes the changes and records them.
        """
        if self.is_dry_run:
            return cast("Engine", _explain().dry_engine(self))
        if self.global_flags.get("explain"):
            _explain().record()
        engine = self.open_engine()
        if self.open_engine is open_default_engine and self.has_color(self.stderr):
            from engine.store.locks import set_notice

            set_notice(self.waiting)
        return engine

    @contextmanager
    def waiting(self, text: str, total: int = 0) -> Iterator[Callable[[int], None]]:
        """Show ``text`` on the terminal if the work in the ``with`` block takes longer than half a second.

        ``text`` is only shown if stderr is a terminal with colour (`has_color`). ``total`` is the size of the work in
        bytes, or 0 if it is unknown. The context manager yields a function that takes the number of bytes completed so
        far. Inside another `waiting` block, ``text`` replaces the outer block's text, and the yielded function does
        nothing.
        """
        if not self.has_color(self.stderr):
            yield lambda _: None
            return
        text = _escaping().escaped_line(text)
        if self._progress:
            progress, before = self._progress, self._progress.text
            progress.show(text)
            try:
                yield lambda _: None
            finally:
                progress.show(before)
        else:
            from cli.output.progress import Progress

            self._progress = Progress(self.stderr.fileno(), text, total)
            try:
                yield self._progress.done
            finally:
                self._progress.close()
                self._progress = None

    def removing(self, number: int, kind: str) -> AbstractContextManager[object]:
        """Show "Removing 12 containers" (`waiting`) in the ``with`` block, for at least `NOTICE_LIMIT` objects."""
        return self.waiting(f"Removing {number} {kind}") if number >= NOTICE_LIMIT else nullcontext()

    @property
    def is_dry_run(self) -> bool:
        """Whether the command must not change anything, because the user gave ``--dry-run``."""
        return bool(self.global_flags.get("dry_run"))

    def explain(self) -> None:
        """With ``--explain`` or ``--dry-run``, print the changes to the kernel as shell commands on stderr."""
        if self.global_flags.get("explain") or self.is_dry_run:
            _explain().show(self)

    @cached_property
    def on_terminal(self) -> bool:
        """Whether the stdout of this process is a terminal."""
        return self.stdout.isatty()

    def has_color(self, stream: BinaryIO) -> bool:
        """Return whether the stream is a terminal and may have colour.

        ``--no-color``, NO_COLOR and TERM=dumb switch colour off.
        """
        return not self.no_color and stream.isatty() and self.environ.get("TERM") != "dumb"

    @property
    def color(self) -> bool:
        """Whether stdout may have colour; see `has_color`."""
        return self.has_color(self.stdout)

    @property
    def columns(self) -> int:
        """The number of columns of the terminal on stdout; 0 if stdout is no terminal, or if the number is unknown."""
        try:
            return os.get_terminal_size(self.stdout.fileno()).columns
        except (OSError, ValueError):
            return 0

    def out(self, text: str) -> None:
        """Write this text to stdout; on a terminal, control characters are escaped."""
        self._write_escaped(self.stdout, text)

    def err(self, text: str) -> None:
        """Write this text to stderr; on a terminal, control characters are escaped."""
        self._write_escaped(self.stderr, text)

    def out_lines(self, lines: Iterable[str]) -> None:
        """Write lines to stdout; on a terminal, control characters in a line are escaped, even line breaks and tabs."""
        self._write_escaped(self.stdout, "".join(f"{self.line(line, self.stdout)}\n" for line in lines))

    def err_lines(self, lines: Iterable[str]) -> None:
        """Write lines to stderr; on a terminal, control characters in a line are escaped, even line breaks and tabs."""
        self._write_escaped(self.stderr, "".join(f"{self.line(line, self.stderr)}\n" for line in lines))

    def help(self, text: str, stream: BinaryIO | None = None) -> None:
        """Write a help text to ``stream``, or to stdout if it is None; on a terminal, wrap and colour the text."""
        stream = stream or self.stdout
        if stream.isatty():
            text = _layout().help_page(text, self.columns, color=self.has_color(stream))
        self.write_text(stream, text)

    def report(self, lines: Iterable[str]) -> None:
        """Write the lines of a report to stdout, as `out_lines` does; a terminal gets titles and keys in colour."""
        if not self.color:
            return self.out_lines(lines)
        shown = (_layout().report_line(self.line(line, self.stdout)) for line in lines)
        return self.write_text(self.stdout, "".join(f"{line}\n" for line in shown))

    def error(self, text: str) -> None:
        """Write an error text to stderr, as `err` does; on a terminal with colour, the first word is red."""
        if not self.has_color(self.stderr):
            return self.err(text)
        return self.write_text(self.stderr, _layout().first_word(_escaping().escaped(text), "red"))

    def line(self, text: str, stream: BinaryIO) -> str:
        """Return ``text`` for one line of ``stream``; for a terminal, line breaks and tabs are escaped too."""
        return _escaping().escaped_line(text) if stream.isatty() else text

    def daemon_text(self, error: EngineError) -> str:
        """Return the text of the engine's error with the prefix "Error response from daemon: ".

        On a terminal, line breaks are escaped, unless the error's ``lines`` is true. The error's hint becomes the hint
        of this command.
        """
        self.hint = f"\n{error.hint}" if error.hint else self.hint
        text = as_text(str(error)).strip()
        return f"Error response from daemon: {text if error.lines else self.line(text, self.stderr)}"

    def protected(self, data: T) -> T:
        """Return a copy of the data for a Go template; on a terminal, a mark replaces each control character.

        The caller must print the template's output with `out_rendered`, which prints an escape sequence for each mark.
        """
        return cast("T", _escaping().marked(data)) if self.on_terminal else data

    def out_rendered(self, text: str) -> None:
        """Write the output of a template to stdout; the template's data came from `protected`."""
        if self.on_terminal:
            text = _escaping().revealed(text)
        self.write_text(self.stdout, text)

    def draw_progress(self, messages: Iterable[dict[str, Any]], stream: BinaryIO) -> None:
        """Draw the progress of an image download on the terminal ``stream``; ``messages`` are those of Docker's API."""
        from cli.output.download import draw

        draw(messages, stream, colour=not self.no_color)

    def _write_escaped(self, stream: BinaryIO, text: str) -> None:
        self.write_text(stream, _escaping().escaped(text) if stream.isatty() else text)

    def write_text(self, stream: BinaryIO, text: str) -> None:
        """Write the text to the stream unchanged, in the same way as `write`."""
        self.write(stream, text.encode("utf-8", "surrogateescape"))

    def write(self, stream: BinaryIO, data: bytes) -> None:
        """Write the data to the stream and flush the stream immediately.

        A failed write to stdout raises StatusError with Docker's text. A failed write to stderr is ignored. A broken
        pipe on either stream raises BrokenPipeError.
        """
        if self._progress:
            self._progress.pause()
        try:
            stream.write(data)
            stream.flush()
        except OSError as error:
            discard_output(stream)
            if isinstance(error, BrokenPipeError):
                raise
            if stream is self.stdout:
                raise unwritable(error) from error
