"""Generate, shorten, parse and look up names, ids, MAC addresses, network modes and links.

This module contains the text of Docker's "no such" and "ambiguous" errors. The module does not read the store: callers
pass the records that they found there.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address

from engine.errors import Conflict, EngineError, InvalidArgument, NotFound
from engine.model import ContainerRecord, EndpointSettings, NetworkRecord

SHORT_ID = 12  # hex digits of a shortened id
INTERFACE_PREFIX = "com.docker.network.container_iface_prefix"  # an option of a network
ADOPTED = "netns:"
"""The prefix of the default name of an adopted namespace."""
PREDEFINED_NAMES = frozenset({"bridge", "host", "none", "default"})
CONTAINER_PREFIX = "container:"
PRESENT = ("live", "planned")
"""The phases of networks that users see. Networks in other phases are being created or removed, and are hidden."""
CONTAINER_NAME = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+")
MAC_LENGTHS = (6, 8, 20)  # lengths in bytes of EUI-48, EUI-64 and IP over InfiniBand addresses


ADJECTIVES = """
able agile airy amber ample apt ardent astute awake balmy bold brave breezy brief bright brisk calm candid careful
chatty cheery civil clear clever cosy crisp curious daring deft direct eager early earnest easy even exact fair fast
fine firm fleet fluent fond frank free fresh gentle glad golden grand green handy happy hardy hearty honest ideal jolly
just keen kind large light lively loyal lucid lucky mellow merry mild modest neat nimble noble open patient plucky
polite prime prompt proud quick quiet rapid ready robust sage sane sharp silent simple smart smooth snug sober solid
spry stable steady stout strong sunny sure swift tidy trusty upbeat vivid warm wise witty zesty
"""

SURNAMES = """
adleman allman anning babbage baran bardeen bell bernoulli berners boole bose brattain cailliau cantor carson cerf
chandra chappe clark cooke corbato crocker curie dalal davies deering diffie dijkstra eckert engelbart erlang euler
faraday feinler fermi floyd fourier galois gauss gilbert goldberg gray hamming hartley heaviside hellman henry hertz
hoare hopper huffman jacobson jennings johnson kahn karn kepler khorana kilby kirchhoff kleinrock knuth kruskal lamarr
lamport leibniz licklider liskov lovelace maxwell mccarthy mendel metcalfe mockapetris moore morse nagle naur newton
noether noyce nyquist ohm pascal perlman postel pouzin prim reed ritchie roberts rosen shannon sinclair stibitz tarjan
taylor thompson tomlinson turing varley volta wheatstone wheeler wilkes wirth
"""


def generate_container_name() -> str:
    """Generate a random name ``adjective_surname``; it may be in use already."""
    return f"{_any_of(ADJECTIVES.split())}_{_any_of(SURNAMES.split())}"


def _any_of(words: Sequence[str]) -> str:
    """Return a random word from ``words``.

    The module `secrets` is not used, because it loads OpenSSL, which takes 5 MB of memory in each process.
    """
    return words[int.from_bytes(os.urandom(8)) % len(words)]


def generate_id() -> str:
    """Generate a random id of 64 hex digits.

    The first 12 digits are the container's default host name, and a host name must not look like a number. Therefore at
    least one of these digits is a letter.
    """
    while True:
        candidate = os.urandom(32).hex()
        if not candidate[:SHORT_ID].isdigit():
            return candidate


def short_id(full: str) -> str:
    """Return the first 12 digits of an id; a prefix such as ``sha256:`` is removed first."""
    return full.rpartition(":")[2][:SHORT_ID]


def dns_names(container: ContainerRecord, settings: EndpointSettings) -> list[str]:
    """Return the names of a container on a user-defined network, without duplicates.

    ``settings`` are the container's settings on this network. The order of the names is: container name, aliases, short
    id, host name. For an adopted namespace, its plain name comes first: ``lab1`` for ``netns:lab1`` (`plain_name`).
    """
    short = short_id(container.id)
    primary = [container.name] if container.kind == "process" else [plain_name(container.name), container.name]
    return list(dict.fromkeys([*primary, *(settings.aliases or ()), short, container.config.hostname or short]))


def plain_name(name: str) -> str:
    """Return the host name of an adopted namespace, from its container name.

    Examples: ``netns:lab1`` gives ``lab1``, and ``pid:7`` gives ``pid-7``.
    """
    return name.removeprefix(ADOPTED).replace(":", "-")


def served_names(container: ContainerRecord, settings: EndpointSettings) -> list[str]:
    """Return those names of `dns_names` that DNS can serve: all names except empty aliases."""
    return [name for name in dns_names(container, settings) if name]


def check_container_name(name: str) -> str:
    """Return a container name without its leading slash; raises `InvalidArgument` for a name that Docker refuses."""
    if not CONTAINER_NAME.fullmatch(name):
        raise InvalidArgument(f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return name.removeprefix("/")


def container_name_taken(name: str, holder_id: str) -> Conflict:
    """Return the error for a container name that another container already has; ``holder_id`` is its id."""
    return Conflict(
        f'Conflict. The container name "/{name}" is already in use by container "{holder_id}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )


def mac_from_ipv4(address: IPv4Address) -> str:
    """Return the MAC address that Docker 26 derives from an IPv4 address: 02:42 and the four octets."""
    return _colons(b"\x02\x42" + address.packed)


def random_mac() -> str:
    """Return a random, locally administered unicast MAC address in Docker's 02:42 range."""
    return _colons(b"\x02\x42" + os.urandom(4))


