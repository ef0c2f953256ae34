"""Make the system call filter of a container from Docker's default profile, or from a profile of the user.

A profile in Docker's form has rules with conditions: capabilities, architectures or kernel versions. The result has the
form of the OCI runtime specification, and contains only the rules whose conditions are true.
"""

from __future__ import annotations

import json
import os
import re

from engine.golang.json_errors import syntax_error
from engine.runtime.errors import CREATE, OTHER, SetupFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from typing import Any

UNCONFINED, BUILTIN = "unconfined", "builtin"
"""The names of two seccomp profiles: no filter, and Docker's default profile. Any other profile is given as its JSON
text.
"""

_DEFAULT = os.path.join(os.path.dirname(__file__), "seccomp.json")
_ACTIONS = frozenset(
    f"SCMP_ACT_{action}" for action in
    ("ALLOW", "ERRNO", "KILL", "KILL_PROCESS", "KILL_THREAD", "LOG", "NOTIFY", "TRACE", "TRAP")
)  # fmt: skip
_MACHINES = {
    "x86_64": ("amd64", "SCMP_ARCH_X86_64"),
    "aarch64": ("arm64", "SCMP_ARCH_AARCH64"),
    "i686": ("x86", "SCMP_ARCH_X86"),
    "armv7l": ("arm", "SCMP_ARCH_ARM"),
    "ppc64le": ("ppc64le", "SCMP_ARCH_PPC64LE"),
    "riscv64": ("riscv64", "SCMP_ARCH_RISCV64"),
    "s390x": ("s390x", "SCMP_ARCH_S390X"),
}
_VERSION = "seccomp.KernelVersion"
_STRUCTS: Mapping[str, Mapping[str, str]] = {
    "seccomp.Seccomp": {
        "LinuxSeccomp.defaultAction": "specs.LinuxSeccompAction",
        "LinuxSeccomp.defaultErrnoRet": "uint",
        "LinuxSeccomp.architectures": "[]specs.Arch",
        "LinuxSeccomp.flags": "[]specs.LinuxSeccompFlag",
        "archMap": "[]seccomp.Architecture",
        "syscalls": "[]*seccomp.Syscall",
    },
    "seccomp.Architecture": {"architecture": "specs.Arch", "subArchitectures": "[]specs.Arch"},
    "seccomp.Syscall": {
        "LinuxSyscall.names": "[]string",
        "LinuxSyscall.action": "specs.LinuxSeccompAction",
        "LinuxSyscall.errnoRet": "uint",
        "LinuxSyscall.args": "[]specs.LinuxSeccompArg",
        "name": "string",
        "includes": "seccomp.Filter",
        "excludes": "seccomp.Filter",
    },
    "seccomp.Filter": {"caps": "[]string", "arches": "[]string", "minKernel": _VERSION},
    "specs.LinuxSeccompArg": {
        "index": "uint",
        "value": "uint64",
        "valueTwo": "uint64",
        "op": "specs.LinuxSeccompOperator",
    },
}
"""Docker's Go structs for a profile: the type of each field. The field's name in error texts is the key.

The JSON key is the last part of the name. All types that are neither lists, numbers nor in this table are strings.
"""


