"""Find and assume the identity of the container's process: user, groups and capabilities.

This module reads /etc/passwd and /etc/group of the container. Their content may be malicious.
"""

from __future__ import annotations

import os

from engine.runtime import root_paths, syscalls
from engine.runtime.errors import BAD_USER, OTHER, SetupFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ALL = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
_DEFAULT = (
    "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL "
    "AUDIT_WRITE"
)

CAPABILITIES = tuple(_ALL.split())
"""The names of all capabilities; the position of a name is the capability's number in the kernel."""

DEFAULT_CAPABILITIES = tuple(_DEFAULT.split())
"""The capabilities that Docker grants a container by default."""

_LAST = 2**31 - 1
"""The highest user or group id that is accepted.

The kernel takes the id -1 as "leave the id unchanged", so the process would stay root. As an unsigned number, -1 is
above this limit and is refused.
"""
_RANGE = f"uids and gids must be in range 0-{_LAST}"
_TOO_LONG = 19  # digits; a number with 19 digits or more can exceed Go's int64
_PASSWD, _GROUP = "etc/passwd", "etc/group"
_FIELDS = 7  # number of fields in an entry of passwd; an entry of group has fewer fields


class Identity:
    """A user's numeric ids as the kernel needs them, and the user's home directory."""

    def __init__(self, uid: int, gid: int, groups: list[int], home: str) -> None:
        self.uid, self.gid, self.groups, self.home = uid, gid, groups, home


def find_identity(user: str, root: int) -> Identity:
    """Return the identity of a user from the passwd and group files of a container.

    ``user`` is ``name``, ``uid``, ``name:group`` or ``uid:gid``. An empty name means root. A number needs no entry in
    the files, but a name does. ``root`` is a file descriptor of the container's root directory. Raises `SetupFailed`
    for a name without an entry, and for an id that is out of range.

    As in runc, the home directory is that of the first entry with the user's id, or "/" without such an entry.
    """
    name, group = [*user.split(":"), ""][:2]
    name = name or "0"
    entry, number = _look_up(_entries(root, _PASSWD), name)
    if entry is None and number is None:
        raise SetupFailed(BAD_USER, f"unable to find user {name}: no matching entries in passwd file", plain=True)
    uid, gid = (_checked_id(entry[2]), _checked_id(entry[3])) if entry else (_checked(number), 0)
    more: list[int] = []
    if group:
        gid = _find_group(group, root)
    elif entry and entry[0]:
        more = [_checked_id(e[2]) for e in _entries(root, _GROUP) if entry[0] in e[3].split(",")]
    home = next((e[5] for e in _entries(root, _PASSWD) if _id(e[2]) == uid), "/")
    return Identity(uid, gid, [gid, *(g for g in more if g != gid)], home)


def _find_group(group: str, root: int) -> int:
    entry, number = _look_up(_entries(root, _GROUP), group)
    if entry is None and number is None:
        raise SetupFailed(BAD_USER, f"unable to find group {group}: no matching entries in group file", plain=True)
    return _checked_id(entry[2]) if entry else _checked(number)


def _look_up(entries: Iterator[list[str]], reference: str) -> tuple[list[str] | None, int | None]:
    """Find the entry of passwd or group for ``reference``, which is a name or a number.

    Each of ``entries`` is a line of the file, split into fields. Returns (entry, number). The entry is the first that
    matches, or None. The number is ``reference`` as an integer, or None if ``reference`` is a name.
    """
    number = _number(reference)
    matching = (e for e in entries if (e[0] == reference if number is None else _id(e[2]) == number))
    return next(matching, None), number


def _entries(root: int, path: str) -> Iterator[list[str]]:
    """Yield the entries of the file ``path`` (`_PASSWD` or `_GROUP`), split into fields, as Docker reads them.

    ``root`` is a file descriptor of the container's root directory. Spaces around a line are removed. A missing field
    is "". Only the group file has comments.
    """
    for line in map(str.strip, root_paths.read_lines(root, path)):
        if line and not (path == _GROUP and line.startswith("#")):
            yield [*line.split(":"), *[""] * _FIELDS]


