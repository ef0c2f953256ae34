"""Choose the manifest of a platform from a manifest list (an OCI index), as Docker's pull does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from engine.errors import InvalidArgument, NotFound, quoted, shown
from engine.images.document import list_at, object_at, text_at
from engine.render.version import architecture

_SYSTEM = re.compile(r"([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.-]*)\))?")
_COMPONENT = re.compile(r"[A-Za-z0-9_-]+")
_OTHER_NAMES = {
    "x86_64": ("amd64", ""), "x86-64": ("amd64", ""), "aarch64": ("arm64", ""), "armhf": ("arm", ""),
    "armel": ("arm", "v6"), "armv7l": ("arm", "v7"), "armv6l": ("arm", "v6"), "i386": ("386", ""), "i686": ("386", ""),
}  # fmt: skip
_SYSTEMS = {
    "aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux", "nacl", "netbsd",
    "openbsd", "plan9", "solaris", "windows", "zos",
}  # fmt: skip
_ARCHITECTURES = {
    "386", "amd64", "amd64p32", "arm", "armbe", "arm64", "arm64be", "ppc64", "ppc64le", "loong64", "mips", "mipsle",
    "mips64", "mips64le", "mips64p32", "mips64p32le", "ppc", "riscv", "riscv64", "s390", "s390x", "sparc", "sparc64",
    "wasm",
}  # fmt: skip
_VARIANT = re.compile(r"v?([0-9]{1,2})(?:\.([0-9]{1,2}))?")
_DEFAULT_VARIANTS = {"amd64": "v1", "arm": "v7", "arm64": "v8"}
_LOWEST_VARIANTS = {"amd64": 1, "arm": 5}
_WHERE = "struct field Index.manifests"


class Platform(Struct, frozen=True):
    """An operating system, a processor architecture and its variant, in Go's names; ``variant`` may be ""."""

    system: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.system, self.architecture, self.variant)))

    def fits(self, other: Platform) -> bool:
        """Return whether both platforms are the same; a missing variant means the usual variant of the architecture."""
        usual = _DEFAULT_VARIANTS.get(self.architecture, "")
        return (self.system, self.architecture, self.variant or usual) == (
            other.system, other.architecture, other.variant or usual,
        )  # fmt: skip

    def runs(self, other: Platform) -> bool:
        """Return whether programs for the platform ``other`` run on this platform (`runnable`).

        As in Docker, an image that states no variant runs on all variants of its architecture. An image that states no
        architecture runs on no platform.
        """
        if not other.variant and other.architecture == self.architecture:
            return self.system == other.system
        return any(platform.fits(other) for platform in self.runnable())

    def runnable(self) -> Iterator[Platform]:
        """Yield the platforms whose programs run on this platform, in the order in which Docker prefers them.

        The order is that of containerd's platforms.Only: this platform, its lower variants, then 32-bit platforms.
        """
        yield self
        usual = _DEFAULT_VARIANTS.get(self.architecture, "")
        match = _VARIANT.fullmatch(self.variant or usual)
        if match is not None:
            for variant in _lower_variants(self.architecture, int(match[1]), int(match[2] or 0)):
                yield Platform(self.system, self.architecture, variant)
        if self.architecture == "amd64":
            yield Platform(self.system, "386")
        if self.architecture == "arm64":
            yield from Platform(self.system, "arm", "v8").runnable()


def _lower_variants(architecture: str, major: int, minor: int) -> Iterator[str]:
    """Yield the lower variants whose programs run on the variant ``major``.``minor``, the highest variant first."""
    if architecture == "arm64":
        yield from (f"v{major}.{lower}" if lower else f"v{major}" for lower in range(minor - 1, -1, -1))
        if major == 9:  # Armv9.0-A is based on Armv8.5-A
            yield from _lower_variants(architecture, 8, minor + 6)
    elif architecture in _LOWEST_VARIANTS:
        yield from (f"v{lower}" for lower in range(major - 1, _LOWEST_VARIANTS[architecture] - 1, -1))


def this_platform() -> Platform:
    """Return the platform of this host."""
    return _normal("linux", architecture())


def parse_platform(text: str) -> Platform:
    """Parse ``os``, or ``[os/]architecture[/variant]``; return this host's platform for "".

    A missing ``os`` is linux. A missing architecture is that of this host. Raises `InvalidArgument`.
    """
    if not text:
        return this_platform()
    parts = text.lower().split("/", 3)
    if not _SYSTEM.fullmatch(parts[0]):
        raise InvalidArgument(
            f"{quoted(parts[0])} is an invalid OS component of {quoted(text)}: OSAndVersion specifier component must "
            f'match "^([A-Za-z0-9_-]+)(?:\\\\(([A-Za-z0-9_.-]*)\\\\))?$": invalid argument'
        )
    for part in parts[1:]:
        if not _COMPONENT.fullmatch(part):
            raise InvalidArgument(
                f"{quoted(part)} is an invalid component of {quoted(text)}: platform specifier component must match "
                f'"^[A-Za-z0-9_-]+$": invalid argument'
            )
    if len(parts) > 3:
        raise InvalidArgument(f"{quoted(text)}: cannot parse platform specifier: invalid argument")
    if len(parts) > 1:
        return _normal(*parts)
    if parts[0] in _SYSTEMS:
        return Platform(parts[0], architecture())
    alone = _normal("linux", parts[0])
    if alone.architecture not in _ARCHITECTURES:
        raise InvalidArgument(f"{quoted(text)}: unknown operating system or architecture: invalid argument")
    return alone


def platform_of(document: Mapping[str, Any]) -> Platform:
    """Return the platform that a manifest list's entry or an image configuration states."""
    return _normal(*(text_at(document.get(key), _WHERE) for key in ("os", "architecture", "variant")))


def stated_platform(config: Mapping[str, Any]) -> str:
    """Return the platform as an image configuration states it, for a message; "unknown" if it states no system."""
    words = [text_at(config.get(key), _WHERE) for key in ("os", "architecture", "variant")]
    return shown("/".join(filter(None, words))) if words[0] else "unknown"


def mismatch(reference: str, requested: Platform, config: Mapping[str, Any]) -> NotFound:
    """Return Docker's error for an image that is present, but for another platform than ``requested``.

    ``config`` is the image configuration.
    """
    return NotFound(
        f"image with reference {reference} was found but does not match the specified platform: "
        f"wanted {requested}, actual: {stated_platform(config)}"
    )


def choose(manifests: Any, requested: Platform) -> Mapping[str, Any]:
    """Return the entry of a manifest list for the platform ``requested``; raises `NotFound` with Docker's message.

    ``manifests`` is the JSON value of the list's field ``manifests``.
    """
    entries = [object_at(e, _WHERE, "v1.Descriptor") for e in list_at(manifests, _WHERE, "[]v1.Descriptor")]
    platforms = [platform_of(object_at(entry.get("platform"), _WHERE, "v1.Platform")) for entry in entries]
    for runnable in requested.runnable():
        for entry, platform in zip(entries, platforms, strict=True):
            if runnable.fits(platform):
                return entry
    raise NotFound(f"no matching manifest for {requested} in the manifest list entries")


def _normal(system: str, machine: str, variant: str = "") -> Platform:
    system, machine, variant = system.lower(), machine.lower(), variant.lower()
    name, usual = _OTHER_NAMES.get(machine, (machine, ""))
    if name in ("arm", "arm64") and variant.isdecimal():
        variant = f"v{variant}"
    if (name, variant) == ("amd64", "v1"):
        variant = ""
    return Platform(system or "linux", name, variant or usual)
