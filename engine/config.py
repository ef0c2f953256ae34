"""Read the configuration file, which has the keys of Docker's daemon.json that apply to hawse.

The environment variable ``HAWSE_CONFIG`` names the file. If the variable is unset, the file is /etc/hawse/daemon.json.
A missing file has the same effect as an empty file.

Docker's keys for other parts of a container engine are accepted and ignored, so that an existing daemon.json works
unchanged. A key that is not in Docker's list is an error, because the key is probably a typing mistake.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from engine.errors import EngineError, InvalidArgument, PermissionDenied, Unavailable, reason_of
from engine.golang.strconv import parse_uint, whole_number
from engine.golang.units import parse_size
from engine.ipam import LOCAL_POOLS, DefaultPool
from engine.paths import is_own
from engine.validate.logging import DEFAULT_LIMIT_BYTES, JSON_FILE, check_default_options
from engine.validate.nearest import nearest

DEFAULT_PATH = Path("/etc/hawse/daemon.json")
LIMIT_BYTES = 1 << 20
SHOWN_LIMIT = 60  # characters of a wrong value that an error text shows


class Config(Struct, frozen=True):
    """The complete configuration of a host. Most fields are keys of Docker's daemon.json.

    Addresses are strings in canonical form; "" means "not given".
    """

    default_address_pools: tuple[DefaultPool, ...] = LOCAL_POOLS
    bridge: str = ""  # the user's bridge for the default network; "none": no default network
    bip: str = ""  # the default bridge's address and prefix length, such as "192.168.5.1/24"
    bip6: str = ""
    fixed_cidr: str = ""  # subnet of the addresses that containers on the default bridge get
    fixed_cidr_v6: str = ""
    default_gateway: str = ""
    default_gateway_v6: str = ""
    mtu: int = 0  # MTU of the default bridge in bytes; 0: use the kernel's default
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_opts: tuple[str, ...] = ()
    icc: bool = True
    ip: str = "0.0.0.0"  # default host address of published ports
    ip_forward: bool = True  # enable IP forwarding when a network needs it
    ip_masq: bool = True
    ipv6: bool = False  # whether the default bridge has IPv6
    host_gateway_ip: str = ""
    default_network_opts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # default options, by driver
    log_driver: str = JSON_FILE
    log_opts: Mapping[str, str] = field(default_factory=dict)
    default_log_limit: int = DEFAULT_LIMIT_BYTES  # maximum bytes of a log if max-size is not set; 0: no limit
    allow_direct_routing: bool = False
    netns_names: bool = True  # whether each container's sandbox has a name for `ip netns`
    heal: bool = True  # whether the agent repairs what other programs change in hawse's networks
    bridge_accept_fwmark: str = ""  # firewall mark of packets that hawse accepts: "mark" or "mark/mask", in decimal


class _Wrong(Exception):
    """Raised if a configuration value is invalid for its key; the message says which value is expected."""


def _unexpected(expected: str, value: object) -> _Wrong:
    """Return the error for a value of the wrong type or form.

    The message has the expected type or form, and the value that was found. A long value is cut.
    """
    found = json.dumps(value)
    shown = found if len(found) <= SHOWN_LIMIT else f"{found[:SHOWN_LIMIT]}…"
    return _Wrong(f"expected {expected}, found {shown}")


def config_path() -> Path:
    """Return the path of the configuration file."""
    return Path(os.environ.get("HAWSE_CONFIG") or DEFAULT_PATH)


def number_from_environment(variable: str, default: int) -> int:
    """Return the whole number in an environment variable, or ``default`` if the variable has none."""
    text = os.environ.get(variable, "")
    return whole_number(text) if text.isascii() and text.isdigit() else default


def load_config(path: Path | None = None) -> Config:
    """Read the configuration file; as in Docker, a key with the value null has its default.

    Raises `InvalidArgument` if a key or a value is invalid; the message names the file and the key.
    """
    if path is None:
        path = config_path()
    values = {}
    for key, value in _read(path).items():
        if key in _IGNORED:
            continue
        if key not in _KEYS:
            meant = nearest(key, _KEYS)
            advice = f"did you mean {meant}?" if meant else "man hawse-daemon.json lists the keys"
            raise InvalidArgument(f"{path}: {key}: no such configuration key ({advice})")
        if value is None:
            continue
        try:
            read = _KEYS[key](value)
        except (_Wrong, ValueError) as error:
            raise InvalidArgument(f"{path}: {key}: {error}") from error
        if key not in _FIXED:
            values[key.replace("-", "_")] = read
    config = Config(**values)
    if config.bridge and config.bip:
        raise InvalidArgument(
            f"{path}: You specified -b & --bip, mutually exclusive options. Please specify only one (bridge and bip)"
        )
    if config.log_opts:
        try:
            check_default_options(config.log_driver, config.log_opts)
        except InvalidArgument as error:
            raise InvalidArgument(f"{path}: log-opts: {error}") from error
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            _require_trusted(path, os.fstat(file.fileno()))
            document = _parsed(file.read(LIMIT_BYTES + 1))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{path}: not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidArgument(f"{path}: expected an object")
    return document


def _parsed(data: bytes) -> Any:
    """Return the value of a JSON document; raises ValueError or RecursionError if it cannot be read.

    A document of more than `LIMIT_BYTES` is an error. A string with half of a surrogate pair is also an error, because
    such a string cannot be encoded in UTF-8.
    """
    if len(data) > LIMIT_BYTES:
        raise ValueError(f"the file is larger than {LIMIT_BYTES} bytes")
    document = json.loads(data.decode().strip() or "{}")
    json.dumps(document, ensure_ascii=False).encode()
    return document


def _require_trusted(path: Path, status: os.stat_result) -> None:
    """Check that only root and the calling user can change the file; raises PermissionDenied if others can.

    ``status`` is the file's stat result. Character devices are always accepted: any user can write to /dev/null, but
    users give it as an empty configuration file.
    """
    if not stat.S_ISCHR(status.st_mode) and not is_own(status):
        raise PermissionDenied(
            f"{path} is refused: it belongs to another user or can be written by one (chown root, chmod go-w)"
        )


def _unreadable(path: Path, error: OSError) -> EngineError:
    kind = PermissionDenied if isinstance(error, PermissionError) else Unavailable
    return kind(f"{path}: {reason_of(error)}")


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise _unexpected("true or false", value)
    return value


def _true(value: object) -> bool:
    if not _boolean(value):
        raise _Wrong("false is not supported: hawse always isolates networks and publishes ports by rules of its own")
    return True


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _unexpected("a string", value)
    if "\0" in value:
        raise _Wrong("a NUL character is not allowed")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _unexpected("a list of strings", value)
    return tuple(map(_text, value))


def _address(value: object) -> str:
    text = _text(value)
    return str(ip_address(text)) if text else ""


def _addresses(value: object) -> tuple[str, ...]:
    return tuple(map(_address, _texts(value)))


def _interface(value: object) -> str:
    text = _text(value)
    if text and "/" not in text:
        raise _unexpected("an address with its prefix length, such as 192.168.5.1/24", value)
    return str(ip_interface(text)) if text else ""


def _interface4(value: object) -> str:
    interface = _interface(value)
    if ":" in interface:
        raise _Wrong(f"expected an IPv4 address, found {interface}")
    return interface


def _interface6(value: object) -> str:
    interface = _interface(value)
    if interface and ":" not in interface:
        raise _Wrong(f"expected an IPv6 address, found {interface}")
    return interface


def _network(value: object) -> str:
    text = _text(value)
    return str(ip_network(text, strict=False)) if text else ""


def _network4(value: object) -> str:
    network = _network(value)
    if ":" in network:
        raise _Wrong(f"expected an IPv4 subnet, found {network}")
    return network


def _network6(value: object) -> str:
    network = _network(value)
    if network and ":" not in network:
        raise _Wrong("fixed-cidr-v6 is not an IPv6 subnet")
    return network


def _mtu(value: object) -> int:
    if type(value) is not int or not (value == 0 or 68 <= value <= 65535):
        raise _unexpected("0 or a number of bytes from 68 to 65535", value)
    return value


def _pools(value: object) -> tuple[DefaultPool, ...]:
    if not isinstance(value, list):
        raise _unexpected('a list such as [{"base": "10.10.0.0/16", "size": 24}]', value)
    return tuple(map(_pool, value)) or LOCAL_POOLS


def _pool(value: object) -> DefaultPool:
    if not isinstance(value, dict) or set(value) != {"base", "size"} or type(value["size"]) is not int:
        raise _unexpected('{"base": "10.10.0.0/16", "size": 24}', value)
    return DefaultPool(ip_network(_text(value["base"]), strict=False), value["size"])


def _network_options(value: object) -> dict[str, dict[str, str]]:
    if not isinstance(value, dict) or not all(isinstance(options, dict) for options in value.values()):
        raise _unexpected('an object such as {"bridge": {"com.docker.network.driver.mtu": "1400"}}', value)
    return {driver: {key: _text(item) for key, item in options.items()} for driver, options in value.items()}


def _log_driver(value: object) -> str:
    return _text(value) or JSON_FILE


def _log_options(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _unexpected('an object such as {"max-size": "10m", "max-file": "3"}', value)
    return {key: _text(item) for key, item in value.items()}


def _limit(value: object) -> int:
    """Parse the size limit of a container's log, a number of bytes or a string such as "100m"; return bytes.

    0 means no limit. Raises ValueError or `_Wrong` if ``value`` is not such a size.
    """
    size = parse_size(str(value) if type(value) is int else _text(value), 1000)
    if size < 0:
        raise _unexpected('a size such as "100m", or "0" for no limit', value)
    return size


def _firewall_mark(value: object) -> str:
    """Parse a firewall mark in the form "mark" or "mark/mask", and return it with decimal numbers; "" stays "".

    The numbers may have any notation of the Go language, such as 0x1f. Raises `_Wrong` with Docker's error text.
    """
    text = _text(value)
    if not text:
        return ""
    mark, slash, mask = text.partition("/")
    read = [_unsigned(mark, f"invalid firewall mark {json.dumps(text)}")]
    if slash:
        read.append(_unsigned(mask, f"invalid firewall mask {json.dumps(text)}"))
    return "/".join(map(str, read))


def _unsigned(text: str, title: str) -> int:
    """Parse an unsigned 32-bit number as Go's strconv.ParseUint does with base 0.

    For any other text, raises `_Wrong` with the message "TITLE: ERROR". TITLE is ``title``, and ERROR is Go's error
    text.
    """
    try:
        return parse_uint(text, 32)
    except ValueError as error:
        raise _Wrong(f"{title}: {error}") from None


_KEYS: dict[str, Callable[[object], Any]] = {
    "default-address-pools": _pools,
    "bridge": _text,
    "bip": _interface4,
    "bip6": _interface6,
    "fixed-cidr": _network4,
    "fixed-cidr-v6": _network6,
    "default-gateway": _address,
    "default-gateway-v6": _address,
    "mtu": _mtu,
    "dns": _addresses,
    "dns-search": _texts,
    "dns-opts": _texts,
    "icc": _boolean,
    "ip": _address,
    "ip-forward": _boolean,
    "ip-masq": _boolean,
    "iptables": _true,
    "ip6tables": _true,
    "ipv6": _boolean,
    "host-gateway-ip": _address,
    "default-network-opts": _network_options,
    "log-driver": _log_driver,
    "log-opts": _log_options,
    "default-log-limit": _limit,
    "allow-direct-routing": _boolean,
    "bridge-accept-fwmark": _firewall_mark,
    "heal": _boolean,
    "netns-names": _boolean,
}

_FIXED = ("iptables", "ip6tables")
"""Docker's configuration keys for which hawse accepts only the value true. The value false is an error, because hawse
always writes its firewall rules.
"""

_OF_DOCKER = """
allow-nondistributable-artifacts api-cors-header authorization-plugins builder cgroup-parent cluster-advertise
cluster-store cluster-store-opts containerd containerd-namespace containerd-plugins-namespace cpu-rt-period
cpu-rt-runtime data-root debug default-cgroupns-mode default-ipc-mode default-runtime default-shm-size default-ulimits
exec-opts exec-root experimental features group hosts http-proxy https-proxy init init-path insecure-registries labels
live-restore log-format log-level max-concurrent-downloads max-concurrent-uploads
max-download-attempts metrics-addr network-control-plane-mtu no-new-privileges no-proxy node-generic-resources
oom-score-adjust pidfile proxies raw-logs registry-mirrors rootless runtimes seccomp-profile selinux-enabled
shutdown-timeout storage-driver storage-opts swarm-default-advertise-addr tls tlscacert tlscert tlskey tlsverify
userland-proxy userland-proxy-path userns-remap validate
"""
_IGNORED = frozenset(_OF_DOCKER.split())
