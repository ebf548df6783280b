"""The orders that wait for a terminal that dials: handing them out when it asks, and noting what it says of them.

An order is sent when it is handed out and over when the unit says what came of it. Of a unit that doesn't, nobody
knows: what may be done twice is handed out again after a while, the rest ends as unanswered. Whoever writes the orders
of a terminal holds its state first (`hold_state`), so two requests at once never get the same one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from iclock import orders
from iclock.domain import comparing, enrolments, placements, push_written
from iclock.domain.commands import finish_command
from iclock.domain.history import purge
from iclock.domain.marks import hold_terminals
from iclock.domain.plan import Intent
from iclock.domain.push_admission import is_ambiguous
from iclock.domain.push_contact import note_options
from iclock.domain.push_gathering import beside_the_others, lines_of
from iclock.domain.push_written import Prepared
from iclock.lines import Answer, Answers
from iclock.models import Enrolment, PushCommand, PushState, Terminal, TerminalCommand

Kind = orders.Kind
State = PushCommand.State

MOST_TIMES: Final = 5
# For what can't be handed out again: how long an answer may take.
PATIENCE: Final = timedelta(hours=1)

CANCELLED: Final = "Cancelled before it was sent."
EXPIRED: Final = "The unit didn't ask for it in time."
UNANSWERED: Final = "Sent, but no answer came."
RESTARTED: Final = "The unit restarted: it came back without an answer."
OVER: Final = "Whoever asked for it doesn't wait for it any more."

# What somebody may ask for by hand.
ASKED: Final[Mapping[Kind, Callable[[], orders.Order]]] = {
    Kind.INFO: orders.info,
    Kind.CHECK: orders.check,
    Kind.LOG: orders.log,
    Kind.RELOAD_OPTIONS: orders.reload_options,
}
ONCE: Final = [kind for kind in Kind if not orders.is_repeatable(kind)]

_LIFE: Final = timedelta(days=1)
_LONGEST: Final = 300
# How many punches a unit has, by what it tells behind an answer.
_COUNTS: Final[Mapping[Kind, str]] = {Kind.VERIFY_SUM: "attlogsum", Kind.INFO: "transactioncount"}
_PEOPLE: Final = "usercount"
_DIGITS: Final = 12
_ANSWERED: Final = ("state", "returned", "result", "sent", "lease_until", "finished_at")
_CANCELLED_THERE: Final = 6
_ASKED_FOR_IT: Final = "The terminal was told to ask for the finger: it goes on the sensor three times."
_ENROLLED: Final = "Enrolled; it is stored here as soon as the terminal has sent it."
_AGAIN_SENT: Final = "The unit sends what it holds again."
_DONE: Final[Mapping[str, str]] = {
    TerminalCommand.Kind.REBOOT: "Restarted.",
    TerminalCommand.Kind.UPLOAD_ALL: _AGAIN_SENT,
    TerminalCommand.Kind.UPLOAD_TRANSACTION: _AGAIN_SENT,
}
_LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)
_QUEUED: Final = Q(state=State.QUEUED) & (Q(expires_at=None) | Q(expires_at__gt=Now()))
_AGAIN: Final = Q(state=State.SENT, lease_until__lte=Now(), times_sent__lt=MOST_TIMES) & ~Q(kind__in=ONCE)
_READY: Final = _QUEUED | _AGAIN
_GIVEN_UP: Final = Q(state=State.SENT) & (
    Q(sent_at__lte=Now() - PATIENCE) | (Q(lease_until__lte=Now(), times_sent__gte=MOST_TIMES) & ~Q(kind__in=ONCE))
)

_HAND_OUT: Final = """
UPDATE iclock_pushcommand AS command
SET state = 'sent', times_sent = command.times_sent + 1, sent = handed.sent::jsonb, sent_at = statement_timestamp(),
    lease_until = statement_timestamp() + make_interval(secs => %(lease)s)
