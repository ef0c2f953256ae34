"""Docker's Go string types that have methods, such as container.NetworkMode, container.PidMode and nat.Port.

The module defines which methods a template may call on such a string, and the results of these methods.
"""

from __future__ import annotations

from cli.docker_types.schema import text_type
from cli.gotemplate.gotypes import Method, Raw, integer
from engine.names import is_container_mode, is_user_defined, shared_container


def _is_host(text: str) -> bool:
    return text == "host"


def _network_name(text: str) -> str:
    return "container" if is_container_mode(text) else text


def _port_number(port: str) -> str:
    return port.split("/", maxsplit=1)[0]


def _protocol(port: str) -> str:
    parts = port.split("/")
    if not parts[0]:
        return ""
    return parts[1] if len(parts) > 1 and parts[1] else "tcp"


def _port_int(raw: Raw) -> int:
    number = _port_number(raw.decode("utf-8", "replace"))
    return int(number) if number.isascii() and number.isdecimal() and int(number) < 65536 else 0


NETWORK_MODE = text_type(
    "container.NetworkMode",
    {
        "IsNone": lambda text: text == "none",
        "IsDefault": lambda text: text == "default",
        "IsPrivate": lambda text: not _is_host(text) and not is_container_mode(text),
        "IsContainer": is_container_mode,
        "IsBridge": lambda text: text == "bridge",
        "IsHost": _is_host,
        "IsUserDefined": is_user_defined,
    },
    {
        "ConnectedContainer": shared_container,
        "UserDefined": lambda text: text if is_user_defined(text) else "",
        "NetworkName": _network_name,
    },
)
IPC_MODE = text_type(
    "container.IpcMode",
    {
        "IsPrivate": lambda text: text == "private",
        "IsHost": _is_host,
        "IsShareable": lambda text: text == "shareable",
        "IsContainer": is_container_mode,
        "IsNone": lambda text: text == "none",
        "IsEmpty": lambda text: not text,
        "Valid": lambda text: text in ("", "none", "private", "host", "shareable") or is_container_mode(text),
    },
    {"Container": shared_container},
)
PID_MODE = text_type(
    "container.PidMode",
    {
        "IsPrivate": lambda text: not _is_host(text) and not is_container_mode(text),
        "IsHost": _is_host,
        "IsContainer": is_container_mode,
        "Valid": lambda text: not text or _is_host(text) or bool(shared_container(text)),
    },
    {"Container": shared_container},
)
CGROUP_SPEC = text_type(
    "container.CgroupSpec",
    {"IsContainer": is_container_mode, "Valid": lambda text: not text or is_container_mode(text)},
    {"Container": shared_container},
)
_HOST_OR_PRIVATE = {
    "IsPrivate": lambda text: not _is_host(text),
    "IsHost": _is_host,
    "Valid": lambda text: not text or _is_host(text),
}
UTS_MODE = text_type("container.UTSMode", _HOST_OR_PRIVATE)
USERNS_MODE = text_type("container.UsernsMode", _HOST_OR_PRIVATE)
CGROUPNS_MODE = text_type(
    "container.CgroupnsMode",
    {
        "IsPrivate": lambda text: text == "private",
        "IsHost": _is_host,
        "IsEmpty": lambda text: not text,
        "Valid": lambda text: text in ("", "private", "host"),
    },
)
ISOLATION = text_type(
    "container.Isolation",
    {
        "IsDefault": lambda text: text.lower() in ("", "default"),
        "IsHyperV": lambda text: text.lower() == "hyperv",
        "IsProcess": lambda text: text.lower() == "process",
        "IsValid": lambda text: text.lower() in ("", "default"),
    },
)
PORT = text_type("nat.Port", {}, {"Proto": _protocol, "Port": _port_number})
PORT.methods = {
    **PORT.methods,
    "Int": Method(lambda raw: integer(_port_int(raw))),
    "Range": Method(lambda raw: None, fault="function Range has 3 return values; should be 1 or 2"),
}
