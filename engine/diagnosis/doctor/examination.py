"""Runs all checks of a host. With ``--fix``, repairs the faults and runs all checks again.

Every command that changes something first makes some repairs. ``doctor --fix`` makes these repairs only after the first
run of the checks, so that this run finds the faults. If the second run does not find a fault of hawse's own objects
again, the fault counts as repaired.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from drivers.errors import DriverError
from engine.agent.client import announce
from engine.agent.service import Snapshot
from engine.api import OK, Check, Diagnosis
from engine.diagnosis.doctor import host as host_checks
from engine.diagnosis.doctor import links, mtu, names, paths, processes, store
from engine.diagnosis.doctor.checks import REPAIR, Examined, fault
from engine.endpoints.boots import read_records
from engine.errors import EngineError, in_words
from engine.host import Host, require_net_admin
from engine.runtime.api import RuntimeFailure
from engine.store.store_file import NAME

Area = tuple[str, Callable[[Examined], Iterable[Check]]]
FAILURES = (EngineError, DriverError, RuntimeFailure, OSError)
COMPARISONS, PAUSE_SECONDS = 5, 0.2
"""Maximum number of comparisons if commands change the records during each of them.

The pause before the next comparison grows by `PAUSE_SECONDS` each time.
"""
REPAIRING = (REPAIR, "hawse system boot")
"""How the remedy (`Check.fix`) begins in findings that ``--fix`` repairs. Other findings may end by themselves."""
SETTLE_SECONDS, SETTLE_INTERVAL_SECONDS = 3.0, 0.1
STARTED = ("agent", "supervisor", "guard", "names", "etcd", "manager's server", "cluster store", "lease")
"""The objects that answer only some time after their start. While one of them has a fault, `_settled` repeats the
examination.
"""


def diagnose(host: Host, prepare: Callable[[], object], *, fix: bool) -> Diagnosis:
    """Check everything on this host; with ``fix``, also repair hawse's own objects, and check again.

    ``prepare`` makes the host ready for changes, as every changing command does. Raises PermissionDenied without
    CAP_NET_ADMIN.
    """
    require_net_admin("look at networks")
    before = examine(host)
    if not fix or all(check.status == OK for check in before):
        return Diagnosis(before)
    done, problems = _repair(host, prepare)
    after = _settled(host)
    return Diagnosis([*after, *problems], [*done, *repaired(before, after)])


def repaired(before: Iterable[Check], after: Iterable[Check]) -> list[str]:
    """Return a line of text for each repaired fault: a finding in ``before`` that is not in ``after``.

    Only findings about hawse's own objects count.
    """
    left = {(check.object, check.what) for check in after}
    gone = [c for c in before if c.status != OK and c.fix.startswith(REPAIRING) and (c.object, c.what) not in left]
    return [f"{check.object}: {check.what}" for check in gone]


def _settled(host: Host) -> list[Check]:
    """Examine the host repeatedly until the processes that the repair has started are ready; return the last results.

    Ends after about `SETTLE_SECONDS`, even if they are not ready.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        after = examine(host)
        if time.monotonic() > deadline or not any(c.status != OK and c.object in STARTED for c in after):
            return after
        time.sleep(SETTLE_INTERVAL_SECONDS)


def examine(host: Host) -> list[Check]:
    """Return the results of all checks; changes nothing.

    If a check raises an error, its results end with a fault that names the error. If the store is missing, or has a
    fault or warning, only the store and the host are checked. If the records cannot be read, only the results about the
    store are returned.
    """
    of_store = list(_each([("store", lambda _: store.check(host))], Examined(host, Snapshot())))
    if any(check.object == "store" and check.status != OK for check in of_store) or not (host.root / NAME).exists():
        return [*of_store, *_each([("host", host_checks.check)], Examined(host, Snapshot()))]
    try:
        examined, compared = _compared(host)
    except FAILURES as error:
        return [*of_store, fault("store", f"cannot be read: {in_words(error)}", fix="")]
    return [*compared, *_each(_areas(host), examined), *of_store]


def _compared(host: Host) -> tuple[Examined, list[Check]]:
    """Compare the kernel with the records; return the compared records and the results.

    If there are findings and a command has changed the records meanwhile, compares again. Makes at most `COMPARISONS`
    comparisons.
    """
    for attempt in range(COMPARISONS):
        stamp = host.store.stamp()
        with host.store.read() as reader:
            examined = Examined(host, read_records(reader), partial(processes.agent_state, host))
            compared: list[Area] = [
                ("networks", partial(links.check, reader=reader)),
                ("intents", lambda _: links.unfinished(reader)),  # `_each` calls the lambda while ``reader`` is open
                ("paths", paths.check),
                ("names", names.check),
            ]
            results = list(_each(compared, examined))
        if host.store.stamp() == stamp or all(check.status == OK for check in results):
            break
        time.sleep(PAUSE_SECONDS * attempt)
    return examined, results


def _areas(host: Host) -> list[Area]:
    """Return the checks that `examine` makes after the comparison with the records."""
    checked: list[Area] = [
        ("mtu", mtu.check),
        ("host", host_checks.check),
        ("processes", processes.check),
    ]
    if host.is_clustered:
        from engine.diagnosis.doctor import cluster

        checked.append(("cluster", cluster.check))
    return checked


def _each(checked: Iterable[Area], examined: Examined) -> Iterator[Check]:
    for name, check in checked:
        try:
            yield from check(examined)
        except FAILURES as error:
            yield fault(name, f"cannot be checked: {in_words(error)}", fix="")


def _repair(host: Host, prepare: Callable[[], object]) -> tuple[list[str], list[Check]]:
    """Repair hawse's own objects; if a step of the repair fails, continue with the next step.

    ``prepare`` makes the host ready for changes. The first value has a line for each change that the repair of the
    store made. The second value has a fault for each step or object that could not be repaired.
    """
    done, problems = list[str](), list[Check]()
    steps: list[tuple[str, Callable[[], object]]] = [
        ("store", lambda: done.extend(store.repair(host))),
        ("commands that were killed", prepare),
        ("processes", lambda: processes.repair(_examined(host))),
        ("networks", lambda: problems.extend(links.repair(_examined(host)))),
        ("agent", lambda: announce(host)),
    ]
    if host.is_clustered:
        from engine.diagnosis.doctor import cluster

        steps.insert(3, ("cluster", lambda: cluster.repair(_examined(host))))
    for name, step in steps:
        try:
            step()
        except FAILURES as error:
            problems.append(fault(name, f"cannot be repaired: {in_words(error)}", fix=""))
    return done, problems


def _examined(host: Host) -> Examined:
    with host.store.read() as reader:
        return Examined(host, read_records(reader), partial(processes.agent_state, host))