def filter_for(profile: str, capabilities: Collection[str]) -> dict[str, Any] | None:
    """Return the system call filter that a profile gives to a process, or None for no filter.

    - ``profile`` is "unconfined": no filter.
    - ``profile`` is "" or "builtin": Docker's default profile.
    - Otherwise ``profile`` is the JSON text of a profile.

    ``capabilities`` are the names ("CAP_…") in the process's bounding set. Raises `SetupFailed` for an invalid profile.
    """
    if profile == UNCONFINED:
        return None
    if profile in ("", BUILTIN):
        with open(_DEFAULT, encoding="utf-8") as file:
            return translate(json.load(file), capabilities)
    try:
        document = json.loads(profile, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise _undecodable(syntax_error(error, profile)) from error
    return translate({} if document is None else _decoded(document, "seccomp.Seccomp"), capabilities)


def translate(profile: Mapping[str, Any], capabilities: Collection[str]) -> dict[str, Any] | None:
    """Return a seccomp profile in OCI form, with only the rules that apply on this host, as in Docker.

    ``capabilities`` are the names ("CAP_…") in the process's bounding set. Raises `SetupFailed` for an unknown action,
    and for a profile that gives the same thing twice. Returns None for an empty profile, which means no filter. The
    values in the profile have the right types.
    """
    if not profile.get("defaultAction") and not profile.get("syscalls"):
        return None
    _check_alternatives(profile, "architectures", "archMap")
    for rule in profile.get("syscalls") or ():
        _check_alternatives(rule, "name", "names")
    machine, native = _MACHINES.get(os.uname().machine, ("", ""))
    architectures = list(profile.get("architectures") or ())
    for entry in profile.get("archMap") or ():
        if entry.get("architecture") == native:
            architectures = [native, *(entry.get("subArchitectures") or ())]
    rules = [_rule(r) for r in profile.get("syscalls") or () if _holds(r, machine, capabilities)]
    for action in (profile.get("defaultAction") or "", *(rule.get("action") or "" for rule in rules)):
        if action not in _ACTIONS:
            raise SetupFailed(OTHER, f"{CREATE}string {action} is not a valid action for seccomp: unknown", plain=True)
    kept = {k: profile[k] for k in ("defaultAction", "defaultErrnoRet", "flags") if profile.get(k) is not None}
    return {
        **kept,
        **({"architectures": architectures} if architectures else {}),
        "syscalls": [rule for rule in rules if rule["names"]],
    }


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object without the keys whose value is null: Go's decoder leaves the field of such a key alone."""
    return {key: value for key, value in pairs if value is not None}


def _check_alternatives(values: Mapping[str, Any], one: str, other: str) -> None:
    """Check that at most one of the keys ``one`` and ``other`` has a value; raises `SetupFailed` with Docker's text.

    ``values`` is a seccomp profile, or one of its rules. An empty value counts as no value.
    """
    if values.get(one) and values.get(other):
        both = f"both '{one}' and '{other}' are specified in the seccomp profile, use either '{one}' or '{other}'"
        raise SetupFailed(OTHER, both, plain=True)


def _undecodable(why: str) -> SetupFailed:
    return SetupFailed(OTHER, f"Decoding seccomp profile failed: {why}", plain=True)


def _decoded(value: Any, go_type: str, field: str = "value", path: str = "") -> Any:
    """Check the types in a JSON value as Go's decoder does, and return the value without null in lists.

    As in Go, a key may have other upper and lower case letters than the field. The result has the field's name.
    ``go_type`` is the Go type of the value. Raises `SetupFailed` for the first value of a wrong type. For the error
    text, ``field`` names the field of the value as Go does: "struct field Seccomp.syscalls", or "value" for the whole
    profile. ``path`` has only the names of the fields that lead to the value: ".syscalls", or "" for the whole profile.
    """
    item, fields = go_type.removeprefix("[]").removeprefix("*"), _STRUCTS.get(go_type)
    if item != go_type and isinstance(value, list):
        zero: Any = {} if item in _STRUCTS else ""
        return [zero if each is None else _decoded(each, item, field, path) for each in value]
    if fields and isinstance(value, dict):
        known = {name.rpartition(".")[2].casefold(): name for name in fields}
        owner = f"struct field {go_type.rpartition('.')[2]}"
        named = [(known[key.casefold()], each) for key, each in value.items() if key.casefold() in known]
        return {
            name.rpartition(".")[2]: _decoded(each, fields[name], f"{owner}{path}.{name}", f"{path}.{name}")
            for name, each in named
        }
    if go_type == _VERSION:
        return _checked_version(value)
    is_number = go_type in ("uint", "uint64")
    if item != go_type or fields or not (_is_unsigned(value) if is_number else isinstance(value, str)):
        kind = f"number {value}" if is_number and _kind(value) == "number" else _kind(value)
        raise _undecodable(f"json: cannot unmarshal {kind} into Go {field} of type {go_type}")
    return value


def _is_unsigned(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64


def _checked_version(value: object) -> str:
    """Return a kernel version such as "4.8"; raises `SetupFailed` for another value."""
    if isinstance(value, str) and re.fullmatch(r"(\d{1,19}\.\d{1,19})?", value, re.ASCII):
        return value
    why = "" if isinstance(value, str) else f": json: cannot unmarshal {_kind(value)} into Go value of type string"
    raise _undecodable(f'invalid kernel version: {json.dumps(value)}, expected "<kernel>.<major>"{why}')


def _kind(value: object) -> str:
    """Return Go's name for the type of a JSON value that is not null."""
    kinds: Mapping[type, str] = {bool: "bool", list: "array", str: "string", dict: "object"}
    return kinds.get(type(value), "number")


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    names = rule.get("names") or ([rule["name"]] if rule.get("name") else [])
    return {"names": names, **{k: rule[k] for k in ("action", "errnoRet", "args") if rule.get(k) is not None}}


def _holds(rule: Mapping[str, Any], machine: str, capabilities: Collection[str]) -> bool:
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    if machine in (excludes.get("arches") or ()) or set(excludes.get("caps") or ()) & set(capabilities):
        return False
    if excludes.get("minKernel") and _kernel() >= _version(excludes["minKernel"]):
        return False
    if includes.get("arches") and machine not in includes["arches"]:
        return False
    if not set(includes.get("caps") or ()) <= set(capabilities):
        return False
    return not (includes.get("minKernel") and _kernel() < _version(includes["minKernel"]))


def _kernel() -> tuple[int, int]:
    return _version(os.uname().release)


def _version(text: str) -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)
