"""Choose the networks that ``ls`` shows, and the networks and containers that ``prune`` may remove.

The containers of ``ps`` are in `engine.filters.containers`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TypeVar

from engine.errors import EngineError, InvalidArgument
from engine.filters.containers import filter_containers
from engine.filters.rules import check_keys, matches_exactly, matches_labels, matches_pattern, parse_bool
from engine.golang.time import parse_moment
from engine.golang.timestamps import to_seconds
from engine.model import ContainerRecord, Filters, NetworkRecord, NetworkSummary

__all__ = [
    "check_container_prune",
    "check_network_prune",
    "container_prunable",
    "filter_containers",
    "filter_networks",
    "filter_summaries",
    "network_prunable",
]

NETWORK_KEYS = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})
PRUNE_KEYS = frozenset({"label", "label!", "until"})
Listed = TypeVar("Listed", NetworkRecord, NetworkSummary)


def filter_networks(networks: Iterable[NetworkRecord], wanted: Filters) -> list[NetworkRecord]:
    """Return the networks that match.

    Raises `InvalidArgument` for unknown keys, and EngineError for unknown values of ``type``.
    """
    labels = wanted.get("label", ())
    return [n for n in filter_summaries(networks, wanted) if matches_labels(labels, n.labels or {})]


def filter_summaries(networks: Iterable[Listed], wanted: Filters) -> list[Listed]:
    """Return the networks that match all filters except labels; same errors as `filter_networks`."""
    if not wanted:
        return list(networks)
    check_keys(wanted, NETWORK_KEYS)
    for value in wanted.get("type", ()):
        if value not in ("builtin", "custom"):
            raise EngineError(f"invalid filter: 'type'='{value}'")
    dangling = parse_bool(wanted, "dangling")
    return [n for n in networks if _matches(n, wanted) and dangling in (None, not n.predefined)]


def check_network_prune(wanted: Filters) -> None:
    """Raise InvalidArgument for filters that prune does not know, several ``until``, or an invalid one."""
    check_keys(wanted, PRUNE_KEYS)
    _until(wanted)


def network_prunable(network: NetworkRecord, wanted: Filters) -> bool:
    """Return whether prune's filters allow the removal of an unused network."""
    return _prunable(network.labels or {}, network.created, wanted)


def check_container_prune(wanted: Filters) -> None:
    """Raise InvalidArgument for filters that prune does not know, several ``until``, or an invalid one."""
    check_network_prune(wanted)


def container_prunable(record: ContainerRecord, wanted: Filters) -> bool:
    """Return whether prune's filters allow the removal of a stopped container."""
    return _prunable(record.config.labels, record.created, wanted)


def _matches(network: Listed, wanted: Filters) -> bool:
    return (
        matches_exactly(wanted, "driver", network.driver)
        and matches_pattern(wanted, "name", network.name)
        and matches_pattern(wanted, "id", network.id)
        and matches_exactly(wanted, "scope", network.scope)
        and matches_exactly(wanted, "type", "builtin" if network.predefined else "custom")
    )


def _prunable(labels: Mapping[str, str], created: str, wanted: Filters) -> bool:
    until = _until(wanted)
    if until is not None and to_seconds(created) > until:
        return False
    unwanted = wanted.get("label!", ())
    return matches_labels(wanted.get("label", ()), labels) and not (unwanted and matches_labels(unwanted, labels))


def _until(wanted: Filters) -> float | None:
    values = wanted.get("until", ())
    if len(values) > 1:
        raise InvalidArgument("more than one until filter specified")
    return parse_moment(values[0], time.time()) if values else None
