"""``--env``, ``--env-file``, ``--label`` and ``--label-file``: key=value pairs, alone and in files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

BLANKS = " \t"
_SPACES = "".join(
    map(chr, (*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000))
)  # Go's unicode.IsSpace, which is not Python's str.isspace
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NOTHING: Mapping[str, str] = {}


def env_value(text: str, environ: Mapping[str, str]) -> str:
    """Check one ``--env``; a bare name takes its value from ``environ`` where it is set there."""
    name, equals, _ = text.partition("=")
    if not name:
        raise ValueError(f"invalid environment variable: {text}")
    return f"{name}={environ[name]}" if not equals and name in environ else text


def latest(pairs: Iterable[str]) -> list[str]:
    """Keep the last of the pairs that have one name, in the place of the first."""
    return list({pair.partition("=")[0]: pair for pair in pairs}.values())


def label(text: str) -> str:
    """Check one ``--label``; kept as typed."""
    key = text.partition("=")[0].lstrip(BLANKS)
    if not key:
        raise ValueError(f"invalid label '{text}': empty name")
    if any(blank in key for blank in BLANKS):
        raise ValueError(f"label '{key}' contains whitespaces")
    return text


def pairs_to_map(pairs: Iterable[str]) -> dict[str, str]:
    """Turn ``key=value`` pairs into a map: the last of a key wins, a missing value is empty."""
    return {key: value for key, _, value in (pair.partition("=") for pair in pairs)}


def with_files(files: Iterable[str], pairs: Iterable[str], environ: Mapping[str, str] = _NOTHING) -> list[str]:
    """Put the pairs of the command line behind those of the files, so that they win."""
    return [*(pair for file in files for pair in read_pairs(file, environ)), *pairs]


def read_pairs(file: str, environ: Mapping[str, str] = _NOTHING) -> Iterator[str]:
    """Read the pairs of a file; a bare name stands for its value in ``environ``, or for nothing."""
    if not file:
        raise ValueError("open : no such file or directory")
    try:
        lines = Path(file).read_bytes().removeprefix(_BYTE_ORDER_MARK).split(b"\n")
    except OSError as error:
        verb = "read" if isinstance(error, IsADirectoryError) else "open"
        raise ValueError(f"{verb} {file}: {str(error.strerror).lower()}") from None
    for number, line in enumerate(lines, 1):
        text = _decode(line.removesuffix(b"\r"), file, number).lstrip(_SPACES)
        if text and not text.startswith("#"):
            yield from _pair(text, environ)


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
