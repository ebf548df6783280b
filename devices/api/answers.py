"""Punches on their way to whoever asked: a short answer whole, a long one in pieces, from files until it was taken."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Final, Self

import orjson
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.translation import gettext as _

from devices.domain.attendance import Log, merged
from zkbio.api.places import a_place
from zkbio.api.streams import let_connection_go

# Long answers of one process at a time, each in files until its reader has taken it or is hung up on.
MOST_LONG: Final = 16
# A longer answer is a long one.
_AT_ONCE: Final = 2_000

_places: Final = threading.BoundedSemaphore(MOST_LONG)


class PunchAnswer:
    """An answer that is being gathered and then sent.

    It takes a place as soon as it gets long, and keeps it until it is closed: by the server once it was sent, by an
    error within ``with`` before that.
    """

    def __init__(self) -> None:
        self.logs: list[Log] = []
        self._rows = 0
        self._long = False
        self._counting = threading.Lock()
        self._held = ExitStack()
        # A response that nobody ever closes leaves its place as well.
        self._leave = weakref.finalize(self, self._held.close)
        # In the caller's language, which the threads that gather don't know.
        self._crowd = _("Too many long answers at the moment; please try again a little later.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if kind is not None:
            self.close()

    def grow(self, rows: int) -> None:
        """There will be so many rows more. Raises Unavailable when that makes one long answer too many."""
        with self._counting:
            self._rows += rows
            if self._rows > _AT_ONCE and not self._long:
                self._held.enter_context(a_place(_places, self._crowd))
                self._long = True

    def response(self, *, errors: Mapping[str, str] | None = None) -> HttpResponseBase:
        """All that was gathered; no database connection is kept while a long answer is sent."""
        self._pieces = self._json(errors)
        if not self._long:
            return HttpResponse(b"".join(self._pieces), content_type="application/json")
        let_connection_go()
        return StreamingHttpResponse(self, content_type="application/json")

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        for log in self.logs:
            log.lines.close()
        self._leave()

    def _json(self, errors: Mapping[str, str] | None) -> Iterator[bytes]:
        before = b'{"success":true,"total":%d,"data":[' % sum(log.total for log in self.logs)
        for batch in merged(self.logs):
            yield before + batch
            before = b","
        tail = b"]}" if errors is None else b'],"errors":' + orjson.dumps(errors) + b"}"
        yield tail if before == b"," else before + tail
