"""Choose the networks, containers and images that ``prune`` may remove."""

from __future__ import annotations

import time
from collections.abc import Mapping

from engine.errors import EngineError, InvalidArgument
from engine.filters.rules import check_keys, matches_labels, truth
from engine.golang.time import parse_moment
from engine.golang.timestamps import to_seconds
from engine.model import ContainerRecord, Filters, ImageRecord, NetworkRecord

PRUNE_KEYS = frozenset({"label", "label!", "until"})


def check_prune(filters: Filters) -> None:
    """Check the filters of ``network prune`` or ``container prune``.

    Raises InvalidArgument for an unknown filter key, for several ``until`` values, or for an invalid ``until`` value.
    """
    check_keys(filters, PRUNE_KEYS)
    _until(filters)


def network_prunable(network: NetworkRecord, filters: Filters) -> bool:
    """Return whether the filters of ``network prune`` allow the removal of an unused network.

    The caller has checked the filters with `check_prune`.
    """
    return _prunable(network.labels or {}, network.created, filters)


def container_prunable(record: ContainerRecord, filters: Filters) -> bool:
    """Return whether the filters of ``container prune`` allow the removal of a stopped container.

    The caller has checked the filters with `check_prune`.
    """
    return _prunable(record.config.labels, record.created, filters)


def check_image_prune(filters: Filters) -> None:
    """Check the filters of ``image prune``; raises InvalidArgument, or EngineError for a wrong ``until`` value."""
    check_keys(filters, PRUNE_KEYS | {"dangling"})
    truth(filters, "dangling")
    try:
        _until(filters)
    except InvalidArgument as error:
        raise EngineError(str(error)) from None  # HTTP status 500, as in Docker


def image_prunable(image: ImageRecord, filters: Filters) -> bool:
    """Return whether the filters of ``image prune`` allow the removal of an unused image.

    The caller has checked the filters with `check_image_prune`. An image with a tag is removed only with the filter
    ``dangling=false``.
    """
    tagged_too = truth(filters, "dangling") is False
    return (tagged_too or not image.references) and _prunable(image.labels, image.created, filters)


def _prunable(labels: Mapping[str, str], created: str, filters: Filters) -> bool:
    until = _until(filters)
    if until is not None and to_seconds(created) > until:
        return False
    unwanted = filters.get("label!", ())
    return matches_labels(filters.get("label", ()), labels) and not (unwanted and matches_labels(unwanted, labels))


def _until(filters: Filters) -> float | None:
    """Return the time of the filter ``until`` in Unix seconds, or None if this filter is not given.

    Raises InvalidArgument if the filter has no value, several values or an invalid value. For a filter without a value,
    Docker closes the connection. hawse does not ignore such a filter, because ``prune`` would then remove too much.
    """
    if "until" not in filters:
        return None
    values = filters["until"]
    if len(values) > 1:
        raise InvalidArgument("more than one until filter specified")
    if not values:
        raise InvalidArgument("invalid filter 'until'")
    return parse_moment(values[0], time.time())