FROM unnest(%(ids)s::bigint[], %(sent)s::text[]) AS handed (id, sent) WHERE command.id = handed.id"""

_log = logging.getLogger(__name__)


def hand_out(terminal: Terminal) -> bytes:
    """The next batch for this unit, which asks for it; b"" when there is nothing to do."""
    if not terminal.push.anything_open or not _ready_for(terminal).exists() or not _is_trusted(terminal):
        return b""
    with beside_the_others(), transaction.atomic():
        state = hold_state(terminal)
        if state is None:
            return b""
        rows = list(_ready_for(terminal)[: orders.MOST_ORDERS])
        return _hand_out(terminal, state, rows)


def note_answers(terminal: Terminal, told: Answers | Iterable[Answer]) -> None:
    """What the unit says of orders; late is not too late, and what it was never given is ignored."""
    found = {answer.command_id: answer for answer in (told.answers if isinstance(told, Answers) else told)}
    with beside_the_others(), transaction.atomic():
        # The counts of the terminal's row are written at the end: who edits it locks it first, too.
        Terminal.objects.select_for_update(no_key=True).filter(pk=terminal.pk).first()
        state = hold_state(terminal)
        rows = {} if state is None else _unanswered(terminal, found.keys())
        if strange := len(found) - len(rows):
            _log.info("Terminal %s answers %d orders that nobody waits for.", terminal.sn, strange)
        answered = [(row, found[row.pk]) for row in rows.values()]
        of_people = [(row, answer.returned) for row, answer in answered if row.intent]
        if of_people:
            push_written.note_answered(terminal, of_people)
        for row, answer in answered:
            _finish(row, answer)
        PushCommand.objects.bulk_update((row for row, _ in answered), _ANSWERED, batch_size=orders.MOST_ORDERS)
        for row, answer in answered:
            if row.kind == Kind.INFO and answer.told:
                note_options(terminal, answer.told)
        _settle_wishes([row for row, _ in answered])


def ask(terminal: Terminal, kind: str, *, user: Any) -> PushCommand:
    """Have the unit do one of `ASKED`; what waits already isn't asked for twice."""
    if kind not in ASKED:
        raise ValueError(f"{kind!r} is nothing that somebody asks a terminal for.")
    return queue(terminal, Kind(kind), created_by=user)


def queue(terminal: Terminal, kind: Kind, **more: Any) -> PushCommand:
    """The order of that kind, without a person, that waits: a new one, or that which waits already."""
    with transaction.atomic():
        hold_state(terminal)
        alike = PushCommand.objects.filter(terminal=terminal, kind=kind, state=State.QUEUED, command=None, intent="")
        waiting = alike.filter(emp_code=more.get("emp_code", ""), arguments=more.get("arguments", {})).first()
        return waiting or PushCommand.objects.create(
            terminal=terminal, kind=kind, **{"expires_at": Now() + _LIFE, **more}
        )


def cancel(commands: QuerySet[PushCommand]) -> int:
    """Cancel those that nobody has sent yet; how many that were. People come back with the next plan."""
    return end(commands.filter(state=State.QUEUED), State.CANCELLED, CANCELLED)


def settle() -> int:
    """End what nobody asked for in time and what nobody will answer any more; how many these were."""
    open_ones = PushCommand.objects.open()
    # A unit that shook hands after it was told to restart did so.
    back = PushState.objects.filter(terminal=OuterRef("terminal"), shook_hands_at__gt=OuterRef("sent_at"))
    restarted = open_ones.filter(Exists(back), kind=Kind.REBOOT, state=State.SENT, lease_until__lte=Now())
    over = open_ones.filter(
        Q(command__isnull=False) & ~Q(command__state__in=TerminalCommand.OPEN)
        | Q(enrolment__isnull=False) & ~Q(enrolment__state__in=Enrolment.OPEN),
        state=State.QUEUED,
    )
    return (
        end(restarted, State.DONE, RESTARTED)
        + end(open_ones.filter(state=State.QUEUED, expires_at__lte=Now()), State.EXPIRED, EXPIRED)
        + end(over, State.CANCELLED, OVER)
        + end(open_ones.filter(_GIVEN_UP), State.FAILED, UNANSWERED)
    )


def end(commands: QuerySet[PushCommand], state: str, sentence: str) -> int:
    """End those that still are as asked for once their terminals are held; how many these were."""
    ended = 0
    for terminal in Terminal.objects.filter(pk__in=commands.order_by().values("terminal")).order_by("pk"):
        with transaction.atomic():
            if hold_state(terminal) is None:
                continue
            rows = list(commands.filter(terminal=terminal).order_by("id"))
            _end(rows, state, sentence)
            if lost := [row for row in rows if row.intent and row.state == State.SENT]:
                _note_lost(terminal, lost, sentence)
            ended += len(rows)
            _settle_wishes(rows)
    return ended


