"""Parse ``--env``, ``--env-file``, ``--label`` and ``--label-file``: key=value pairs from flags and from files.

Also reads the variable that gives ``--platform`` its default.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from engine.errors import reason_of

BLANKS = " \t"
_SPACES = "".join(
    map(chr, (*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000))
)  # the characters that Go's unicode.IsSpace accepts; str.isspace accepts other characters too
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_LIMIT_BYTES = 1 << 16
_NOTHING: Mapping[str, str] = {}


def env_value(text: str, environ: Mapping[str, str]) -> str:
    """Check one ``--env`` value and return the completed value; raises ValueError if the name is empty.

    A name without ``=`` is completed to ``name=value`` with the value from ``environ``. If ``environ`` does not contain
    the name, the name is returned unchanged.
    """
    name, equals, _ = text.partition("=")
    if not name:
        raise ValueError(f"invalid environment variable: {text}")
    return f"{name}={environ[name]}" if not equals and name in environ else text


def latest(pairs: Iterable[str]) -> list[str]:
    """Return the ``name=value`` pairs without repeated names.

    The last pair with a name is kept, at the position of the first. Example: A=1, B=2, A=3 gives ["A=3", "B=2"].
    """
    return list({pair.partition("=")[0]: pair for pair in pairs}.values())


def chosen_platform(flag: str, environ: Mapping[str, str]) -> str:
    """Return the platform that the user wants: the value of ``--platform``, or else the variable of Docker's client."""
    return flag or environ.get("DOCKER_DEFAULT_PLATFORM", "")


def label(text: str) -> str:
    """Check one ``--label`` and return it as the user typed it; raises ValueError."""
    key = text.partition("=")[0].lstrip(BLANKS)
    if not key:
        raise ValueError(f"invalid label '{text}': empty name")
    if any(blank in key for blank in BLANKS):
        raise ValueError(f"label '{key}' contains whitespaces")
    return text


def pairs_to_map(pairs: Iterable[str]) -> dict[str, str]:
    """Convert ``key=value`` pairs to a map.

    If a key is given several times, its last value is used. A key without ``=`` gets an empty value.
    """
    return {key: value for key, _, value in (pair.partition("=") for pair in pairs)}


def with_files(files: Iterable[str], pairs: Iterable[str], environ: Mapping[str, str] = _NOTHING) -> list[str]:
    """Return the ``name=value`` pairs of the files, followed by the pairs of the command line.

    If a name is in a file and on the command line, the command line's pair counts, because it comes last. A name
    without ``=`` in a file gets its value from ``environ``. Raises ValueError if a file cannot be read or parsed.
    """
    return [*(pair for file in files for pair in read_pairs(file, environ)), *pairs]


def read_pairs(file: str, environ: Mapping[str, str] = _NOTHING) -> Iterator[str]:
    """Yield the ``key=value`` pairs of a file; raises ValueError if the file cannot be read or parsed.

    A name without ``=`` gets its value from ``environ``. If ``environ`` does not contain the name, the name is omitted.
    Empty lines, and lines that start with ``#``, are ignored.
    """
    if not file:
        raise ValueError("open : no such file or directory")
    for number, line in enumerate(_lines(file), 1):
        line = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
        text = _decode(line.removesuffix(b"\r"), file, number).lstrip(_SPACES)
        if text and not text.startswith("#"):
            yield from _pair(text, environ)


def _lines(file: str) -> Iterator[bytes]:
    """Yield the lines of a file without their line feeds; raises ValueError if the file cannot be read.

    Because the file may be an endless device, a line of `_LINE_LIMIT_BYTES` or more is an error too, as in Docker.
    """
    try:
        with open(file, "rb") as stream:
            while line := stream.readline(_LINE_LIMIT_BYTES + 1):
                line = line.removesuffix(b"\n")
                if len(line) >= _LINE_LIMIT_BYTES:
                    raise ValueError("bufio.Scanner: token too long")
                yield line
    except OSError as error:
        verb = "read" if isinstance(error, IsADirectoryError) else "open"
        raise ValueError(f"{verb} {file}: {reason_of(error)}") from None


def _decode(line: bytes, file: str, number: int) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        shown = "[" + " ".join(map(str, line)) + "]"
        raise ValueError(f"env file {file} contains invalid utf8 bytes at line {number}: {shown}") from None


def _pair(text: str, environ: Mapping[str, str]) -> Iterator[str]:
    name, equals, value = text.partition("=")
    if any(blank in name for blank in BLANKS):
        raise ValueError(f"poorly formatted environment: variable '{name}' contains whitespaces")
    if not name:
        raise ValueError(f"poorly formatted environment: no variable name on line '{text}'")
    if equals:
        yield f"{name}={value}"
    elif name in environ:
        yield f"{name}={environ[name]}"
