"""Every error class that hawse's own drivers raise, and every failure of the system, becomes an engine error."""

from __future__ import annotations

import ast
import errno
import os
from collections.abc import Container, Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import drivers
from drivers.errors import BadOption, DriverError, Missing
from drivers.linux.libnftables import Refused
from engine import errors
from engine.errors import EngineError, NotFound
from engine.host import KINDS, marked_repeatable, raises_engine_errors, translate_driver_errors
from engine.runtime.api import RuntimeFailure

FOLDER = Path(drivers.__file__).parent
CAUGHT = {
    ("explain/dry_run.py", "OSError"),
    ("explain/kinds.py", "OSError"),
    ("firewall/legacy_rules.py", "Unproven"),
    ("linux/address_ranges.py", "InterruptedError"),
    ("linux/address_ranges.py", "OSError"),
    ("linux/netlink.py", "InterruptedError"),
    ("linux/netlink.py", "OSError"),
    ("linux/namespaces.py", "FileNotFoundError"),
    ("linux/namespaces.py", "OSError"),
    ("overlay/wireguard_config.py", "ValueError"),
}
"""Python exceptions that the drivers raise internally and convert into their own errors before they return."""
TRACED = {("linux/probes.py", "PortsExhausted")}
"""An exception that hawse does not map to an engine error, because `hawse trace` catches it as a result."""
BUGS = {
    ("firewall/notifications.py", "AssertionError"),
    ("registry.py", "KeyError"),  # a mapping must raise KeyError for a missing key
}


def descendants(kind: type) -> Iterator[type]:
    for child in kind.__subclasses__():
        yield child
        yield from descendants(child)


def unmapped(kinds: Container[type]) -> set[type]:
    """Return the error classes of all driver modules for which ``kinds`` has no entry."""
    for module in walk_packages([str(FOLDER)], "drivers."):
        import_module(module.name)
    ours = {kind for kind in descendants(DriverError) if kind.__module__.partition(".")[0] == "drivers"}
    return {kind for kind in ours if kind not in kinds}


def test_every_driver_error_has_a_kind_of_the_engine():
    assert unmapped(KINDS) == set()
    assert all(issubclass(kind, errors.EngineError) for kind in KINDS.values())


@pytest.mark.parametrize("missing", KINDS, ids=lambda kind: kind.__name__)
def test_a_missing_mapping_is_found(missing):
    assert unmapped({kind for kind in KINDS if kind is not missing}) == {missing}


def raised() -> Iterator[tuple[str, str]]:
    """Yield the file and the class of every ``raise Class`` and ``raise Class(...)`` in the drivers."""
    for file in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            thrown = node.exc if isinstance(node, ast.Raise) else None
            name = ast.unparse(thrown.func if isinstance(thrown, ast.Call) else thrown) if thrown else ""
            if name.rpartition(".")[2].lstrip("_")[:1].isupper():
                yield str(file.relative_to(FOLDER)), name.rpartition(".")[2]


def test_drivers_raise_only_mapped_errors():
    kinds = {kind.__name__ for kind in KINDS}
    assert {place for place in raised() if place[1] not in kinds} == CAUGHT | TRACED | BUGS


def test_the_text_is_kept():
    with pytest.raises(errors.KernelFailure, match=r"^nftables: Error: x$"), translate_driver_errors():
        raise Refused("nftables: Error: x")


def test_an_error_of_another_package_is_mapped_by_its_base_class():
    class NoRing(Missing):
        """An error class of a driver that another Python distribution provides."""

    with pytest.raises(errors.NotFound), translate_driver_errors():
        raise NoRing("no ring")
    with pytest.raises(errors.InvalidArgument), translate_driver_errors():
        raise BadOption("ring=square")
    with pytest.raises(errors.KernelFailure), translate_driver_errors():
        raise DriverError("the ring is broken")


@raises_engine_errors
class Failing:
    """A class with a method and an iterator that raise a given error."""

    def act(self, error):
        raise error

    def follow(self, error):
        yield "line"
        raise error


def os_error(number, path=None):
    return OSError(number, os.strerror(number), path) if path else OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (os_error(errno.ENOSPC, "/x/y"), "write /x/y: no space left on device"),
        (os_error(errno.EDQUOT, b"/x"), "write /x: disk quota exceeded"),
        (os_error(errno.ENOSPC), "no space left on device"),
        (os_error(errno.EROFS, "/x/y"), "/x/y: read-only file system"),
        (os_error(errno.EIO), "input/output error"),
        (os_error(errno.EMFILE), "too many open files"),
        (TimeoutError("timed out"), "timed out"),
        (MemoryError(), "cannot allocate memory"),
        (RuntimeFailure("other", "the supervisor does not start"), "the supervisor does not start"),
    ],
)
def test_failures_are_engine_errors_in_one_line(error, text):
    with pytest.raises(EngineError) as raised:
        Failing().act(error)
    assert str(raised.value) == text


@pytest.mark.parametrize("error", [BrokenPipeError(), NotFound("x"), KeyboardInterrupt(), ValueError()])
def test_other_errors_are_raised_unchanged(error):
    with pytest.raises(type(error)) as raised:
        Failing().act(error)
    assert raised.value is error


def test_failures_of_an_iterator_are_engine_errors_too():
    lines = Failing().follow(RuntimeFailure("other", "the supervisor was killed"))
    assert next(lines) == "line"
    with pytest.raises(EngineError, match="the supervisor was killed"):
        next(lines)


@pytest.mark.parametrize(("error", "repeatable"), [(errors.PortFailure, True), (errors.Unavailable, False)])
def test_an_end_of_a_container_does_not_make_the_cluster_available(error, repeatable):
    with pytest.raises(errors.EngineError) as caught, marked_repeatable():
        raise error("text")
    assert caught.value.repeatable is repeatable
