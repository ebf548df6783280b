"""What follows from every contact with a terminal that dials: it is there, this is how it is, and how its clock is.

It is heard of only when it calls, so that it is away is noticed by `sweep`.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now
from django.utils import timezone

from iclock.domain import comparing, health, presence
from iclock.domain.alarms import Kind, end_alarm, raise_alarm
from iclock.domain.ingest import FUTURE, fault_of
from iclock.domain.push_admission import note_address
from iclock.domain.push_options import MOST_OPTIONS, Kept, one_line, read_kept
from iclock.lines import Info
from iclock.models import Alarm, PushCommand, PushPosition, PushState, Terminal, TerminalPresence, Transaction
from iclock.orders import Kind as OrderKind
from iclock.punch import Punch, Source
from zkbio.clock import read_wall, zone

# The tables whose position the handshake tells.
TABLES: Final = ("ATTLOG", "OPERLOG", "ATTPHOTO", "BIODATA")

_FROM_THE_START: Final = "0"
_NAME_BYTES: Final = 16
_ERROR_DELAY: Final = 30
# A post of more punches than this is of a unit that catches up: its last stamp says nothing of its clock.
_MOST_LIVE: Final = 5
# One that was away, or still sends what it gathered, sends late what was stamped right.
_STEADY: Final = timedelta(minutes=10)
_LONGEST_BREAK: Final = timedelta(minutes=1)
_ASKED_LATELY: Final = timedelta(minutes=15)
# A reading that says the same is written so often.
_SAME_CLOCK: Final = timedelta(minutes=1)
_SAME_DRIFT: Final = 3
_QUIET_AFTER_MOVE: Final = timedelta(hours=1)
_QUIET_AFTER_FUTURE: Final = timedelta(days=1)
_EXPIRED_AT_ONCE: Final = 100

# Silent for three of its heartbeats, and not heard by whoever dials it since. What somebody writes at the moment was
# heard of just now.
_GONE: Final = """
WITH gone AS (
    SELECT presence.terminal_id, terminal.sn, terminal.alias
    FROM iclock_terminalpresence presence JOIN iclock_terminal terminal ON terminal.id = presence.terminal_id
    WHERE presence.online AND presence.push_time IS NOT NULL
        AND (presence.pull_time IS NULL OR presence.pull_time <= presence.push_time)
        AND presence.push_time < now() - make_interval(secs => greatest(3 * terminal.heartbeat, %s))
    ORDER BY presence.terminal_id FOR UPDATE OF presence SKIP LOCKED
)
UPDATE iclock_terminalpresence presence SET online = false, since = now()
FROM gone WHERE presence.terminal_id = gone.terminal_id RETURNING gone.sn, gone.alias"""

_log = logging.getLogger(__name__)


class Block(NamedTuple):
    """What a terminal is told when it shakes hands. ``offset_minutes`` is its zone's of this moment."""

    serial: str
    stamps: Mapping[str, str]
    error_delay: int
    delay: int
    trans_times: str
    trans_interval: int
    offset_minutes: int
    push_ver: str


class Swept(NamedTuple):
    """How many fell silent, how many pending ones were forgotten, how many alarms ended."""

    gone: int = 0
    forgotten: int = 0
    ended: int = 0


def note_heard(terminal: Terminal, address: str = "") -> None:
    """An admitted unit asked for something. Written as seldom as lets three heartbeats of silence be told: each write
    is a COMMIT, and a thousand idle units ask a hundred times a second."""
    if address:
        note_address(terminal, address)
    known: TerminalPresence | None = getattr(terminal, "presence", None)
    written = None if known is None or not (known.online and known.expected) else known.push_time
    if written is None or not timedelta(0) <= timezone.now() - written < _unwritten(terminal):
        presence.mark_online(terminal, source=Source.PUSH)


def note_info(terminal: Terminal, info: Info) -> None:
    """What it tells of itself beside asking for orders."""
    kept = Kept(
        columns={"fw_ver": one_line(info.firmware or "", 100)},
        counts={
            "user_count": info.users,
            "fp_count": info.fingers,
            "face_count": info.faces,
            "transaction_count": info.punches,
        },
        fp_version=one_line(info.finger_version or "", 5),
    )
    _keep(terminal, kept)


