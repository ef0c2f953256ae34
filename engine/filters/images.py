"""Choose the images that the command ``images`` lists."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from engine.errors import EngineError, InvalidArgument
from engine.filters.rules import check_keys, matches_labels, truth
from engine.golang import glob
from engine.golang.time import parse_moment
from engine.golang.timestamps import to_seconds
from engine.model import Filters, ImageRecord

_KEYS = frozenset({"dangling", "label", "before", "since", "reference", "until"})


def filter_images(
    images: Iterable[ImageRecord], filters: Filters, created_of: Callable[[str], str]
) -> list[ImageRecord]:
    """Return the images that match the filters.

    For the filters ``before`` and ``since``, ``created_of`` gets an image's name or id. It returns the creation time of
    this image, or raises an error if there is no such image.
    """
    check_keys(filters, _KEYS)
    dangling = truth(filters, "dangling")
    until = _until(filters)
    before = [created_of(reference) for reference in filters.get("before", ())]
    since = [created_of(reference) for reference in filters.get("since", ())]
    chosen = []
    for image in images:
        if dangling not in (None, not image.references) or not matches_labels(filters.get("label", ()), image.labels):
            continue
        if until is not None and to_seconds(image.created) >= until:
            continue
        if all(image.created < moment for moment in before) and all(image.created > moment for moment in since):
            chosen += _by_reference(image, filters)
    return chosen


def _by_reference(image: ImageRecord, filters: Filters) -> list[ImageRecord]:
    """Return [image] if it matches the filter ``reference``, or if this filter is not given, else [].

    With the filter, the returned image has only the names that match. As in Docker, no image matches a filter
    ``reference`` without values.
    """
    if "reference" not in filters:
        return [image]
    patterns = filters["reference"]
    kept = tuple(ref for ref in image.references if any(_matches(ref, pattern) for pattern in patterns))
    return [replace(image, references=kept)] if kept else []


def _matches(reference: str, pattern: str) -> bool:
    """Return whether a pattern matches the reference with its tag, or the reference without its tag."""
    return glob.matches(pattern, reference) or glob.matches(pattern, reference.rpartition(":")[0])


def _until(filters: Filters) -> float | None:
    """Return the earliest of the times given for the filter ``until`` in Unix seconds, or None without this filter.

    Raises EngineError for a value that is no time.
    """
    try:
        return min((parse_moment(value, time.time()) for value in filters.get("until", ())), default=None)
    except InvalidArgument as error:
        raise EngineError(str(error)) from None  # HTTP status 500, as in Docker
