"""What a terminal tells of itself at each contact: how full it is, and how far its clock is off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from datetime import datetime
from typing import Final, NamedTuple

from django.conf import settings
from django.db import connection
from django.utils import timezone

from iclock.domain import presence
from iclock.domain.alarms import Kind, end_alarm, raise_alarm, replace_stores
from iclock.models import Terminal
from iclock.punch import Source

# The columns of a count and of what there is room for, and what is counted.
STORES: Final = (
    ("user_count", "user_capacity", "people"),
    ("fp_count", "fp_capacity", "fingerprints"),
    ("face_count", "face_capacity", "faces"),
    ("transaction_count", "transaction_capacity", "punches"),
)
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))

# Ordinary contacts take this one statement. The clock's last reading stays where it couldn't be read.
_HEARD: Final = """
UPDATE iclock_terminalpresence SET last_activity = now(), {moment} = now(),
    clock_drift = coalesce(%(drift)s, clock_drift),
    clock_read_at = CASE WHEN %(drift)s IS NULL THEN clock_read_at ELSE %(heard_at)s END
WHERE terminal_id = %(terminal)s AND online
RETURNING ARRAY(SELECT kind::text FROM iclock_alarm WHERE terminal_id = %(terminal)s AND closed_at IS NULL),
    (SELECT stores FROM iclock_alarm
        WHERE terminal_id = %(terminal)s AND kind = 'nearly_full' AND closed_at IS NULL)"""
# What the column of the drift can say.
_MOST_DRIFT: Final = 2**31 - 1
# A clock around the limit isn't an alarm at each second visit: it is right again below this part of the limit.
_RIGHT_AGAIN: Final = 0.9


class Report(NamedTuple):
    """What a terminal told. None, and a capacity of 0, is what it didn't tell: then what was known before stays.

    ``drift`` is how many seconds its clock was ahead at ``heard_at``.
    """

    user_count: int | None
    fp_count: int | None
    face_count: int | None
    transaction_count: int | None
    user_capacity: int | None
    fp_capacity: int | None
    face_capacity: int | None
    transaction_capacity: int | None
    drift: int | None
    heard_at: datetime


class Open(NamedTuple):
    """The kinds of a terminal's open alarms, and the stores that it is known to be nearly full of."""

    kinds: Set[str] = frozenset()
    stores: Sequence[str] = ()


class Filled(NamedTuple):
    """How full one of a terminal's stores is."""

    what: str
    held: int
    capacity: int

    @property
    def percent(self) -> int:
        return self.held * 100 // self.capacity

    def __str__(self) -> str:
        return f"{grouped(self.held)} of {grouped(self.capacity)} {self.what}, {self.percent} %"


def note_contact(terminal: Terminal, report: Report, *, source: Source = Source.PULL) -> None:
    """The terminal was heard of: it is online, and this is how it is. Writes what changed, and tells of it once."""
    _bring_up_to_date(terminal, report)
    alarms = _write_presence(terminal, report, source)
    _judge_room(terminal, alarms)
    if report.drift is not None:
        _judge_clock(terminal, report.drift, report.heard_at, alarms.kinds)


def stores_of(terminal: Terminal) -> Iterator[Filled]:
    """Those whose capacity the terminal told."""
    for count, capacity, what in STORES:
        room = getattr(terminal, capacity)
        if room:
            yield Filled(what, getattr(terminal, count), room)


def drift_in_words(drift: int) -> str:
    """125 -> "2 min 5 s ahead"."""
    return f"{seconds_in_words(abs(drift))} {'ahead' if drift > 0 else 'behind'}" if drift else "exact"


def seconds_in_words(seconds: int) -> str:
    """The two largest units: 3725 -> "1 h 2 min"."""
    parts: list[str] = []
    left = seconds
    for size, unit in _UNITS:
        number, left = divmod(left, size)
        if number or (size == 1 and not parts):
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2])


def grouped(number: int) -> str:
    """With a narrow space between thousands, which no reader takes for a decimal point."""
    return f"{number:,}".replace(",", "\u202f")


