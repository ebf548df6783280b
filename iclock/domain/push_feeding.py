"""What terminals that dial are to be told: commands that somebody gave, fingers to be enrolled, and the people.

The plan and the policies are those of terminals that are dialled. Such a terminal is read when it is visited; one that
dials tells of people whenever something changed, and of all of them when it is asked to. So its people are listed at
first, once a day, and when it counts otherwise than it should; in between the plan is made by what it told.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import Error, InterfaceError, OperationalError, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Collate, Now
from django.utils import timezone

from iclock import orders
from iclock.domain import comparing, enrolments, placements, push_orders
from iclock.domain.commands import claim_commands, finish_command
from iclock.domain.kept import Outcome
from iclock.domain.plan import TAKES, Intent, Kind
from iclock.domain.push_listing import LIST_AGAIN, LIST_EVERY, QUESTION_LIFE, note_list
from iclock.domain.push_room import room_of, why_unfit
from iclock.domain.push_span import EARLIEST, span, tomorrow
from iclock.domain.push_written import order_of
from iclock.domain.unknown_people import judge_strangers
from iclock.models import Enrolment, PushCommand, PushState, SyncMark, Terminal, TerminalCommand, TerminalPerson
from iclock.policy import Direction
from zkbio.crypto import SealError

Wish = TerminalCommand.Kind
State = PushCommand.State

MOST_PLANNED: Final = 2_000
_MOST_TERMINALS: Final = 50
_MOST_QUESTIONS: Final = 200
# Whom somebody dials too is brought up to date by whoever does.
_DIALLED_LATELY: Final = timedelta(hours=1)
_SOON: Final = timedelta(minutes=5)
# A unit that asks for orders and answers none isn't asked for its templates all the time.
_AN_HOUR: Final = timedelta(hours=1)
_A_DAY: Final = timedelta(days=1)

_NOT_CLEARED: Final = (
    "A terminal that dials can't be held still while it is cleared: a punch made meanwhile would be lost. Clear it at"
    " its own menu when nobody is there, after its page says that all of its punches are here."
)
_NOT_ENABLED: Final = "They are disabled on the unit, and one that dials can't be told to enable them: do it there."
_REPLACED: Final = "A newer plan took its place."
_FED: Final = (Wish.REBOOT, Wish.UPLOAD_ALL, Wish.UPLOAD_TRANSACTION, Wish.CLEAR_CAPTURE)
_REFUSED: Final = (Wish.CLEAR_LOG, Wish.CLEAR_ALL)

_log = logging.getLogger(__name__)


def feed_due() -> int:
    """Queue what is due for the terminals that are there; at how many of them something was due."""
    push_orders.settle()
    terminals = list(_due().select_related("push", "presence", "area").order_by("?")[:_MOST_TERMINALS])
    for terminal in terminals:
        try:
            feed(terminal)
        except (OperationalError, InterfaceError):
            raise
        except (Error, SealError, ValueError) as error:
            _log.exception("What terminal %s is to be told could not be found out.", terminal.sn)
            comparing.note_error(terminal, str(error).strip().partition("\n")[0])
            PushState.objects.filter(terminal=terminal).update(due_at=Now() + _SOON)
    return len(terminals)


def feed(terminal: Terminal) -> None:
    """Queue what this terminal is to be told now."""
    _feed_commands(terminal)
    _feed_enrolment(terminal)
    if terminal.direction != Direction.OFF and _people_due().filter(pk=terminal.pk).exists():
        feed_people(terminal)


def listening() -> QuerySet[Terminal]:
    """The terminals that dial and are there now."""
    return Terminal.objects.filter(
        Q(presence__pull_time=None) | Q(presence__pull_time__lt=Now() - _DIALLED_LATELY),
        admission=Terminal.Admission.APPROVED,
        presence__online=True,
        presence__push_time__isnull=False,
        push__isnull=False,
    )


def feed_people(terminal: Terminal) -> None:
    """One step: what the last plan left is waited for, the list asked for, or a plan queued."""
    begun = timezone.now()
    mark = comparing.begin(terminal)
    if _waits_for_the_last(terminal, mark):
        return
    remark = note_list(terminal, mark)
    if remark is None:
        return
    mark.refresh_from_db()
    _try_again(terminal)
    sides = placements.sides_of(terminal, room_of(terminal.push))
    policy = placements.policy_of(terminal, mark)
    intents = _without(_failed_lately(terminal), placements.intents_of(sides, policy))
    refused = [outcome for outcome in map(_Refusals(terminal), intents) if outcome]
    if refused:
        placements.note_outcomes(terminal, sides, refused, held={}, fingers={})
    left = _without({_what(outcome.intent) for outcome in refused}, intents)
    asked_about = {intent.code for intent in left if intent.kind in TAKES}
    if policy.fingers:
        there = {code for code, row in sides.rows.items() if row.held and row.held_fingers is None}
        asked_about |= there & sides.wanted.keys()
    questions = _questions(terminal, asked_about)
    plan = [intent for intent in left if intent.kind not in TAKES][:MOST_PLANNED]
    if _enqueue(terminal, mark, plan, questions, begun=begun):
        comparing.note_plan(terminal, plan)
        if remark:
            comparing.note_error(terminal, remark)
        if not plan and not questions:
            counted = {"people": mark.people_there, "fingers": mark.fingers_there}
            comparing.finish(terminal, mark, **counted, fingers_read=True, complete=True)
        judge_strangers(terminal)


def _due() -> QuerySet[Terminal]:
    wishes = TerminalCommand.objects.filter(
        terminal=OuterRef("pk"), state=TerminalCommand.State.QUEUED, expires_at__gt=Now(), orders=None
    )
    fingers = Enrolment.objects.filter(terminal=OuterRef("pk"), state=Enrolment.State.QUEUED, orders=None)
    return listening().filter(
        Exists(wishes.filter(kind__in=[*_FED, *_REFUSED])) | Exists(fingers) | Q(pk__in=_people_due().values("pk"))
    )


def _people_due() -> QuerySet[Terminal]:
    """Not while what was planned last is under way, unless people changed since and some of it can be replaced."""
    mine = PushCommand.objects.open().filter(terminal=OuterRef("pk"))
    asked = mine.filter(kind=orders.Kind.QUERY_USERS)
    planned = mine.exclude(intent="")
    changed = Q(sync_mark__wanted__gt=F("push__planned_for"))
    free = ~Exists(planned) | (changed & Exists(planned.filter(state=State.QUEUED)))
    interval = timedelta(minutes=settings.PEOPLE_COMPARE_MINUTES)
    again = TerminalPerson.objects.filter(terminal=OuterRef("pk"), retry_at__lte=Now())
    due = (
        Q(push__due_at__lte=Now())
        | Q(sync_mark=None)
        | Q(sync_mark__wanted__gt=F("sync_mark__done"))
        | Q(sync_mark__compared_at=None)
        | Q(sync_mark__compared_at__lt=Now() - interval)
        | Q(sync_mark__carried_out__lt=F("sync_mark__planned"))
        | (~Q(sync_mark__people_there=F("user_count")) & Q(push__listed_at__lt=Now() - LIST_AGAIN))
        | Q(push__listed_at__lt=Now() - LIST_EVERY)
        | Exists(again)
    )
    waits = Q(push__due_at__gt=Now())
    return listening().exclude(direction=Direction.OFF).exclude(waits).filter(free, due, ~Exists(asked))


def _feed_commands(terminal: Terminal) -> None:
    for command in claim_commands(terminal.pk, _REFUSED, since=timezone.now()):
        finish_command(command, ok=False, sentence=_NOT_CLEARED)
    waiting = TerminalCommand.objects.filter(
        terminal=terminal, kind__in=_FED, state=TerminalCommand.State.QUEUED, expires_at__gt=Now(), orders=None
    )
    if not waiting.exists():
        return
    with transaction.atomic():
        push_orders.hold_state(terminal)
        for command in waiting:
            parts = _parts(terminal, command.kind)
            PushCommand.objects.bulk_create(
                PushCommand(
                    terminal=terminal,
                    kind=kind,
                    arguments=arguments,
                    command=command,
                    created_by_id=command.created_by_id,
                )
                for kind, arguments in parts
            )
            if command.kind == Wish.UPLOAD_ALL:
                comparing.doubt_fingers(terminal)


def _parts(terminal: Terminal, wish: str) -> list[tuple[orders.Kind, dict[str, str]]]:
    log = (orders.Kind.QUERY_ATTLOG, span(EARLIEST, tomorrow(terminal)))
    parts: dict[str, list[tuple[orders.Kind, dict[str, str]]]] = {
        Wish.REBOOT: [(orders.Kind.REBOOT, {})],
        Wish.UPLOAD_TRANSACTION: [log],
        Wish.UPLOAD_ALL: [(orders.Kind.QUERY_USERS, {}), log],
        Wish.CLEAR_CAPTURE: [(orders.Kind.CLEAR_PHOTOS, {})],
    }
    return parts[wish]


def _feed_enrolment(terminal: Terminal) -> None:
    if not enrolments.waits_at(terminal.pk):
        return
    with transaction.atomic():
        push_orders.hold_state(terminal)
        waiting = Enrolment.objects.filter(terminal=terminal, state=Enrolment.State.QUEUED, orders=None)
        for each in waiting.select_related("employee"):
            PushCommand.objects.create(
                terminal=terminal,
                kind=orders.Kind.ENROL_FINGER,
                emp_code=each.employee.emp_code,
                finger=each.finger,
                enrolment=each,
                created_by_id=each.created_by_id,
                expires_at=each.expires_at,
            )


def _waits_for_the_last(terminal: Terminal, mark: SyncMark) -> bool:
    """What wasn't handed out yet of an older plan is replaced; what was is waited for."""
    planned = PushCommand.objects.open().filter(terminal=terminal).exclude(intent="")
    terminal.push.refresh_from_db(fields=["planned_for", "listed_at"])
    if mark.wanted > (terminal.push.planned_for or 0):
        push_orders.end(planned.filter(state=State.QUEUED), State.CANCELLED, _REPLACED)
    return planned.exists()