def note_options(terminal: Terminal, options: Mapping[str, str]) -> None:
    """How it is made and set up, as it told after the handshake; what it didn't tell this time stays."""
    kept = read_kept(options)
    news = _news(terminal.push.options, kept.options)
    if news:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE iclock_pushstate SET options = options || %s::jsonb WHERE terminal_id = %s",
                [json.dumps(news), terminal.pk],
            )
        terminal.push.options = {**terminal.push.options, **news}
    _keep(terminal, kept)


def _news(known: Mapping[str, str], told: Mapping[str, str]) -> dict[str, str]:
    """What is told for the first time only as far as there is room for: what is known is read with every request."""
    changed = {name: value for name, value in told.items() if name in known and known[name] != value}
    added = [(name, value) for name, value in told.items() if name not in known]
    return {**changed, **dict(added[: max(0, MOST_OPTIONS - len(known))])}


def note_clock(terminal: Terminal, punches: Sequence[Punch], *, arrived: datetime) -> None:
    """What the latest stamp of a post says of the unit's clock. A post that brought nothing new says nothing."""
    stored = [punch.punch_time for punch in punches if not fault_of(punch)]
    if not stored:
        return
    latest = max(stored)
    ahead = read_wall(latest, zone(terminal.time_zone)).instant(latest) - arrived
    if ahead > FUTURE:
        PushState.objects.filter(terminal=terminal).update(future_at=Now())
        raise_alarm(terminal, Kind.FUTURE, _future_in_words(latest))
    if len(punches) > _MOST_LIVE:
        return
    drift = round(ahead.total_seconds())
    if _is_evidence(terminal, drift, arrived) and _is_news(terminal, drift, arrived):
        health.note_contact(terminal, _report({}, drift=drift, heard_at=arrived), source=Source.PUSH)


def options_for(terminal: Terminal, serial: str, told_push_ver: str, *, now: datetime | None = None) -> Block:
    """What the handshake tells.

    A table of which nothing was ever stored is sent from the start; of all others the unit itself knows best where it
    is: told a stamp from here, one that was reset would leave out what it has.
    """
    known = PushPosition.objects.filter(terminal=terminal).values_list("stamps", flat=True).first() or {}
    stamps = {table: _FROM_THE_START for table in TABLES if table not in known}
    return Block(
        serial=serial,
        stamps=stamps,
        error_delay=_ERROR_DELAY,
        delay=max(1, terminal.heartbeat),
        trans_times=terminal.transfer_time,
        trans_interval=terminal.transfer_interval,
        offset_minutes=offset_of(terminal, now or timezone.now()),
        push_ver=told_push_ver,
    )


def offset_of(terminal: Terminal, moment: datetime) -> int:
    """How many minutes east of UTC the terminal's clock is at that moment."""
    offset = moment.astimezone(zone(terminal.time_zone)).utcoffset() or timedelta(0)
    return round(offset.total_seconds() / 60)


def digest_of(block: Block) -> str:
    """Of what the unit does differently once it is told: where it is in its tables isn't part of that."""
    told = [block.error_delay, block.delay, block.trans_times, block.trans_interval, block.offset_minutes]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def note_handshake(terminal: Terminal, digest: str, push_ver: str = "") -> None:
    """It was told what has this digest."""
    PushState.objects.filter(terminal=terminal).update(shook_hands_at=Now(), told_digest=digest)
    _write_columns(terminal, {"push_ver": one_line(push_ver, 50)})


def registry_code_of(terminal: Terminal) -> str:
    """By which a 3.x unit is registered: drawn once, and the same ever since."""
    mine = PushState.objects.filter(terminal=terminal)
    if not terminal.push.registry_code:
        mine.filter(registry_code="").update(registry_code=token_hex(_NAME_BYTES))
        terminal.push.registry_code = mine.values_list("registry_code", flat=True).get()
    return str(terminal.push.registry_code)


def sweep() -> Swept:
    """Notice who fell silent, forget pending ones that come no more, end the alarms of what is over."""
    with connection.cursor() as cursor:
        cursor.execute(_GONE, [settings.PUSH_AWAY_SECONDS])
        gone = cursor.fetchall()
    for sn, alias in gone:
        _log.warning("Terminal %s (%s) is offline: it doesn't dial any more.", sn, alias)
    return Swept(len(gone), _forget_pending(), _end_alarms())


def _unwritten(terminal: Terminal) -> timedelta:
    """For how long after a contact was written another needn't be."""
    return _away_after(terminal) - timedelta(seconds=3 * terminal.heartbeat + 1)


def _away_after(terminal: Terminal) -> timedelta:
    return timedelta(seconds=max(3 * terminal.heartbeat, settings.PUSH_AWAY_SECONDS))


