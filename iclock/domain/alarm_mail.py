"""One mail for all that is new of alarms: a network that fails must not send five hundred."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from django.conf import settings
from django.core.cache import cache
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from iclock.domain.alarms import EVENTS, Kind
from iclock.domain.health import grouped, seconds_in_words
from iclock.models import Alarm
from zkbio.clock import zone
from zkbio.mail import one_line, send_mail

MOST_LINES: Final = 200
# What could not be mailed for so long isn't news any more.
_NEWS: Final = timedelta(days=1)
_MOST: Final = 10_000
# The advisory lock of whoever mails. Any constant does; this one spells "alarm".
_TURN: Final = int.from_bytes(b"alarm")
# In the cache, which is this process's own: how long the pause was after the last failure, and that it lasts.
_TROUBLE: Final = "iclock.alarm_mail.trouble"
PAUSE: Final = "iclock.alarm_mail.pause"
_SHORTEST_PAUSE: Final = 50
_LONGEST_PAUSE: Final = 3_600
_WORST_FIRST: Final = (
    Kind.LOG_OVERRUN,
    Kind.LOG_CLEARED,
    Kind.LOCKED,
    Kind.WRONG_UNIT,
    Kind.TWIN,
    Kind.TWO_PLACES,
    Kind.AWAY,
    Kind.FUTURE,
    Kind.CLOCK,
    Kind.NEARLY_FULL,
    Kind.STRANGERS,
)

_log = logging.getLogger(__name__)


class News(NamedTuple):
    """What is to be told of one alarm: that it ``began``, that it is over (then ``closed_at`` says when), or both."""

    kind: Kind
    alias: str
    sn: str
    area: str
    began: bool
    sentence: str
    opened_at: datetime
    ending: str = ""
    closed_at: datetime | None = None


class Mail(NamedTuple):
    subject: str
    body: str


def mail_alarms() -> int:
    """Mail what wasn't yet, to ALARM_MAIL_TO; of how many alarms. What can't be mailed now is so later.

    While it fails it is tried less and less often: a server locks out who comes with a wrong password every minute.
    """
    if not settings.ALARM_MAIL_TO or cache.get(PAUSE):
        return 0
    try:
        told = _mail_news()
    except OSError as error:
        _pause(one_line(str(error)))
        return 0
    if told and cache.delete(_TROUBLE):
        _log.info("Alarms are mailed again.")
    return told


def next_pause(last: int | None) -> int:
    """Seconds until the next try, by those of the pause before."""
    return min(2 * last, _LONGEST_PAUSE) if last else _SHORTEST_PAUSE


def _pause(why: str) -> None:
    """Says so once, until it works again."""
    last = cache.get(_TROUBLE)
    pause = next_pause(last)
    cache.set(_TROUBLE, pause, timeout=None)
    cache.set(PAUSE, True, timeout=pause)
    if last is None:
        _log.error("Alarms can't be mailed, and are tried again for a day, less and less often: %s", why)


def compose(news: Sequence[News]) -> Mail:
    """The worst in the subject, then a line for each alarm, at most ``MOST_LINES`` of them."""
    ordered = sorted(news, key=lambda each: (each.closed_at is not None, _WORST_FIRST.index(each.kind), each.opened_at))
    worst, more = ordered[0], len(ordered) - 1
    subject = f"{'Over: ' if worst.closed_at else ''}{worst.kind.label}: {worst.alias}"
    lines = [_line(each) for each in ordered[:MOST_LINES]]
    if left := len(ordered) - len(lines):
        lines.append(f"And {grouped(left)} more, which are in the list of alarms of the administration.")
    return Mail(f"{subject} and {grouped(more)} more" if more else subject, "\n".join(lines) + "\n")


def _mail_news() -> int:
    """What the server took counts as mailed: a mail is repeated only if the database fails at that very moment.

    No alarm is locked meanwhile. A mail server may be slow, and whoever visits a terminal must not wait for it.
    """
    with transaction.atomic():
        alarms = _unmailed() if _has_turn() else []
        if not alarms:
            return 0
        subject, body = compose([_news_of(alarm) for alarm in alarms])
        send_mail(subject=subject, body=body, to=settings.ALARM_MAIL_TO)
        Alarm.objects.filter(pk__in=[alarm.pk for alarm in alarms], opening_mailed_at=None).update(
            opening_mailed_at=Now()
        )
        Alarm.objects.filter(pk__in=[alarm.pk for alarm in alarms if alarm.closed_at]).update(closing_mailed_at=Now())
        return len(alarms)


def _has_turn() -> bool:
    """Until the transaction ends. Who hasn't got it needs none: somebody else is mailing the same."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_TURN])
        got: bool = cursor.fetchone()[0]
        return got


def _unmailed() -> list[Alarm]:
    since = Now() - _NEWS
    begun = Q(opening_mailed_at=None, opened_at__gt=since)
    over = Q(closing_mailed_at=None, closed_at__gt=since)
    return [*Alarm.objects.filter(begun | over).select_related("terminal__area").order_by("pk")[:_MOST]]


def _news_of(alarm: Alarm) -> News:
    kind, terminal = Kind(alarm.kind), alarm.terminal
    return News(
        kind=kind,
        alias=terminal.alias,
        sn=terminal.sn,
        area=terminal.area.area_name,
        began=alarm.opening_mailed_at is None,
        sentence=alarm.sentence,
        opened_at=alarm.opened_at,
        ending=alarm.ending,
        closed_at=None if kind in EVENTS else alarm.closed_at,
    )


def _line(news: News) -> str:
    what = news.kind.label
    if news.closed_at:
        what += f", over after {seconds_in_words(round((news.closed_at - news.opened_at).total_seconds()))}"
    here = timezone.localtime(news.closed_at or news.opened_at, zone(settings.ZKBIO_TIME_ZONE))
    said = [news.sentence] if news.began else []
    said += [news.ending] if news.closed_at else []
    return one_line(f"{here:%Y-%m-%d %H:%M} {what}: {news.alias} ({news.sn}), {news.area}. {' '.join(said)}")
