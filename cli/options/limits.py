"""Parse sizes, resource limits, sysctls, the restart policy and the names of attached streams."""

from __future__ import annotations

import re
from fractions import Fraction

from engine.golang.strconv import parse_int, whole_number
from engine.golang.units import parse_size
from engine.model import RestartPolicy

_ULIMITS = re.compile("core|cpu|data|fsize|locks|memlock|msgqueue|nice|nofile|nproc|rss|rtprio|rttime|sigpending|stack")
_SYSCTLS = re.compile(r"net\..*|fs\.mqueue\..*|kernel\.(msg(max|mnb|mni)|sem|shm(all|max|mni|_rmid_forced))", re.DOTALL)
_RATIONAL = re.compile(
    r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(?P<exponent>[eE][+-]?[0-9]+)?|[+-]?[0-9]+/((?P<zero>0+)|[0-9]+)"
)
_LARGEST_EXPONENT = 1_000_000  # Go rejects larger exponents, because a number with so many digits would fill the memory
_LONGEST_RATIONAL = 4000  # maximum length of a number in characters; Python rejects integers with over 4,300 digits
STREAMS = ("stdin", "stdout", "stderr")


def memory_size(text: str) -> int:
    """Parse a size such as ``512m`` or ``1.5 GiB`` into bytes; raises ValueError.

    The units k, m, g and so on are powers of 1024.
    """
    return parse_size(text, 1024)


def swap_size(text: str) -> int:
    """Parse a ``--memory-swap`` size into bytes; raises ValueError. The result -1 means "unlimited"."""
    return -1 if text == "-1" else memory_size(text)


def cpus(text: str) -> int:
    """Parse a number of CPUs such as ``1.5`` into billionths of a CPU; raises ValueError."""
    match = _RATIONAL.fullmatch(text)
    exponent = whole_number((match["exponent"] or "0").lower().removeprefix("e")) if match else 0
    if not match or match["zero"] or abs(exponent) > _LARGEST_EXPONENT or len(text) > _LONGEST_RATIONAL:
        raise ValueError(f"failed to parse {text} as a rational number")
    nano = Fraction(text) * 10**9
    if nano.denominator != 1:
        raise ValueError("value is too precise")
    return _low_bits(nano.numerator)


def _low_bits(number: int) -> int:
    """Return the low 64 bits of a number as a signed integer, as Go's big.Int.Int64 does."""
    low = (abs(number) + 2**63) % 2**64 - 2**63
    return -low if number < 0 else low


def ulimit(text: str) -> tuple[str, int, int]:
    """Parse ``name=soft[:hard]`` into name, soft limit and hard limit; raises ValueError.

    Without a hard limit, the soft limit is used for both. The limit -1 means "unlimited".
    """
    name, equals, values = text.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {text}")
    if not _ULIMITS.fullmatch(name):
        raise ValueError(f"invalid ulimit type: {name}")
    soft, *rest = values.split(":")
    if len(rest) > 1:
        raise ValueError(f"too many limit value arguments - {values}, can only have up to two, `soft[:hard]`")
    upper = parse_int(rest[0] if rest else soft, base=10)  # as in Docker, the hard limit's error comes first
    lower = parse_int(soft, base=10)
    problem = "ulimit soft limit must be less than or equal to hard limit: "
    if upper != -1 and lower == -1:
        raise ValueError(f"{problem}soft: -1 (unlimited), hard: {upper}")
    if upper != -1 and lower > upper:
        raise ValueError(f"{problem}{lower} > {upper}")
    return name, lower, upper


def sysctl(text: str) -> str:
    """Check one ``--sysctl key=value`` and return it unchanged; raises ValueError if Docker does not allow the key.

    Docker allows only sysctls that belong to a namespace.
    """
    key, equals, _ = text.partition("=")
    if not equals or not _SYSCTLS.fullmatch(key):
        raise ValueError(f"sysctl '{text}' is not allowed")
    return text


def restart_policy(text: str) -> RestartPolicy:
    """Parse a ``--restart`` value, ``name[:maximum retries]``; raises ValueError.

    Without a maximum, the maximum is 0. An empty text gives the policy "no". The engine checks later whether a policy
    with this name exists.
    """
    name, colon, count = text.partition(":")
    if colon and not name:
        raise ValueError("invalid restart policy format: no policy provided before colon")
    try:
        retries = parse_int(count, base=10) if count else 0
    except ValueError:
        raise ValueError("invalid restart policy format: maximum retry count must be an integer") from None
    return RestartPolicy(name or "no", retries)


def stream(text: str) -> str:
    """Check one ``--attach`` value and return it in lower case; raises ValueError."""
    if (name := text.lower()) not in STREAMS:
        raise ValueError("valid streams are STDIN, STDOUT and STDERR")
    return name
