"""``SecurityOpt`` of a container: what its process may gain and which system calls it may use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drivers.golang import parse_bool
from engine.errors import InvalidArgument

IGNORED = ("label", "apparmor")
"""Keys for modules of the kernel that no container of hawse is confined by."""


@dataclass(frozen=True, slots=True)
class Security:
    """The options taken together; ``seccomp`` is "" where nothing was said of it, else a name or a profile as JSON."""

    seccomp: str = ""
    no_new_privileges: bool = False


def parse_security_options(options: Sequence[str]) -> Security:
    """Take the options in turn, of several of a kind the last; raises Docker's refusals."""
    seccomp, no_new_privileges = "", False
    for option in options:
        key, _, value = option.partition("=") if "=" in option else option.partition(":")
        if option == "no-new-privileges":
            no_new_privileges = True
        elif key == "no-new-privileges" and (stated := parse_bool(value)) is not None:
            no_new_privileges = stated
        elif key == "seccomp":
            seccomp = value
        elif key not in IGNORED:
            raise InvalidArgument(f'invalid --security-opt 2: "{option}"')
    return Security(seccomp, no_new_privileges)