def parse_mac(text: str) -> str:
    """Parse a MAC address as Go's net.ParseMAC does, and return it in the form with colons.

    Accepts colons, hyphens or Cisco's dotted groups. Raises `InvalidArgument` for any other text.
    """
    for separator, width in ((":", 2), ("-", 2), (".", 4)):
        groups = text.split(separator)
        digits = "".join(groups)
        whole = all(re.fullmatch(f"[0-9a-fA-F]{{{width}}}", group) for group in groups)
        if len(groups) > 1 and whole and len(digits) // 2 in MAC_LENGTHS:
            return _colons(bytes.fromhex(digits))
    raise InvalidArgument(f"invalid MAC address {text}")


def is_mac(text: str) -> bool:
    """Return whether `parse_mac` accepts the text."""
    try:
        parse_mac(text)
    except InvalidArgument:
        return False
    return True


def is_adoptable(reference: str) -> bool:
    """Return whether a container argument names a namespace that hawse did not create (``netns:``, ``pid:``)."""
    return reference.startswith(("netns:", "pid:"))


def is_container_mode(mode: str) -> bool:
    """Return whether a network mode is ``container:NAME``, which joins another container's sandbox."""
    return mode.startswith(CONTAINER_PREFIX)


def shared_container(mode: str) -> str:
    """Return the name or id of the container in the network mode ``container:NAME``, or "" for other modes."""
    return mode.removeprefix(CONTAINER_PREFIX) if is_container_mode(mode) else ""


def is_user_defined(mode: str) -> bool:
    """Return whether a network mode names a user-defined network: not default, bridge, host, none or container:NAME."""
    return mode not in PREDEFINED_NAMES and not is_container_mode(mode)


def reaches_stub(mode: str) -> bool:
    """Return whether a container with this network mode can use a DNS server on the host's loopback interface.

    This is true in two cases:

    - The mode is host: the container is in the host's network namespace.
    - The mode names a user-defined network: hawse's resolver sends the queries from the host's network namespace.
    """
    return mode == "host" or is_user_defined(mode)


def parse_link(text: str) -> tuple[str, str]:
    """Return the two parts of a ``--link`` value: the target container's name, and its alias in the link.

    Without an alias in the value, the name is also the alias. Raises `EngineError` if the value is empty or has more
    than one colon.
    """
    if not text:
        raise EngineError("empty string specified for links")
    parts = text.split(":")
    if len(parts) > 2:
        raise EngineError(f"bad format for links: {text}")
    if len(parts) == 1:
        return text, text
    # Accept the form /target:/parent/alias too, because dockerd lists the links of a container in this form.
    if parts[0].startswith("/"):
        return parts[0].removeprefix("/"), parts[1].rpartition("/")[2]
    return parts[0], parts[1]


def pick_network(matches: Sequence[NetworkRecord], reference: str, *, inspect: bool = False) -> NetworkRecord:
    """Return the only network in ``matches``. Networks that are being created or removed do not count.

    ``reference`` is the user's text for the error messages. Raises `NotFound` if there is no network, and
    `InvalidArgument` if there are several networks. If ``inspect`` is set, InvalidArgument has the error text of
    Docker's network inspect.
    """
    matches = [network for network in matches if network.phase in PRESENT]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise NotFound(f"network {reference} not found")
    how = f"{len(matches)} matches found based on " + ("name" if matches[0].name == reference else "ID prefix")
    raise InvalidArgument(
        f"{how}: network {reference} is ambiguous" if inspect else f"network {reference} is ambiguous ({how})"
    )


