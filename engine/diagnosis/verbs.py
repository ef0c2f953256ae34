"""Implements `engine.api.Diagnostics` by calls to the other modules of this package."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.api import Diagnosis, Json, Strings
from engine.diagnosis import map as network_map
from engine.diagnosis.doctor.examination import diagnose
from engine.diagnosis.verify import verify
from engine.host import Host, raises_engine_errors


@raises_engine_errors
class DiagnosisVerbs:
    """The commands doctor, verify and map on one host.

    ``reading`` prepares the host for an operation that only reads, and returns the `Host`. ``changing`` prepares the
    host for changes, and returns the `Host`.
    """

    def __init__(self, host: Host, reading: Callable[[], Host], changing: Callable[[], Host]) -> None:
        self.host, self._reading, self._changing = host, reading, changing

    def doctor(self, *, fix: bool = False) -> Diagnosis:
        """Check everything on this host; with ``fix``, also repair hawse's own objects."""
        return diagnose(self.host, self._changing, fix=fix)

    def verify(self, reference: str, *, fix: bool = False) -> Strings:
        """Compare the kernel objects of one network with the records; return one line for each difference.

        With ``fix``, the differences are also repaired.
        """
        return verify(self.host, self._changing, reference, fix=fix)

    def map(self, references: Sequence[str]) -> Json:
        """Return a JSON document about the networks, with their containers, addresses, names and ports.

        Without references, the document has the networks that are in use or that the user created.
        """
        return network_map.document(self._reading(), references)
