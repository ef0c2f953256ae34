"""The result of a trace: the hops of the path, and the culprit if there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict


class Hop(Struct, frozen=True):
    """One step of the path: the object ``what`` in the place ``where``. ``ok`` is False if the object is at fault.

    ``detail`` explains the step, or is "". ``seen`` is True if the probe was seen at this step. Otherwise ``ok`` comes
    from records and kernel state.
    """

    what: str
    where: str
    ok: bool = True
    detail: str = ""
    seen: bool = False


class Culprit(Struct, frozen=True):
    """The cause of a failure: the object at fault (``object``), its place (``where``) and the remedy (``fix``).

    ``kind`` is a fixed word for scripts. ``detail`` explains the failure. ``fix`` may be "".
    """

    kind: str
    object: str
    where: str
    detail: str
    fix: str


class Trace(Struct, frozen=True):
    """The result of a trace.

    ``reachable`` is None if it is unknown whether the source reaches the target. With ``reachable`` True, ``culprit``
    is a warning.
    """

    reachable: bool | None
    hops: Sequence[Hop]
    culprit: Culprit | None = None

    def document(self) -> dict[str, Any]:
        """Return the result as a JSON document."""
        return {
            "reachable": self.reachable,
            "hops": [asdict(hop) for hop in self.hops],
            "culprit": asdict(self.culprit) if self.culprit else None,
        }


class CulpritFound(Exception):
    """The exception that ends a trace early, because the culprit is proven.

    ``reachable`` is that of the `Trace`.
    """

    def __init__(self, culprit: Culprit, *, reachable: bool | None = False) -> None:
        super().__init__(culprit.detail)
        self.culprit, self.reachable = culprit, reachable


class Log:
    """The hops of a trace, in the order in which they were found."""

    def __init__(self) -> None:
        self.hops: list[Hop] = []

    def add(self, what: str, where: str, detail: str = "", *, ok: bool = True, seen: bool = False) -> None:
        """Add a hop at the end of the log; the parameters are the fields of `Hop`."""
        self.hops.append(Hop(what, where, ok, detail, seen))

    def ended(self, reachable: bool | None, culprit: Culprit) -> Trace:
        """Add the culprit as the last hop, and return the result of the trace.

        Earlier hops for the culprit's object in the culprit's place are removed, unless the probe was seen at them.
        """
        self.hops = [
            hop
            for hop in self.hops
            if hop.seen or hop.where != culprit.where or not f"{culprit.object} ".startswith(f"{hop.what} ")
        ]
        self.add(culprit.object, culprit.where, culprit.detail, ok=False)
        return Trace(reachable, self.hops, culprit)

    def add_passed(self, where: str, what: str) -> None:
        """Insert a hop for the object ``what`` that the probe passed, next to the other hops of the place ``where``.

        The new hop comes after the first unbroken run of hops of this place, or at the end of the log if no hop is of
        this place.
        """
        places = [number for number, hop in enumerate(self.hops) if hop.where == where]
        end = next((n for n in places if n + 1 not in places), len(self.hops) - 1)
        self.hops.insert(end + 1, Hop(what, where, detail="passed", seen=True))
