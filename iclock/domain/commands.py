"""What terminals are asked to do. A command's state only moves forward; the row that an UPDATE finds decides.

Whoever speaks to a terminal claims its commands, carries them out and finishes them. Of a worker that died in between
nothing is heard: reads are claimed anew by the next one, everything else ends as unanswered, because doing it twice
could do harm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Now

from iclock.domain.history import purge
from iclock.domain.marks import hold_terminals
from iclock.domain.terminals import call_terminals
from iclock.models import PushCommand, PushState, Terminal, TerminalCommand
from iclock.models.command import LIFE

Kind = TerminalCommand.Kind
State = TerminalCommand.State

# Asking twice for these does no harm.
READS: Final = (Kind.UPLOAD_ALL, Kind.UPLOAD_TRANSACTION)
# For everything else: how long after it was sent an answer may still come. Longer than any session with a terminal.
PATIENCE: Final = timedelta(hours=1, minutes=10)
# Whether a log was cleared by whoever died meanwhile only the terminal can tell, at the next contact.
CLEARING_PATIENCE: Final = timedelta(days=30)


EXPIRED: Final = "Nobody reached the terminal in time."
UNANSWERED: Final = "Sent, but no answer came."
CANCELLED: Final = "Cancelled before it was sent."

_CANCEL: Final = (State.CANCELLED, CANCELLED)
_IS_READ: Final = Q(kind__in=READS)
_OVERDUE: Final = Q(expires_at__lte=Now()) & (Q(state=State.QUEUED) | (Q(state=State.SENT) & _IS_READ))
_IS_CLEARING: Final = Q(kind=Kind.CLEAR_LOG)
_GIVEN_UP: Final = Q(state=State.SENT) & (
    (Q(sent_at__lte=Now() - PATIENCE) & ~_IS_READ & ~_IS_CLEARING)
    | (Q(sent_at__lte=Now() - CLEARING_PATIENCE) & _IS_CLEARING)
)

# In the order of the terminals, like everything here that writes to several: then nobody deadlocks.
_QUEUE: Final = """
INSERT INTO iclock_terminalcommand AS command (uuid, terminal_id, kind, state, result, created_by_id, expires_at)
SELECT gen_random_uuid(), id, %(kind)s, 'queued', '', %(user)s, now() + make_interval(secs => %(life)s)
FROM unnest(%(terminals)s::bigint[]) AS asked (id) ORDER BY id
ON CONFLICT (terminal_id, kind) WHERE state = 'queued' DO UPDATE SET expires_at = excluded.expires_at"""


def queue_commands(terminals: Iterable[Terminal], kind: str, *, user: Any) -> None:
    """Ask these terminals for something, and call them. What waits already only waits for longer."""
    expire_commands()
    with transaction.atomic(), connection.cursor() as cursor:
        ids = hold_terminals(terminal.pk for terminal in terminals)
        cursor.execute(_QUEUE, {"kind": kind, "user": user.pk, "life": LIFE.total_seconds(), "terminals": ids})
        call_terminals(ids)


def clear_commands(terminals: Iterable[Terminal], *, user: Any) -> None:
    """Cancel what waits for these terminals, and leave a command that says how much that was."""
    with transaction.atomic():
        ids = hold_terminals(terminal.pk for terminal in terminals)
        _cancel_orders(ids)
        cancelled = Counter(_end(TerminalCommand.objects.filter(terminal__in=ids, state=State.QUEUED), *_CANCEL))
        TerminalCommand.objects.bulk_create(
            TerminalCommand(
                terminal_id=each,
                kind=Kind.CLEAR_COMMAND,
                state=State.DONE,
                result=f"Waiting commands cancelled: {cancelled[each]}.",
                created_by=user,
                finished_at=Now(),
            )
            for each in ids
        )


def cancel_commands(commands: QuerySet[TerminalCommand]) -> int:
    """Cancel those of ``commands`` that nobody has sent yet; how many that were."""
    return len(_end(commands.filter(state=State.QUEUED), *_CANCEL))


def claim_commands(terminal_id: int, kinds: Iterable[str], *, since: datetime) -> list[TerminalCommand]:
    """The commands that the caller carries out now, each given to one caller only.

    The caller alone speaks to the terminal since ``since``: a read that was sent before then was left undone.
    """
    left = Q(state=State.SENT, sent_at__lt=since) & _IS_READ
    waiting = TerminalCommand.objects.filter(Q(state=State.QUEUED) | left, expires_at__gt=Now())
    with transaction.atomic():
        mine = waiting.filter(terminal=terminal_id, kind__in=list(kinds)).select_for_update(skip_locked=True)
        claimed = TerminalCommand.objects.filter(pk__in=list(mine.values_list("pk", flat=True)))
        claimed.update(state=State.SENT, sent_at=Now())
        return list(claimed)


def finish_command(command: TerminalCommand, *, ok: bool, sentence: str) -> bool:
    """Say what came of a claimed command; False when it isn't the caller's any more."""
    mine = TerminalCommand.objects.filter(pk=command.pk, state=State.SENT, sent_at=command.sent_at)
    state = State.DONE if ok else State.FAILED
    return mine.update(state=state, result=sentence[:300], finished_at=Now()) == 1


def expire_commands() -> int:
    """End what nobody came for and what nobody will answer any more; how many these were."""
    overdue = _end(TerminalCommand.objects.filter(_OVERDUE), State.EXPIRED, EXPIRED)
    given_up = _end(TerminalCommand.objects.filter(_GIVEN_UP), State.FAILED, UNANSWERED)
    return len(overdue) + len(given_up)


def purge_commands() -> int:
    """Forget what was over ``RUN_HISTORY_DAYS`` ago, a batch at a time; how many these were."""
    return purge(TerminalCommand.objects.all(), moment="finished_at", days=settings.RUN_HISTORY_DAYS)


def as_of_now(commands: QuerySet[TerminalCommand]) -> QuerySet[TerminalCommand]:
    """With ``state_now`` and ``result_now``: what is overdue counts as ended before somebody wrote that down."""
    return commands.annotate(
        state_now=Case(
            When(_OVERDUE, then=Value(State.EXPIRED.value)),
            When(_GIVEN_UP, then=Value(State.FAILED.value)),
            default=F("state"),
        ),
        result_now=Case(
            When(_OVERDUE, then=Value(EXPIRED)), When(_GIVEN_UP, then=Value(UNANSWERED)), default=F("result")
        ),
    )


def _cancel_orders(ids: list[int]) -> None:
    """What waits for those that dial and is no part of bringing their people up to date, which begins anew anyway."""
    list(PushState.objects.select_for_update(no_key=True).filter(terminal__in=ids).order_by("pk").values_list("pk"))
    waiting = PushCommand.objects.filter(terminal__in=ids, state=PushCommand.State.QUEUED, intent="", enrolment=None)
    waiting.update(state=PushCommand.State.CANCELLED, result=CANCELLED, finished_at=Now())


def _end(commands: QuerySet[TerminalCommand], state: str, sentence: str) -> list[int]:
    """End the commands that still are as asked for once they are locked; their terminals, one for each."""
    with transaction.atomic():
        locked = commands.order_by("terminal", "pk").select_for_update(of=("self",))
        ended = dict(locked.values_list("pk", "terminal"))
        TerminalCommand.objects.filter(pk__in=ended).update(state=state, result=sentence, finished_at=Now())
    return list(ended.values())
