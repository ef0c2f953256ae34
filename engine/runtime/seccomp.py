"""Make the system call filter of a container from Docker's default profile, or from a profile of the user.

A profile in Docker's form has rules with conditions: capabilities, architectures or kernel versions. The result has the
form of the OCI runtime specification, and contains only the rules with true conditions.
"""

from __future__ import annotations

import json
import os
import re

from engine.golang import json_types
from engine.golang.json_text import unmarshal
from engine.golang.json_types import Int, ListOf, Pointer, Struct, Text
from engine.golang.strconv import parse_uint
from engine.runtime.errors import CREATE, OTHER, SetupFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

UNCONFINED, BUILTIN = "unconfined", "builtin"
"""The names of two seccomp profiles: no filter, and Docker's default profile. Any other profile is given as its JSON
text.
"""

_DEFAULT = os.path.join(os.path.dirname(__file__), "seccomp.json")
_VALID = {
    "action": frozenset(
        f"SCMP_ACT_{action}" for action in
        ("ALLOW", "ERRNO", "KILL", "KILL_PROCESS", "KILL_THREAD", "LOG", "NOTIFY", "TRACE", "TRAP")
    ),
    "arch": frozenset(
        f"SCMP_ARCH_{name}" for name in
        ("X86", "X86_64", "X32", "ARM", "AARCH64", "MIPS", "MIPS64", "MIPS64N32", "MIPSEL", "MIPSEL64", "MIPSEL64N32",
         "PPC", "PPC64", "PPC64LE", "RISCV64", "S390", "S390X")
    ),
    "operator": frozenset(f"SCMP_CMP_{name}" for name in ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")),
}  # fmt: skip
"""The names that runc knows, by the word for their kind in runc's error text."""
_WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
_MACHINES = {
    "x86_64": ("amd64", "SCMP_ARCH_X86_64"),
    "aarch64": ("arm64", "SCMP_ARCH_AARCH64"),
    "i686": ("x86", "SCMP_ARCH_X86"),
    "armv7l": ("arm", "SCMP_ARCH_ARM"),
    "ppc64le": ("ppc64le", "SCMP_ARCH_PPC64LE"),
    "riscv64": ("riscv64", "SCMP_ARCH_RISCV64"),
    "s390x": ("s390x", "SCMP_ARCH_S390X"),
}


class _KernelVersion(json_types.GoType):
    """A kernel version such as "4.8".

    An empty text means 0.0. If the JSON object has the key twice, and the later text is empty, the earlier value
    counts.
    """

    name = "seccomp.KernelVersion"

    def _fits(self, value: Any) -> bool:
        return True

    def _converted(
        self, value: Any, place: json_types.Place, errors: list[json_types.Mismatch], before: str | None
    ) -> str:
        """Return the version as text; raises Mismatch if it is invalid.

        Other types add their errors to ``errors``. This error is raised, because Docker reports it instead of the
        errors that were found earlier.
        """
        invalid = f'invalid kernel version: {json_types.compact(value)}, expected "<kernel>.<major>"'
        if not isinstance(value, str):
            mismatch = json_types.Place().mismatch(json_types.kind(value), "string")
            raise json_types.Mismatch(f"{invalid}: {mismatch}")
        if not value:
            return before or "0.0"
        parts = value.split(".")
        if len(parts) != 2:
            raise json_types.Mismatch(invalid)
        try:
            kernel, major = (parse_uint(part, 8, base=10) for part in parts)
        except ValueError as error:
            raise json_types.Mismatch(f"{invalid}: {error}") from None
        if not kernel and not major:
            raise json_types.Mismatch(f"{invalid}: version cannot be 0.0")
        return f"{kernel}.{major}"


_UINT, _UINT64 = Int("uint", signed=False), Int("uint64", signed=False)
_ACTION, _ARCHITECTURE = Text("specs.LinuxSeccompAction"), Text("specs.Arch")
_ARGUMENT = Struct(
    "specs.LinuxSeccompArg",
    {"index": _UINT, "value": _UINT64, "valueTwo": _UINT64, "op": Text("specs.LinuxSeccompOperator")},
    is_value=True,
)
_FILTER = Struct(
    "seccomp.Filter", {"caps": ListOf(Text()), "arches": ListOf(Text()), "minKernel": Pointer(_KernelVersion())}
)
_RULE = Struct(
    "seccomp.Syscall",
    {"name": Text(), "comment": Text(), "includes": _FILTER, "excludes": _FILTER},
    Struct(
        "specs.LinuxSyscall",
        {"names": ListOf(Text()), "action": _ACTION, "errnoRet": Pointer(_UINT), "args": ListOf(_ARGUMENT)},
    ),
)
_PROFILE = Struct(
    "seccomp.Seccomp",
    {
        "archMap": ListOf(
            Struct(
                "seccomp.Architecture",
                {"architecture": _ARCHITECTURE, "subArchitectures": ListOf(_ARCHITECTURE)},
                is_value=True,
            )
        ),
        "syscalls": ListOf(_RULE, "[]*seccomp.Syscall"),
    },
    Struct(
        "specs.LinuxSeccomp",
        {
            "defaultAction": _ACTION,
            "defaultErrnoRet": Pointer(_UINT),
            "architectures": ListOf(_ARCHITECTURE),
            "flags": ListOf(Text("specs.LinuxSeccompFlag")),
            "listenerPath": Text(),
            "listenerMetadata": Text(),
        },
    ),
)
"""Docker's Go type for a profile."""


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
        decoded = _PROFILE.document(unmarshal(profile))
    except (ValueError, RecursionError) as error:
        why = "exceeded max depth" if isinstance(error, RecursionError) else error
        raise SetupFailed(OTHER, f"Decoding seccomp profile failed: {why}", plain=True) from None
    return translate(decoded, capabilities)


def translate(profile: Mapping[str, Any], capabilities: Collection[str]) -> dict[str, Any] | None:
    """Return a seccomp profile in OCI form, with only the rules that apply on this host, as in Docker.

    ``capabilities`` are the names ("CAP_…") in the process's bounding set. The caller has checked the types of the
    profile's values. Returns None for an empty profile, which means no filter. Raises `SetupFailed` in two cases:

    - An action, an architecture or an operator is unknown.
    - Two alternative keys have values: ``architectures`` and ``archMap``, or ``name`` and ``names``.
    """
    if not profile.get("defaultAction") and not profile.get("syscalls"):
        return None
    _check_alternatives(profile, "architectures", "archMap")
    listed = [rule or {} for rule in profile.get("syscalls") or ()]
    for rule in listed:
        _check_alternatives(rule, "name", "names")
    machine, native = _MACHINES.get(os.uname().machine, ("", ""))
    architectures = profile.get("architectures") or []
    for entry in reversed(profile.get("archMap") or ()):  # in reverse, so that the architecture's first entry is used
        if entry.get("architecture") == native:
            architectures = [native, *(entry.get("subArchitectures") or ())]
    rules = [_rule(rule) for rule in listed if _holds(rule, machine, capabilities)]
    for architecture in architectures:
        _check_known("arch", architecture)
    _check_known("action", profile.get("defaultAction") or "")
    for rule in rules:
        _check_known("action", rule["action"])
        for argument in rule.get("args") or ():
            _check_known("operator", argument["op"])
    kept = {key: profile[key] for key in ("defaultAction", "flags") if profile.get(key) is not None}
    if profile.get("defaultErrnoRet") is not None and kept["defaultAction"] in _WITH_ERRNO:
        kept["defaultErrnoRet"] = profile["defaultErrnoRet"]
    return {
        **kept,
        **({"architectures": architectures} if architectures else {}),
        "syscalls": [rule for rule in rules if rule["names"]],
    }


def _check_alternatives(values: Mapping[str, Any], one: str, other: str) -> None:
    """Check that at most one of the keys ``one`` and ``other`` has a value; raises `SetupFailed` with Docker's text.

    ``values`` is a seccomp profile, or one of its rules. An empty value counts as no value.
    """
    if values.get(one) and values.get(other):
        both = f"both '{one}' and '{other}' are specified in the seccomp profile, use either '{one}' or '{other}'"
        raise SetupFailed(OTHER, both, plain=True)


def _check_known(kind: str, name: str) -> None:
    """Check that runc knows an action, an architecture or an operator; raises `SetupFailed` with runc's text."""
    if name not in _VALID[kind]:
        text = f"{CREATE}string {name} is not a valid {kind} for seccomp: unknown"
        raise SetupFailed(OTHER, text, plain=True)


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule in OCI form.

    If the rule's action uses no error number, the error number is left out. runc ignores an unused error number, but
    crun would refuse the rule.
    """
    action, number = rule.get("action") or "", rule.get("errnoRet")
    names = rule.get("names") or ([rule["name"]] if rule.get("name") else [])
    arguments = [
        {"index": 0, "value": 0, "op": ""} | {key: value for key, value in argument.items() if value is not None}
        for argument in rule.get("args") or ()
    ]
    return {
        "names": names,
        "action": action,
        **({"errnoRet": number} if number is not None and action in _WITH_ERRNO else {}),
        **({"args": arguments} if arguments else {}),
    }


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