def _keep(terminal: Terminal, kept: Kept) -> None:
    _write_columns(terminal, kept.columns)
    told = {name: value for name, value in kept.counts.items() if value is not None}
    if any(getattr(terminal, name) != value for name, value in told.items()):
        health.note_contact(terminal, _report(told), source=Source.PUSH)
    comparing.note_version(terminal, kept.fp_version)


def _write_columns(terminal: Terminal, told: Mapping[str, str]) -> None:
    news = {name: value for name, value in told.items() if value and getattr(terminal, name) != value}
    if news:
        Terminal.objects.filter(pk=terminal.pk).update(**news)
        for name, value in news.items():
            setattr(terminal, name, value)


def _report(told: Mapping[str, int], *, drift: int | None = None, heard_at: datetime | None = None) -> health.Report:
    empty: dict[str, Any] = dict.fromkeys(health.Report._fields)
    return health.Report(**{**empty, **told, "drift": drift, "heard_at": heard_at or timezone.now()})


def _is_evidence(terminal: Terminal, drift: int, arrived: datetime) -> bool:
    """A punch arrives late for many reasons, and early for one."""
    if drift >= 0:
        return True
    known: TerminalPresence | None = getattr(terminal, "presence", None)
    if known is None or not known.online or known.push_time is None:
        return False
    if known.since > arrived - _STEADY or known.push_time < arrived - _LONGEST_BREAK:
        return False
    return drift >= -settings.CLOCK_TOLERANCE_SECONDS or not _was_asked_lately(terminal)


def _was_asked_lately(terminal: Terminal) -> bool:
    asked = PushCommand.objects.filter(terminal=terminal, kind=OrderKind.QUERY_ATTLOG)
    return asked.filter(sent_at__gt=Now() - _ASKED_LATELY).exists()


def _is_news(terminal: Terminal, drift: int, arrived: datetime) -> bool:
    known: TerminalPresence | None = getattr(terminal, "presence", None)
    if known is None or known.clock_drift is None or known.clock_read_at is None:
        return True
    return abs(known.clock_drift - drift) > _SAME_DRIFT or arrived - known.clock_read_at > _SAME_CLOCK


def _future_in_words(latest: datetime) -> str:
    return (
        f"It told of a punch at {latest:%Y-%m-%d %H:%M:%S}, which hasn't come yet. Such punches are kept as they were"
        " told, and marked. Set its clock, and look at its time zone here."
    )


def _forget_pending() -> int:
    """Those that were remembered because they dialled; never one of which punches are here, or that is dialled, too."""
    idle = Terminal.objects.filter(
        Q(presence__last_activity__lt=_pending_since()) | Q(presence=None, created_at__lt=_pending_since()),
        ~Exists(Transaction.objects.filter(terminal_sn=OuterRef("sn"))),
        admission=Terminal.Admission.PENDING,
        push__isnull=False,
        device=None,
    )
    chosen = list(idle.order_by("pk").values_list("pk", flat=True)[:_EXPIRED_AT_ONCE])
    if not chosen:
        return 0
    with transaction.atomic():
        # Whoever approves one at this moment is waited for, and then it isn't pending any more.
        held = Terminal.objects.filter(pk__in=chosen, admission=Terminal.Admission.PENDING).order_by("pk")
        forgotten = list(held.select_for_update(of=("self",)))
        for terminal in forgotten:
            terminal.delete()
    for terminal in forgotten:
        _log.info("Terminal %s, which nobody approved, comes no more and is forgotten.", terminal.sn)
    return len(forgotten)


def _pending_since() -> Any:
    return Now() - timedelta(days=settings.PUSH_PENDING_DAYS)


def _end_alarms() -> int:
    """The states that are over by nothing more happening."""
    over = (
        (Kind.TWO_PLACES, "moved_at", _QUIET_AFTER_MOVE, "For an hour it dialled from one network."),
        (Kind.FUTURE, "future_at", _QUIET_AFTER_FUTURE, "For a day it told of no punch that wasn't made yet."),
    )
    ended = 0
    for kind, moment, quiet, sentence in over:
        silent = Q(**{f"terminal__push__{moment}": None}) | Q(**{f"terminal__push__{moment}__lt": Now() - quiet})
        for alarm in Alarm.objects.open().filter(silent, kind=kind).select_related("terminal").order_by("pk"):
            ended += end_alarm(alarm.terminal, kind, sentence)
    return ended
