"""What drivers did to the host that only its firewall remembers, noted so that it survives the loss of the firewall.

A driver's keepsakes are words of its own (`drivers.api.Repairer`); nothing here understands them. A boot and the end of
the last network make them void.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from drivers.api import Driver, Repairer
from engine.store.api import Reader, Transaction

KEY = "keepsakes"


def save(tx: Transaction, driver: Driver) -> None:
    """Note what the driver has to tell after an action in this process; normally nothing."""
    told = driver.saved_state() if isinstance(driver, Repairer) else ()
    if told:
        known = _noted(tx)
        merged = dict.fromkeys([*known.get(driver.type, ()), *told])
        tx.set_meta(KEY, json.dumps({**known, driver.type: list(merged)}))


def load(reader: Reader, driver: str) -> Sequence[str]:
    """What has been noted of a driver."""
    return _noted(reader).get(driver, ())


def clear(tx: Transaction) -> None:
    """Forget all of it."""
    if _noted(tx):
        tx.set_meta(KEY, "{}")


def _noted(reader: Reader) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(reader.meta(KEY) or "{}")
    return found