def purge_orders() -> int:
    """Forget what was over ``RUN_HISTORY_DAYS`` ago, a batch at a time; how many these were."""
    return purge(PushCommand.objects.order_by(), moment="finished_at", days=settings.RUN_HISTORY_DAYS)


def hold_state(terminal: Terminal) -> PushState | None:
    """Nobody else writes this terminal's orders before the transaction ends; None when the terminal is gone."""
    hold_terminals([terminal.pk])
    return PushState.objects.select_for_update(no_key=True).filter(terminal=terminal).first()


def _is_trusted(terminal: Terminal) -> bool:
    """Approved, and no two units of one serial number: nobody knows which of them would hear it."""
    return terminal.admission == Terminal.Admission.APPROVED and not is_ambiguous(terminal)


def _ready_for(terminal: Terminal) -> QuerySet[PushCommand]:
    """A finger waits until it is known that its person is there."""
    person = PushCommand.objects.filter(
        terminal=terminal,
        emp_code=OuterRef("emp_code"),
        kind=Kind.UPDATE_USER,
        state=State.SENT,
        lease_until__gt=Now(),
    )
    mine = PushCommand.objects.open().filter(_READY, terminal=terminal)
    return mine.exclude(Q(kind=Kind.UPDATE_FINGER) & Exists(person)).order_by("id")


def _hand_out(terminal: Terminal, state: PushState, rows: Sequence[PushCommand]) -> bytes:
    prepared, carry = _prepare_people(terminal, [row for row in rows if row.intent])
    texts = {}
    for row in rows:
        text = _text_or_refusal(row) if not row.intent else prepared[row.pk].text if row.pk in prepared else None
        if text is not None:
            texts[row.pk] = text
    by_pk = {row.pk: row for row in rows}
    fitting = orders.fit_batch(texts.items(), state.encoding)
    batch = [(pk, text) for pk, text in fitting if _claim(terminal, by_pk[pk])]
    if not batch:
        return b""
    carry([prepared[pk].intent for pk, _ in batch if pk in prepared])
    lines = {"lines": lines_of(terminal)}
    sent = [json.dumps(prepared[pk].sent if pk in prepared else lines) for pk, _ in batch]
    with connection.cursor() as cursor:
        lease = settings.PUSH_LEASE_SECONDS
        cursor.execute(_HAND_OUT, {"ids": [pk for pk, _ in batch], "sent": sent, "lease": lease})
    return orders.encode_batch(batch, state.encoding)


def _prepare_people(
    terminal: Terminal, rows: Sequence[PushCommand]
) -> tuple[dict[int, Prepared], Callable[[Collection[Intent]], None]]:
    """What may be handed out, and what notes which of it is."""
    if not rows:
        return {}, lambda _intents: None
    done = push_written.prepare(terminal, rows)
    _end(done.unwanted, State.CANCELLED, push_written.UNWANTED)
    for row, outcome in done.refused:
        _end([row], State.FAILED, outcome.sentence)
    push_written.note_dropped(terminal, done.sides, done.refused, unwanted=len(done.unwanted))

    def carry(intents: Collection[Intent]) -> None:
        if intents:
            placements.note_sending(terminal, done.sides, intents)

    return done.ready, carry


def _text_or_refusal(row: PushCommand) -> orders.Order | None:
    try:
        return _text(row)
    except ValueError as error:
        _end([row], State.FAILED, str(error))
        return None


def _text(row: PushCommand) -> orders.Order:
    """Raises ValueError."""
    kind = Kind(row.kind)
    if kind in ASKED:
        return ASKED[kind]()
    if kind is Kind.QUERY_USERS:
        return orders.query_users(row.emp_code or None)
    if kind in {Kind.QUERY_ATTLOG, Kind.VERIFY_SUM}:
        build = orders.query_attlog if kind is Kind.QUERY_ATTLOG else orders.verify_sum
        return build(*(datetime.fromisoformat(row.arguments[name]) for name in ("start", "end")))
    if kind is Kind.ENROL_FINGER:
        return orders.enrol_finger(row.emp_code, row.finger or 0)
    if kind is Kind.CLEAR_PHOTOS:
        return orders.clear_photos()
    if kind is Kind.REBOOT:
        return orders.reboot()
    raise ValueError("Nobody knows how to say this.")