def _bring_up_to_date(terminal: Terminal, report: Report) -> None:
    least = {count: 0 for count, _, _ in STORES} | {capacity: 1 for _, capacity, _ in STORES}
    told = {name: getattr(report, name) for name in least}
    # Units say anything, -1 included.
    known = {name: value for name, value in told.items() if value is not None and value >= least[name]}
    news = {name: value for name, value in known.items() if value != getattr(terminal, name)}
    if news:
        Terminal.objects.filter(pk=terminal.pk).update(**news)
        for name, value in news.items():
            setattr(terminal, name, value)


def _write_presence(terminal: Terminal, report: Report, source: Source) -> Open:
    known = _heard(terminal, report, source)
    if known is None:
        presence.mark_online(terminal, source=source)
        known = _heard(terminal, report, source)
    return known or Open()


def _heard(terminal: Terminal, report: Report, source: Source) -> Open | None:
    """None when the terminal wasn't online."""
    sql = _HEARD.format(moment="push_time" if source is Source.PUSH else "pull_time")
    # A clock that shows the year 2199 is further ahead than the column can say.
    drift = None if report.drift is None else max(-_MOST_DRIFT, min(report.drift, _MOST_DRIFT))
    with connection.cursor() as cursor:
        cursor.execute(sql, {"terminal": terminal.pk, "drift": drift, "heard_at": report.heard_at})
        row = cursor.fetchone()
    return None if row is None else Open(frozenset(row[0]), row[1] or ())


def _judge_room(terminal: Terminal, alarms: Open) -> None:
    """One alarm names all that is nearly full. What joins it is news, what leaves it isn't while anything stays."""
    stores = [*stores_of(terminal)]
    full = [store for store in stores if store.percent >= settings.CAPACITY_ALARM_PERCENT]
    names, sentence = [store.what for store in full], f"{'; '.join(map(str, full))}. {_remedy(full)}"
    if full and Kind.NEARLY_FULL not in alarms.kinds:
        raise_alarm(terminal, Kind.NEARLY_FULL, sentence, stores=names)
    elif full and names != [*alarms.stores]:
        more = [name for name in names if name not in alarms.stores]
        ending = f"There is little room for {' and '.join(more)} now, too: the next alarm names all." if more else ""
        replace_stores(terminal, sentence, seen=alarms.stores, stores=names, ending=ending)
    elif stores and not full and Kind.NEARLY_FULL in alarms.kinds:
        end_alarm(terminal, Kind.NEARLY_FULL, f"There is room again: {'; '.join(map(str, stores))}.")


def _remedy(full: list[Filled]) -> str:
    kinds = {store.what for store in full}
    log = "Clear its log, or it overwrites its oldest punches." if "punches" in kinds else ""
    people = "Remove who doesn't belong on it, or nobody more can be entered." if kinds - {"punches"} else ""
    return f"{log} {people}".strip()


def _judge_clock(terminal: Terminal, drift: int, heard_at: datetime, alarms: Set[str]) -> None:
    wrong = abs(drift) > settings.CLOCK_ALARM_SECONDS
    if wrong and Kind.CLOCK not in alarms:
        read = f"{timezone.localtime(heard_at):%Y-%m-%d %H:%M}"
        sentence = f"Its clock was {drift_in_words(drift)} when it was read at {read}. {_clock_remedy(terminal)}"
        raise_alarm(terminal, Kind.CLOCK, sentence)
    elif abs(drift) < _RIGHT_AGAIN * settings.CLOCK_ALARM_SECONDS and Kind.CLOCK in alarms:
        end_alarm(terminal, Kind.CLOCK, f"Its clock is right again ({drift_in_words(drift)}).")


def _clock_remedy(terminal: Terminal) -> str:
    if terminal.corrects_clock:
        return "It is set at each visit: look at its battery, and at its time zone here."
    return "Set it, or let it be set at each visit; look at its time zone here too."
