"""Convert failures of the operating system and of the runtime into engine errors, at the border to the command line."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from types import GeneratorType
from typing import Any, TypeVar

from engine.errors import EngineError, KernelFailure, Unavailable
from engine.runtime.api import RuntimeFailure

Verbs = TypeVar("Verbs", bound=type)
FULL = (errno.ENOSPC, errno.EDQUOT)


def raises_engine_errors(verbs: Verbs) -> Verbs:
    """Wrap the public methods of a class, so that they raise EngineError instead of OSError and RuntimeFailure.

    An object has either a ``host``, or ``places``, the directories that may be on a full disk.

    BrokenPipeError stays as it is, because it means that the reader of the command's output has ended.
    """
    for name, method in list(vars(verbs).items()):
        if callable(method) and not name.startswith("_"):
            setattr(verbs, name, _wrapped(method))
    return verbs


def _wrapped(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(self: Any, *arguments: Any, **keywords: Any) -> Any:
        host, places = getattr(self, "host", None), getattr(self, "places", ())
        places = places_of(host.root, host.run) if host else places
        with translation(places):
            result = method(self, *arguments, **keywords)
        return _guarded(result, places) if isinstance(result, GeneratorType) else result

    return call


def places_of(root: Path, run: Path) -> Sequence[Path]:
    """Return the directories of a host that may be on a full disk. Each may be a mount of its own."""
    return root, root / "containers", run


def _guarded(items: Iterator[Any], places: Iterable[Path]) -> Iterator[Any]:
    with translation(places):
        yield from items


@contextmanager
def translation(places: Iterable[Path]) -> Iterator[None]:
    """Raise engine errors instead of the block's failures; a full disk is sought among the directories ``places``."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, MemoryError, RuntimeFailure) as error:
        raise translated(error, places) from error


def translated(error: Exception, places: Iterable[Path] = ()) -> EngineError:
    """Return the engine error for a failure. Its text is Docker's, for example "write /x: no space left on device".

    Python does not name the file of a failed write. If one of the directories ``places`` is on a full disk, the text
    names this directory.
    """
    if isinstance(error, MemoryError):
        return Unavailable(os.strerror(errno.ENOMEM).lower())
    if not isinstance(error, OSError):
        return KernelFailure(str(error))
    reason = (error.strerror or str(error) or type(error).__name__).lower()
    place = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
    if error.errno in FULL:
        place = place or next(map(str, filter(_is_full, places)), "")
        return Unavailable(f"write {place}: {reason}" if place else reason)
    return Unavailable(f"{place}: {reason}" if place else reason)


def _is_full(place: Path) -> bool:
    with suppress(OSError):
        return os.statvfs(place).f_bavail == 0
    return False
