"""The punches of devices as the terminals' own logs have them, or as they are stored: newest first, in bounded memory.

A log becomes lines in a file: each is the punch's time, by which lines are sorted and merged, and the punch as JSON.
"""

from __future__ import annotations

import heapq
import tempfile
import threading
import time as clock
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime, time
from itertools import chain, islice
from typing import IO, Any, Final, NamedTuple

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from devices.domain.dialling import Bounds
from devices.domain.lease import Lease
from devices.domain.live import Work
from devices.domain.sync import Reading, read_whole_log
from devices.driver.tables import decode_punches
from devices.models import Device
from iclock.models import Transaction
from iclock.punch import Punch
from zkbio.api.streams import let_connection_go

# A decoded log takes twenty times its bytes, and a stored one a connection and a share of the process: few are made
# into lines at once, however many are read.
_writing = threading.BoundedSemaphore(4)
_BATCH: Final = 2_000
_PAUSE_SECONDS: Final = 0.001
_SPOOL_BYTES: Final = 512 * 1024
_TIME: Final = len("2026-03-02 08:00:00")
_EVERYBODY: Final = None

Shows = Callable[[str], bool]
Grow = Callable[[int], None]
"""Told of so many lines before they are kept; what it raises ends the reading."""


class CrowdedError(Exception):
    """Too many logs were made into lines for as long as one waits."""


class Wanted(NamedTuple):
    """Which punches are asked for. ``shows`` tells of a user id whether the caller may see it; None: any."""

    user_id: str | None = None
    day: date | None = None
    shows: Shows | None = _EVERYBODY


class Log(NamedTuple):
    """Punches as lines in a file, newest first."""

    total: int
    lines: IO[bytes]


def read_log(wanted: Wanted, *, grow: Grow) -> Work[Log]:
    """The work of reading a terminal's log and storing it; the answer is what the terminal holds now.

    It raises CrowdedError, too; the log is stored then.
    """

    def work(lease: Lease, bounds: Bounds) -> Log:
        reading = read_whole_log(lease, bounds=bounds)
        connection.close()  # none is kept for the decoding, which has its own turns
        if reading.visit is None:
            raise reading.error or RuntimeError("a visit without news and without an error")
        with _a_turn(bounds.until):
            return _log_of(reading, wanted, grow)

    return work


def read_stored(devices: Sequence[Device], wanted: Wanted, *, user: Any, grow: Grow) -> Log:
    """What is stored of these devices' terminals, as far as ``user`` may see it. Raises CrowdedError."""
    let_connection_go()  # whoever waits for a turn keeps none
    with _a_turn(clock.monotonic() + settings.LIVE_WAIT_SECONDS):
        return _stored_log(devices, wanted, user, grow)


@contextmanager
def _a_turn(until: float) -> Iterator[None]:
    left = min(until - clock.monotonic(), settings.LIVE_SECONDS)
    if not _writing.acquire(timeout=max(0.0, left)):
        raise CrowdedError
    try:
        yield
    finally:
        _writing.release()


def _stored_log(devices: Sequence[Device], wanted: Wanted, user: Any, grow: Grow) -> Log:
    punches = Transaction.objects.live().visible_to(user)
    if wanted.user_id is not None:
        punches = punches.filter(emp_code=wanted.user_id)
    if wanted.day is not None:
        whole_day = (datetime.combine(wanted.day, time.min), datetime.combine(wanted.day, time.max))
        punches = punches.filter(punch_time__range=whole_day)
    writers = {device.terminal.sn: _Writer(device) for device in devices if device.terminal is not None}
    columns = ("terminal_sn", "emp_code", "punch_time", "verify_type", "punch_state")
    rows = punches.filter(terminal_sn__in=list(writers)).order_by("-punch_time", "-id").values_list(*columns)
    # The transaction's cursor is read as it goes on, instead of being stored first, and ends before it.
    with transaction.atomic(), closing(_rows(rows)) as found:
        return _spooled((writers[sn].line(*rest) for sn, *rest in found), grow)


def _rows(query: QuerySet[Any, Any]) -> Generator[Any]:
    yield from query.iterator(chunk_size=_BATCH)


def merged(logs: Sequence[Log]) -> Iterator[bytes]:
    """The punches of all logs as JSON, newest first, in batches with commas between them. Closes the logs."""
    try:
        lines = heapq.merge(*(log.lines for log in logs), reverse=True)
        while batch := [line[_TIME:-1] for line in islice(lines, _BATCH)]:
            yield b",".join(batch)
            clock.sleep(_PAUSE_SECONDS)
    finally:
        for log in logs:
            log.lines.close()


def _log_of(reading: Reading, wanted: Wanted, grow: Grow) -> Log:
    """Of the rows that were known before, decoded for the answer alone, and of those that were decoded to be stored."""
    punches = chain(_known_punches(reading), reading.punches)
    lines = _lines(_Writer(reading.run.device), punches, wanted)
    lines.sort(reverse=True)
    return _spooled(lines, grow)


def _known_punches(reading: Reading) -> list[Punch]:
    if reading.visit is None or reading.visit.rows is None:
        return []
    return decode_punches(reading.visit.rows.head(reading.run.known), user_ids=reading.visit.user_ids).punches


def _lines(writer: _Writer, punches: Iterable[Punch], wanted: Wanted) -> list[str]:
    user_id, day, shows = wanted
    return [
        writer.line(code, moment, verify, state)
        for code, moment, state, verify, *_ in punches
        if (user_id is None or code == user_id)
        and (day is None or moment.date() == day)
        and (shows is None or shows(code))
    ]


class _Writer:
    """Writes the lines of one device."""

    def __init__(self, device: Device) -> None:
        named = orjson.dumps({"device_id": device.key, "device_name": device.name}).decode()
        self._end = f"{named[1:]}\n"
        self._words = _Words()

    def line(self, code: str, moment: datetime, verify: int, state: int) -> str:
        at = moment.isoformat(" ", "seconds")
        return f'{at}{{"user_id":{self._words[code]},"timestamp":"{at}","status":{verify},"punch":{state},{self._end}'


class _Words(dict[str, str]):
    """Texts as JSON, each written once."""

    def __missing__(self, text: str) -> str:
        self[text] = word = orjson.dumps(text).decode()
        return word


def _spooled(lines: Iterable[str], grow: Grow) -> Log:
    spool = tempfile.SpooledTemporaryFile(_SPOOL_BYTES)  # noqa: SIM115 - whoever merges it closes it
    total, rest = 0, iter(lines)
    try:
        while batch := list(islice(rest, _BATCH)):
            grow(len(batch))
            spool.write("".join(batch).encode())
            total += len(batch)
            clock.sleep(_PAUSE_SECONDS)  # under gevent: the others' turn
        spool.seek(0)
    except BaseException:
        spool.close()
        raise
    return Log(total, spool)