def only_network(matches: Sequence[NetworkRecord]) -> NetworkRecord | None:
    """Return the only network in ``matches``, or None if there is no network or several.

    Networks that are being created or removed do not count. The network name in a container's settings may match no
    network, or several networks. As in Docker, such a container can be created, but its start fails.
    """
    present = [network for network in matches if network.phase in PRESENT]
    return present[0] if len(present) == 1 else None


def pick_container(matches: Sequence[ContainerRecord], reference: str) -> ContainerRecord:
    """Return the only container in ``matches``; ``reference`` is the user's text for the error messages.

    Raises `NotFound` if ``matches`` is empty. Raises `InvalidArgument` if there are several containers, or if
    ``reference`` is empty.
    """
    if not reference:
        raise InvalidArgument('invalid name or ID supplied: ""')
    if not matches:
        raise NotFound(f"No such container: {reference}")
    if len(matches) > 1:
        raise InvalidArgument(f"multiple IDs found with provided prefix: {reference}")
    return matches[0]


def _colons(octets: bytes) -> str:
    return octets.hex(":")


DIGITS = re.compile(rb"[0-9]+")


def as_text(words: str) -> str:
    """Return a name or other text from the command line with U+FFFD in place of bytes that are invalid UTF-8.

    Docker's client makes the same replacement in its JSON, and Docker's daemon makes it in the JSON of its errors.
    """
    return words if words.isascii() else words.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def natural_key(text: str) -> bytes:
    """Return a sort key for natural order, in which numbers inside a text are compared by value ("a2" before "a10").

    Digits sort before other bytes. If two numbers are equal, the number with fewer leading zeros comes first. The key
    is of the type bytes, so that SQLite can sort by the key too.

    In the key, each number begins with two NUL bytes, which sort before all other bytes. Three values follow: the count
    of digits without leading zeros, these digits, and the count of digits with leading zeros. Each count has four
    bytes. A NUL byte in the text is followed by the byte FF in the key.
    """
    return DIGITS.sub(_number, text.encode("utf-8", "surrogateescape").replace(b"\0", b"\0\xff"))


def _number(digits: re.Match[bytes]) -> bytes:
    value = digits[0].lstrip(b"0")
    return b"\0\0%b%b%b" % (len(value).to_bytes(4), value, len(digits[0]).to_bytes(4))


def interface_prefix(network: NetworkRecord) -> str:
    """Return the name prefix of a network's interfaces in containers: the option `INTERFACE_PREFIX`, or "eth"."""
    return (network.options or {}).get(INTERFACE_PREFIX) or "eth"


def interface_numbers(container: ContainerRecord) -> Mapping[str, int]:
    """Return the number of a container's next interface for each name prefix, such as {"eth": 2}.

    A prefix that is not in the result starts at the number under the key "". If the result has no key "", the prefix
    starts at 0. Only a record of an older version of hawse gives the key "": it has one number for all prefixes.
    """
    if not container.next_interface:
        return container.next_interfaces
    return {"": container.next_interface, **container.next_interfaces}


def count_interfaces(numbers: Mapping[str, int], *networks: NetworkRecord) -> Mapping[str, int]:
    """Return the number of the next interface for each name prefix, after one interface is added for each network.

    ``numbers`` has the numbers before that. Both mappings have the form of `interface_numbers`. Each name prefix is
    counted separately, as in Docker. Example: ``numbers`` is {}, and two networks have the prefixes lan and wan. The
    result is {"lan": 1, "wan": 1}. Networks of the driver null are not counted.
    """
    taken = Counter(interface_prefix(network) for network in networks if network.driver != "null")
    return {**numbers, **{prefix: interface_number(numbers, prefix) + count for prefix, count in taken.items()}}


def interface_number(numbers: Mapping[str, int], prefix: str) -> int:
    """Return the number of the next interface with the name prefix ``prefix``.

    ``numbers`` has the next number of each prefix, as `interface_numbers` returns it.
    """
    return numbers.get(prefix, numbers.get("", 0))
