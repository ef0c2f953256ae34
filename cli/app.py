"""The object that every command receives: the engine, the output streams, facts about the terminal.

All output goes through here, so that colour, pipes and encodings have one owner. Text is written as bytes, at once,
in the order of the calls; undecodable bytes of the command line come out as they went in. On a terminal, control
characters are spelled out (`cli.output.terminal_escapes`); a pipe gets every byte.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO, TextIO, TypeVar, cast

if TYPE_CHECKING:
    from types import ModuleType

    from engine.api import Engine
    from engine.errors import EngineError

T = TypeVar("T")

FLAG_ERROR = 125
"""Exit code of a bad flag, and of a `run` whose container could not be started."""


class StatusError(Exception):
    """End the command with this text on stderr (none when empty) and this exit code; nothing is put before the text."""

    def __init__(self, text: str = "", exit_code: int = 1) -> None:
        super().__init__(text)
        self.text = text
        self.exit_code = exit_code


def open_default_engine() -> Engine:
    """Open this host's engine; imported late, because help and flag errors need none."""
    from engine.core import open_engine

    return open_engine()


def standard(stream: TextIO | None, mode: str) -> BinaryIO:
    """The bytes of a standard stream; where the caller closed it, nothing, so that no other file takes its number."""
    if stream is not None:
        return stream.buffer
    descriptor = os.open(os.devnull, os.O_RDWR)
    os.set_inheritable(descriptor, True)
    return cast("BinaryIO", os.fdopen(descriptor, mode, closefd=False))


def bold(text: str) -> str:
    """Return one line in bold; imports rich, which only a terminal needs."""
    from rich.console import Console
    from rich.text import Text

    console = Console(force_terminal=True, color_system="standard")
    with console.capture() as capture:
        console.print(Text(text, style="bold"), end="", soft_wrap=True)
    return capture.get()


def _escaping() -> ModuleType:
    """Import what only a terminal needs."""
    from cli.output import terminal_escapes

    return terminal_escapes


def discard_output(stream: BinaryIO) -> None:
    """Have nobody get what could not be written; the interpreter would try again at its end, and complain."""
    with suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


class App:
    """One invocation of the command line."""

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

    @cached_property
    def engine(self) -> Engine:
        """This host's engine, opened when first needed."""
        return self.open_engine()

    @cached_property
    def on_terminal(self) -> bool:
        """Whether stdout is a terminal."""
        return self.stdout.isatty()

    @property
    def color(self) -> bool:
        """Whether stdout may carry colour: a terminal, and nobody said no."""
        return not self.no_color and self.on_terminal and self.environ.get("TERM") != "dumb"

    def out(self, text: str) -> None:
        """Write to stdout, exactly this text but for control characters on a terminal."""
        self._write_text(self.stdout, text)

    def err(self, text: str) -> None:
        """Write to stderr, exactly this text but for control characters on a terminal."""
        self._write_text(self.stderr, text)

    def out_lines(self, lines: Iterable[str]) -> None:
        """Write lines to stdout; on a terminal a line break within one is spelled out, too."""
        self._write_text(self.stdout, "".join(f"{self.line(line, self.stdout)}\n" for line in lines))

    def err_lines(self, lines: Iterable[str]) -> None:
        """Write lines to stderr; on a terminal a line break within one is spelled out, too."""
        self._write_text(self.stderr, "".join(f"{self.line(line, self.stderr)}\n" for line in lines))

    def line(self, text: str, stream: BinaryIO) -> str:
        """Prepare a text that is to be one line of a stream."""
        return _escaping().escaped_line(text) if stream.isatty() else text

    def daemon_text(self, error: EngineError) -> str:
        """The text of an engine's error as the user reads it: one line, unless it is laid out in several."""
        text = str(error).strip()
        return f"Error response from daemon: {text if error.lines else self.line(text, self.stderr)}"

    def protected(self, data: T) -> T:
        """Prepare a string or a document for a template, whose output goes through `out_rendered`."""
        return cast("T", _escaping().marked(data)) if self.on_terminal else data

    def out_rendered(self, text: str) -> None:
        """Write to stdout what a template, or the caller, has made of data that was `protected`."""
        if self.on_terminal:
            text = _escaping().revealed(text)
        self.write(self.stdout, text.encode("utf-8", "surrogateescape"))

    def _write_text(self, stream: BinaryIO, text: str) -> None:
        if stream.isatty():
            text = _escaping().escaped(text)
        self.write(stream, text.encode("utf-8", "surrogateescape"))

    def write(self, stream: BinaryIO, data: bytes) -> None:
        """Write at once; what stdout cannot take ends the command, as in Docker, what stderr cannot take is lost."""
        try:
            stream.write(data)
            stream.flush()
        except OSError as error:
            discard_output(stream)
            if isinstance(error, BrokenPipeError):
                raise
            if stream is self.stdout:
                raise StatusError(f"write /dev/stdout: {(error.strerror or '').lower()}") from error
