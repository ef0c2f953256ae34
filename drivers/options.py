"""Parsers for values of driver options, with Docker's error messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import TypeVar

from drivers.errors import BadOption
from drivers.model import IPAddress, OptionFacts
from drivers.scalars import parse_bool, whole_number

MTU = "com.docker.network.driver.mtu"
MTU_FACTS = OptionFacts(
    "MTU of the endpoints, in bytes", "mtu", dict.fromkeys(("1280", "1400", "1450", "1500", "9000"), "")
)
HEAL = "hawse.heal"
HEAL_FACTS = OptionFacts("Let the agent repair links that other programs change", "boolean")
# Option names of an overlay network. The user sets ENCRYPTED and may set VNIS. The cluster sets VTEP and WIREGUARD, and
# completes VNIS (the VXLAN ids).
VNIS = "com.docker.network.driver.overlay.vxlanid_list"
ENCRYPTED = "encrypted"
VTEP = "com.hawse.overlay.vtep"
WIREGUARD = "com.hawse.overlay.wireguard"
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
WHOLE = re.compile("[+-]?[0-9]+")
T = TypeVar("T")


def read(options: Mapping[str, str], label: str, parse: Callable[[str, str], T], default: T) -> T:
    """Return the value of the option ``label``, or ``default`` if the option is not given.

    ``parse`` gets the option's name and its text, and returns the value.
    """
    return parse(label, options[label]) if label in options else default


def boolean(label: str, value: str) -> bool:
    """Parse a boolean as Go does (strconv.ParseBool); raises `BadOption` with the option's name ``label``."""
    parsed = parse_bool(value)
    if parsed is None:
        raise BadOption(
            f'failed to parse {label} value: {value} (strconv.ParseBool: parsing "{value}": invalid syntax)'
        )
    return parsed


def heals(options: Mapping[str, str]) -> bool:
    """Return whether the option `HEAL` lets the agent repair an object; a missing or invalid value means True.

    ``options`` are the object's options or labels.
    """
    return parse_bool(options.get(HEAL, "true")) is not False


def check_heal(options: Mapping[str, str]) -> None:
    """Check the option `HEAL` (whether the agent repairs links); raises `BadOption` if it is no boolean."""
    read(options, HEAL, boolean, True)


def integer(label: str, value: str) -> int:
    """Parse an integer as Go does (strconv.Atoi); raises `BadOption` with the option's name ``label``."""
    if not WHOLE.fullmatch(value):
        raise BadOption(f'failed to parse {label} value: {value} (strconv.Atoi: parsing "{value}": invalid syntax)')
    number = whole_number(value)
    if not INT64_MIN <= number <= INT64_MAX:
        raise BadOption(f'failed to parse {label} value: {value} (strconv.Atoi: parsing "{value}": value out of range)')
    return number


def address(label: str, value: str) -> IPAddress:
    """Parse an IP address of either family; raises `BadOption` with the option's name ``label``."""
    try:
        return ip_address(value)
    except ValueError:
        raise BadOption(f"failed to parse {label} value: {value} (nil ip)") from None


def address_of(version: int) -> Callable[[str, str], IPAddress]:
    """Return a parser for addresses of one IP version; the parser gets the option's name and text.

    The parser raises `BadOption`.
    """

    def parse(label: str, value: str) -> IPAddress:
        ip = address(label, value)
        if ip.version != version:
            raise BadOption(f"failed to parse {label} value: {value} (nil ip)")
        return ip

    return parse
