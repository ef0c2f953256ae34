"""Read the events of the store: past events, and new events when `EventWatch` reports them."""

from __future__ import annotations

import errno
import os
import select
import threading
import time
from collections.abc import Iterator
from typing import Any

from engine.errors import InvalidArgument
from engine.events.filter import matches
from engine.events.watch import EventWatch
from engine.model import Event, EventOptions
from engine.store.api import EVENTS_READ, Store

SECOND = 1_000_000_000  # nanoseconds
FOREVER = float("inf")
LONG_SECONDS = 3600.0  # maximum of one wait, because poll(2) accepts at most 24 days


class EventStream:
    """Iterates over the events that match the options, in their order, each once.

    - With neither ``since`` nor ``until``, the first event is the next one after the creation of the stream.
    - With ``since``, the past events since then come first.
    - With only ``until``, all past events come first.

    The iteration ends at ``until``, or earlier when `stop` is called or the store's directory is deleted. ``client`` is
    the file descriptor of the connection to a client, or -1. The iteration also ends when the client closes this
    connection, or only its sending direction. ``output`` is the file descriptor to which the caller writes the events,
    or -1. The iteration raises BrokenPipeError when no process reads ``output`` any more. Other threads may call
    `stop`. Only one thread may iterate, and then call `close`.

    The constructor raises InvalidArgument if ``until`` is before ``since``, and OSError if no file descriptor is left.
    The constructor and the iteration raise EngineError if the store cannot be read.
    """

    def __init__(
        self, store: Store, watch: EventWatch, options: EventOptions, client: int = -1, output: int = -1
    ) -> None:
        _check(options)
        self._client, self._output = client, output
        self._store, self._watch, self._options = store, watch, options
        self._after, self._closing, self._stopping, self._closed = 0, threading.Lock(), False, False
        with store.read() as reader:  # creates the store and its directory if they are missing
            newest = reader.last_event()
        if options.since is None and options.until is None:
            self._after = newest
        self._wakeup = watch.join()

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Event]:
        while True:
            over = self._is_over()  # checked before the read, so that the last read has all events until the end
            yield from self._look()
            if over:
                return
            self._wait()

    def stop(self) -> None:
        """End the iteration soon, even if it waits for an event; idempotent, and callable from any thread."""
        with self._closing:
            self._stopping = True
            if not self._closed:
                self._wakeup.send()

    def close(self) -> None:
        """Stop watching the store for new events; idempotent."""
        with self._closing:
            if not self._closed:
                self._watch.leave(self._wakeup)
            self._closed = True

    def _look(self) -> Iterator[Event]:
        """Yield the matching events that no earlier call has yielded, oldest first; does not wait."""
        since, until, filters = self._options.since or 0, self._options.until, self._options.filters
        full = True
        while full:
            with self._store.read() as reader:
                newest = reader.last_event()
                if newest < self._after:
                    self._after = 0  # a repair has replaced the store, and the new store has no events
                events = reader.events(after=self._after, since=since)
            full = len(events) == EVENTS_READ
            self._after = events[-1].number if full else newest
            for event in events:
                if (not until or event.time <= until) and matches(event, filters):  # as in Docker, 0 is no limit
                    yield event

    def _wait(self) -> None:
        """Wait until new events are possible, `stop` is called, ``until`` is reached, or the client disconnects.

        Raises BrokenPipeError if no process reads the output any more. Also returns after `LONG_SECONDS` if the options
        have a time ``until``. The caller checks these conditions itself.
        """
        poll = select.poll()
        poll.register(self._wakeup, select.POLLIN)
        if self._client >= 0:
            poll.register(self._client, select.POLLRDHUP)
        if self._output >= 0:
            # The mask 0 reports only POLLERR and POLLHUP. If the output is a socket, its reader may have shut down the
            # other direction, which is no end of the output.
            poll.register(self._output, 0)
        left = self._left()
        ready = dict(poll.poll(None if left == FOREVER else max(0.0, min(left, LONG_SECONDS)) * 1000 + 1))
        if self._output in ready:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        if self._client in ready:
            self._stopping = True
        elif self._wakeup.fileno() in ready:
            self._wakeup.clear()

    def _is_over(self) -> bool:
        return self._stopping or self._left() <= 0 or not self._watch.directory.exists()

    def _left(self) -> float:
        """Return the seconds until the time of the option ``until``, or `FOREVER` if the option is not given.

        The result is negative after this time.
        """
        until = self._options.until
        return FOREVER if until is None else (until - time.time_ns()) / SECOND


def _check(options: EventOptions) -> None:
    if options.since is not None and options.until is not None and options.until < options.since:
        since, until = map(_seconds, (options.since, options.until))
        raise InvalidArgument(f"`since` time ({since}) cannot be after `until` time ({until})")


def _seconds(moment: int) -> str:
    """Convert nanoseconds since 1970 to seconds, as Docker's client sends a time: "5", or "5.000000001"."""
    whole, rest = divmod(moment, SECOND)
    return f"{whole}.{rest:09}" if rest else str(whole)


def event_document(event: Event) -> dict[str, Any]:
    """Return an event as a JSON object with the field names of Docker.

    As in Docker 26.1, the old fields ``status``, ``id`` and ``from`` are only in events of containers and images.
    """
    document: dict[str, Any] = {}
    if event.type in ("container", "image"):
        document |= {"status": event.action, "id": event.actor}
    if event.type == "container" and event.attributes.get("image"):
        document["from"] = event.attributes["image"]
    return document | {
        "Type": event.type,
        "Action": event.action,
        "Actor": {"ID": event.actor, "Attributes": dict(sorted(event.attributes.items()))},
        "scope": event.scope,
        "time": event.time // SECOND,
        "timeNano": event.time,
    }
