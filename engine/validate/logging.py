"""Check a new container's logging driver and options, and compute the size limits of its log.

Docker checks the options in two steps. Unknown keys are refused when the container is created, invalid values when the
container starts.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from engine.errors import InvalidArgument
from engine.golang.strconv import atoi, parse_bool
from engine.golang.units import parse_size

JSON_FILE, LOCAL, NONE = "json-file", "local", "none"
OTHER_DRIVERS = frozenset({"awslogs", "fluentd", "gcplogs", "gelf", "journald", "splunk", "syslog"})
"""Logging drivers that Docker has and hawse lacks; hawse uses json-file instead of them."""

DEFAULT_LIMIT_BYTES = 100_000_000
"""Bytes of a container's log that are kept by default, as with Docker's logging driver "local"."""

IGNORED_OPTIONS = frozenset({
    "cache-compress", "cache-disabled", "cache-max-file", "cache-max-size", "env", "env-regex", "labels",
    "labels-regex", "max-buffer-size", "mode", "tag",
})  # fmt: skip
"""Logging options that Docker accepts and hawse ignores."""

_DEFAULT_FILES = 5  # files that the log driver "local" keeps
_SMALLEST_FILE_BYTES = 1_000_000  # minimum bytes of one log file, when the default limit is divided among files
_LOCAL_FILE_BYTES = 20 << 20
_ROTATION = frozenset({"max-size", "max-file", "compress"})
_ACCEPTED = {JSON_FILE: _ROTATION | {"labels", "labels-regex", "env", "env-regex", "tag"}, LOCAL: _ROTATION}
_BUILT_IN = IGNORED_OPTIONS - _ACCEPTED[JSON_FILE]  # options that all logging drivers except ``none`` accept

Options = Mapping[str, str]


class Rotation(Struct, frozen=True):
    """The size limits of a log, which consists of at most ``max_files`` files.

    A log file of ``max_size`` bytes or more is rotated; 0 means no limit. ``compress`` says whether rotated files are
    compressed.
    """

    max_size: int = 0
    max_files: int = 1
    compress: bool = False


def choose_driver(driver: str, options: Options, default: str, default_options: Options) -> tuple[str, Options]:
    """Return the logging driver and options of a new container; raises `InvalidArgument` as Docker does.

    ``default`` and ``default_options`` are the driver and options of daemon.json.

    - A ``driver`` of "" is replaced by ``default``.
    - A driver that hawse lacks (`OTHER_DRIVERS`) is replaced by json-file, and its options are dropped.
    - If the driver is the default driver, ``default_options`` that ``options`` do not set are added.
    """
    if default in OTHER_DRIVERS:
        default, default_options = JSON_FILE, {}
    driver = driver or default
    if driver in OTHER_DRIVERS:
        driver, options = JSON_FILE, {}
    if driver == default:
        options = {**default_options, **options}
    check_options(driver, options)
    return driver, options


def check_options(driver: str, options: Options) -> None:
    """Check a logging driver and its options, in Docker's order; raises InvalidArgument."""
    if driver == NONE:
        return
    mode = options.get("mode", "")
    if mode not in ("", "blocking", "non-blocking"):
        raise InvalidArgument(f"logger: logging mode not supported: {mode}")
    if "max-buffer-size" in options:
        if mode != "non-blocking":
            raise InvalidArgument("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
        try:
            parse_size(options["max-buffer-size"], 1024)
        except ValueError as error:
            raise InvalidArgument(f"error parsing option max-buffer-size: {error}") from None
    if driver not in _ACCEPTED:
        raise InvalidArgument(f'error looking up logging plugin {driver}: plugin "{driver}" not found')
    for key in sorted(options.keys() - _ACCEPTED[driver] - _BUILT_IN):
        end = "json-file log driver" if driver == JSON_FILE else f"log driver {driver}"
        raise InvalidArgument(f"unknown log opt '{key}' for {end}")


def check_default_options(driver: str, options: Options) -> None:
    """Check the default logging options as Docker does when the daemon starts; raises InvalidArgument.

    For an unknown driver, nothing is checked. The creation of the first container then fails.
    """
    if driver in _ACCEPTED:
        check_options(driver, options)


def rotation(driver: str, options: Options, limit: int) -> Rotation:
    """Return the size limits of a log; raises ValueError with Docker's message.

    ``limit`` (bytes; 0: no limit) applies only to a log without the option ``max-size``. It does not apply to the
    driver "local", which has limits of its own. If ``limit`` applies, the result follows these rules:

    - All files of the log together have at most ``limit`` bytes.
    - Without the option ``max-file``, the log has up to 5 files, so that a rotation does not empty the log.
    - Each of several files has at least 1 MB. A ``limit`` below 2 MB therefore gives only one file.
    """
    if driver == LOCAL:
        return _local_rotation(options)
    size, files, compress = 0, 1, False
    if "max-size" in options:
        size = parse_size(options["max-size"], 1000)
        if size <= 0:
            raise ValueError("max-size must be a positive number")
    if "max-file" in options:
        files = atoi(options["max-file"])
        if files < 1:
            raise ValueError("max-file cannot be less than 1")
    if "compress" in options:
        compress = parse_bool(options["compress"])
        if compress and (files < 2 or not size):
            raise ValueError("compress cannot be true when max-file is less than 2 or max-size is not set")
    if size or not limit:
        return Rotation(size, files, compress)
    files = files if "max-file" in options else _DEFAULT_FILES
    size = min(max(limit // files, _SMALLEST_FILE_BYTES), limit)
    return Rotation(size, min(files, limit // size))


def default_options(driver: str, options: Options, limit: int) -> Options:
    """Return the logging options of daemon.json; if they have no ``max-size``, add the size limit ``limit`` (bytes).

    The added options are ``max-size`` and ``max-file``. Nothing is added if the driver is ``none``, or if an option has
    an invalid value.
    """
    try:
        bound = rotation(driver, options, limit)
    except ValueError:  # keep the options: Docker reports an invalid value only at a container's start
        return options
    if driver == NONE or "max-size" in options or not bound.max_size:
        return options
    size = f"{bound.max_size // 10**6}m" if bound.max_size % 10**6 == 0 else str(bound.max_size)
    return {**options, "max-size": size, "max-file": str(bound.max_files)}


def _local_rotation(options: Options) -> Rotation:
    size, files, compress = _LOCAL_FILE_BYTES, _DEFAULT_FILES, True
    for key, text in options.items():
        try:
            if key == "max-size":
                size = parse_size(text, 1000)
            elif key == "max-file":
                files = atoi(text)
        except ValueError as error:
            raise ValueError(f"invalid value for {key}: {text}: {error}") from None
    if "compress" in options:
        try:
            compress = parse_bool(options["compress"])
        except ValueError as error:
            raise ValueError(f"error reading compress log option: {error}") from None
    if size < 0:
        raise ValueError("max size should be a positive number")
    if files < 0:
        raise ValueError("max file count cannot be less than 0")
    if compress and files <= 1:
        raise ValueError("compression cannot be enabled when max file count is 1")
    return Rotation(max(1, size), max(1, files), compress)