def _claim(terminal: Terminal, row: PushCommand) -> bool:
    """Whether whoever wished for it still does; then they are told that it is sent."""
    if row.enrolment_id is not None:
        claimed = _claim_enrolment(terminal, row.enrolment_id)
    elif row.command_id is not None:
        mine = TerminalCommand.objects.filter(pk=row.command_id, expires_at__gt=Now())
        queued = mine.filter(state=TerminalCommand.State.QUEUED)
        sent = queued.update(state=TerminalCommand.State.SENT, sent_at=Now())
        claimed = bool(sent) or mine.filter(state=TerminalCommand.State.SENT).exists()
    else:
        return True
    if not claimed:
        _end([row], State.CANCELLED, OVER)
    return claimed


def _claim_enrolment(terminal: Terminal, enrolment_id: int) -> bool:
    if not Enrolment.objects.filter(pk=enrolment_id, state=Enrolment.State.QUEUED).exists():
        return False
    enrolment = enrolments.claim(terminal.pk, since=_LONG_AGO)
    return enrolment is not None and enrolments.advance(enrolment, scans=0, sentence=_ASKED_FOR_IT)


def _unanswered(terminal: Terminal, ids: Collection[int]) -> dict[int, PushCommand]:
    """In the order in which they were handed out."""
    handed = PushCommand.objects.filter(terminal=terminal, pk__in=ids, times_sent__gt=0, returned=None)
    return {row.pk: row for row in handed.order_by("id")}


def _finish(row: PushCommand, answer: Answer) -> None:
    """In memory; what was cancelled stays so."""
    kind = Kind(row.kind)
    if row.state != State.CANCELLED:
        row.state = State.DONE if push_written.is_done(row, answer.returned) else State.FAILED
    row.returned, row.result = answer.returned, orders.return_in_words(answer.returned, kind)[:_LONGEST]
    row.lease_until, row.finished_at = None, timezone.now()
    if kind in _COUNTS:
        row.sent = {**row.sent, "sum": _count(answer, _COUNTS[kind]), "people": _count(answer, _PEOPLE)}


def _count(answer: Answer, name: str) -> int | None:
    told = next((value for key, value in answer.told.items() if key.strip("~").lower() == name), "")
    return int(told) if told.isdecimal() and len(told) < _DIGITS else None


def _end(rows: Collection[PushCommand], state: str, sentence: str) -> None:
    PushCommand.objects.filter(pk__in=[row.pk for row in rows]).update(
        state=state, result=sentence[:_LONGEST], lease_until=None, finished_at=Now()
    )


def _note_lost(terminal: Terminal, lost: Collection[PushCommand], sentence: str) -> None:
    """Who is there now is asked before more is sent; whom it heard of often enough isn't sent again at once."""
    comparing.doubt_fingers(terminal)
    deaf = {row.emp_code for row in lost if row.times_sent >= MOST_TIMES}
    placements.note_unanswered(
        terminal, [push_written.intent_of(row) for row in lost], sentence, pausing=deaf, pause=PATIENCE
    )


def _settle_wishes(rows: Collection[PushCommand]) -> None:
    """What is known now of commands and enrolments of which these orders are."""
    for row in rows:
        if row.enrolment_id is not None and row.returned is not None:
            _finish_enrolment(row.enrolment_id, row.returned)
    for pk in sorted({row.command_id for row in rows if row.command_id is not None}):
        command, parts = TerminalCommand.objects.get(pk=pk), PushCommand.objects.filter(command=pk)
        if not parts.open().exists():
            failed = parts.exclude(state=State.DONE).order_by("id").first()
            words = _DONE.get(command.kind, orders.return_in_words(0, Kind.CHECK)) if failed is None else failed.result
            finish_command(command, ok=failed is None, sentence=words)


def _finish_enrolment(pk: int, returned: int) -> None:
    enrolment = Enrolment.objects.select_related("terminal", "employee", "created_by").get(pk=pk)
    if returned == 0:
        enrolments.finish(enrolment, Enrolment.State.DONE, _ENROLLED)
        return
    cancelled = returned == _CANCELLED_THERE
    state = Enrolment.State.CANCELLED if cancelled else Enrolment.State.FAILED
    enrolments.finish(enrolment, state, orders.return_in_words(returned, Kind.ENROL_FINGER))