def _id(text: str) -> int:
    """Convert the user or group id ``text``, with or without a sign, to an integer; return 0 if it is no number.

    Docker also takes such an id as 0. A number is cut to its first 19 digits, because int() refuses more than 4,300
    digits. A number that was cut is still outside the range of valid ids (0 to `_LAST`). Leading zeros do not count.
    """
    size = int(_digits(text).lstrip("0")[:_TOO_LONG] or "0")
    return -size if text.startswith("-") else size


def _number(text: str) -> int | None:
    return int(text) if 0 < len(_digits(text)) < _TOO_LONG else None


def _digits(text: str) -> str:
    """Return the digits of a number with or without a sign, or "" if ``text`` is no number."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    return digits if digits.isascii() and digits.isdigit() else ""


def _checked(number: int | None) -> int:
    if number is None or not 0 <= number <= _LAST:
        raise SetupFailed(BAD_USER, _RANGE, plain=True)
    return number


def _checked_id(text: str) -> int:
    """Convert an id in an entry of passwd or group to an integer; raises `SetupFailed` if it is out of range.

    The error has runc's text.
    """
    number = _id(text)
    if not 0 <= number <= _LAST:
        raise SetupFailed(BAD_USER, f"unable to setup user: {_RANGE}")
    return number


def capability_mask(add: Sequence[str], drop: Sequence[str], *, privileged: bool) -> int:
    """Return a container's capabilities as a bit mask; raises `SetupFailed` for an unknown name.

    The mask has no capability that this process lacks. The name ALL means all capabilities.

    - ``privileged``: all capabilities of this process
    - ALL in ``add`` (--cap-add): all capabilities of this process except those in ``drop`` (--cap-drop); ALL in
      ``drop`` is ignored
    - otherwise: Docker's default capabilities except those in ``drop``, plus those in ``add``; a capability in both
      lists is added
    """
    known = syscalls.permitted_capabilities()
    if privileged:
        return known
    added, dropped = normalised(add), normalised(drop)
    added_mask, dropped_mask = _mask(added - {"ALL"}), _mask(dropped - {"ALL"})
    if "ALL" in added:
        return known & ~dropped_mask
    start = 0 if "ALL" in dropped else _mask(DEFAULT_CAPABILITIES) & ~dropped_mask
    return (start | added_mask) & known


def normalised(names: Sequence[str]) -> set[str]:
    """Return capability names in upper case without the prefix "CAP_"; ALL stays ALL."""
    return {name.upper().removeprefix("CAP_") for name in names}


def capability_names(mask: int) -> list[str]:
    """Return the names of the capabilities in a bit mask, such as "CAP_CHOWN"."""
    return [f"CAP_{name}" for number, name in enumerate(CAPABILITIES) if mask >> number & 1]


def _mask(names: set[str] | Sequence[str]) -> int:
    try:
        return sum(1 << CAPABILITIES.index(name) for name in names)
    except ValueError as error:
        raise SetupFailed(OTHER, f"unknown capability: {error}") from error


def assume(identity: Identity, capabilities: int) -> None:
    """Switch this process to the user ``identity``, and limit its capabilities to the bit mask ``capabilities``.

    After this, root has the capabilities of the mask, and another user has none. A program that this process executes
    can gain capabilities of the mask, but no others.
    """
    for number in range(len(CAPABILITIES)):
        if not capabilities >> number & 1:
            syscalls.drop_from_bounding_set(number)
    os.setgroups(identity.groups)
    os.setresgid(identity.gid, identity.gid, identity.gid)
    os.setresuid(identity.uid, identity.uid, identity.uid)
    syscalls.set_capabilities(0 if identity.uid else capabilities)