def _try_again(terminal: Terminal) -> None:
    """What was refused a while ago is part of the plan again."""
    with transaction.atomic():
        SyncMark.objects.select_for_update(no_key=True).filter(terminal=terminal).first()
        waited = TerminalPerson.objects.filter(terminal=terminal, retry_at__lte=Now())
        # In the order in which whoever reconciles a terminal writes them.
        locked = waited.order_by(Collate("emp_code", "C")).select_for_update(no_key=True)
        TerminalPerson.objects.filter(pk__in=[row.pk for row in locked.only("pk")]).update(retry_at=None)


class _Refusals:
    """Why something can't be done at a unit that dials, whatever it would answer."""

    def __init__(self, terminal: Terminal) -> None:
        self._state = terminal.push

    def __call__(self, intent: Intent) -> Outcome | None:
        if intent.kind is Kind.ENABLE:
            return Outcome(intent, _NOT_ENABLED, again=_A_DAY)
        if intent.kind in {Kind.ADD, Kind.UPDATE, Kind.COPY_FINGER}:
            sentence = why_unfit(self._state, intent.code)
            return Outcome(intent, sentence, again=_A_DAY) if sentence else None
        return None


_Key = tuple[str, str, int | None]


def _what(intent: Intent) -> _Key:
    return str(intent.kind), intent.code, intent.finger


def _without(keys: Collection[_Key], intents: Sequence[Intent]) -> list[Intent]:
    return [intent for intent in intents if _what(intent) not in keys]


def _failed_lately(terminal: Terminal) -> set[_Key]:
    """Who is to go is tried again at every visit of a terminal that is dialled; one that dials is always there."""
    failed = PushCommand.objects.filter(terminal=terminal, state=State.FAILED, finished_at__gt=Now() - _SOON)
    going = failed.filter(intent__in=[Kind.REMOVE, Kind.DELETE_FINGER])
    return set(going.order_by().values_list("intent", "emp_code", "finger"))


def _questions(terminal: Terminal, codes: Collection[str]) -> list[PushCommand]:
    """Of whom something is to be taken that isn't at hand: the unit tells of them again, and then it is."""
    if not codes:
        return []
    asked = PushCommand.objects.filter(
        terminal=terminal, kind=orders.Kind.QUERY_USERS, emp_code__in=codes, created_at__gt=Now() - QUESTION_LIFE
    )
    left = sorted({*codes} - set(asked.values_list("emp_code", flat=True)))[:_MOST_QUESTIONS]
    expires = timezone.now() + QUESTION_LIFE
    return [
        PushCommand(terminal=terminal, kind=orders.Kind.QUERY_USERS, emp_code=code, expires_at=expires) for code in left
    ]


def _enqueue(
    terminal: Terminal, mark: SyncMark, plan: Sequence[Intent], questions: Sequence[PushCommand], *, begun: datetime
) -> bool:
    """False when somebody else queued a plan meanwhile."""
    with transaction.atomic():
        state = push_orders.hold_state(terminal)
        under_way = PushCommand.objects.open().filter(terminal=terminal).exclude(intent="")
        if state is None or under_way.exists():
            return False
        PushCommand.objects.bulk_create(questions)
        PushCommand.objects.bulk_create((order_of(terminal, intent) for intent in plan), batch_size=500)
        done = state.due_at is not None and state.due_at <= begun
        PushState.objects.filter(terminal=terminal).update(
            planned_for=mark.wanted, due_at=None if done else state.due_at
        )
    return True
