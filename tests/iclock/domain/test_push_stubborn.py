"""Units that dial and don't do what they should: what they are asked doesn't go round in circles, and nothing is
concluded from what they leave out."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from iclock.domain import comparing, push_feeding, push_gathering, push_orders, push_reconciling
from iclock.domain.ingest import Post, record_punches
from iclock.domain.push_gathering import Gathering, Position
from iclock.domain.push_people import note_people
from iclock.lines import Answer, UserLine
from iclock.models import (
    PushCommand,
    PushState,
    SyncMark,
    Terminal,
    TerminalCommand,
    TerminalPerson,
    TerminalPresence,
)
from iclock.policy import Direction
from iclock.punch import Punch, Reject, Source
from personnel.domain import people
from personnel.models import Area, Department, Employee

pytestmark = pytest.mark.django_db(transaction=True)

State = PushCommand.State


@pytest.fixture
def area(db: None) -> Area:
    return Area.objects.create(area_code="2")


@pytest.fixture
def gate(area: Area) -> Terminal:
    terminal = Terminal.objects.create(sn="GATE", alias="Gate", area=area, fp_version="10")
    now = timezone.now()
    TerminalPresence.objects.create(terminal=terminal, online=True, since=now, last_activity=now, push_time=now)
    PushState.objects.create(terminal=terminal, shook_hands_at=now)
    return terminal


def hire(area: Area, code: str, name: str = "Ana") -> Employee:
    department = Department.objects.earliest("pk")
    return people.create_employee(Employee(emp_code=code, first_name=name, department=department), areas=[area])


def fresh(terminal: Terminal) -> Terminal:
    return Terminal.objects.select_related("push", "presence", "area").get(pk=terminal.pk)


def asks(terminal: Terminal) -> dict[int, str]:
    """The unit asks for orders: their texts by their ids."""
    lines = push_orders.hand_out(fresh(terminal)).decode().splitlines()
    return {int(line.split(":", 2)[1]): line.split(":", 2)[2] for line in lines}


def answers(terminal: Terminal, *ids: int, returned: int = 0, **told: str) -> None:
    push_orders.note_answers(fresh(terminal), [Answer(pk, returned, told=told) for pk in ids])


def tells(terminal: Terminal, *codes: str) -> None:
    note_people(fresh(terminal), [UserLine(pin=code, name=f"N{code}", card=0, privilege=0) for code in codes], [])


def time_passes(by: timedelta) -> None:
    """Everything happened so much earlier."""
    for model, names in (
        (PushCommand, ("created_at", "sent_at", "lease_until", "finished_at", "expires_at")),
        (PushState, ("listed_at", "due_at", "verified_at", "shook_hands_at")),
        (TerminalPerson, ("told_at", "retry_at")),
        (SyncMark, ("compared_at", "fingers_read_at")),
    ):
        for row in model.objects.all():
            moved = {name: getattr(row, name) - by for name in names if getattr(row, name, None)}
            if moved:
                model.objects.filter(pk=row.pk).update(**moved)


def stores(terminal: Terminal, count: int) -> None:
    start = (timezone.now() - timedelta(hours=2)).replace(tzinfo=None, microsecond=0)
    record_punches(
        fresh(terminal), [Punch("7", start + timedelta(seconds=n), 0, 1) for n in range(count)], source=Source.PUSH
    )


def test_two_workers_that_compare_at_once_ask_once_and_still_judge(gate: Terminal) -> None:
    stores(gate, 3)
    push_reconciling.compare(fresh(gate))
    push_reconciling.compare(fresh(gate))
    assert PushState.objects.get().verified_at is None
    [pk] = asks(gate)
    answers(gate, pk, AttlogSum="3")
    push_reconciling.compare_due()
    assert TerminalPresence.objects.get().complete_until is not None


def test_a_unit_without_sums_whose_log_was_cleared_sends_it_again_once_a_day(gate: Terminal) -> None:
    gate.direction = Direction.OFF
    gate.save()
    stores(gate, 20)
    sent = 0
    for _ in range(40):
        push_reconciling.compare_due()
        for pk, text in asks(gate).items():
            if text.startswith("VERIFY"):
                answers(gate, pk, returned=-1002)
            elif text == "INFO":
                answers(gate, pk, TransactionCount="5")
            else:
                sent += 1
                push_gathering.advance([Position(gate, "ATTLOG", "", 5)])
                answers(gate, pk)
        if not push_reconciling._due().exists():
            time_passes(timedelta(minutes=16))
    assert sent <= 2, sent


def test_a_photo_that_was_refused_is_no_punch(gate: Terminal) -> None:
    stores(gate, 3)
    record_punches(gate, (), source=Source.PUSH, rejects=[Reject(b"photo of 7, 12 bytes", "no picture")])
    push_reconciling.compare_due()
    [pk] = asks(gate)
    answers(gate, pk, AttlogSum="4")
    push_reconciling.compare_due()
    assert TerminalPresence.objects.get().complete_until is None


def test_who_was_not_told_yet_when_everything_is_sent_again_is_not_taken_for_gone(area: Area, gate: Terminal) -> None:
    """UPLOAD_ALL: the count that is known is an old one, the answer comes before the lines."""
    first_contact(gate, "1", "2", "3")
    tells(gate, "4", "5")
    Terminal.objects.update(user_count=2)
    TerminalCommand.objects.create(
        terminal=gate, kind="upload_all", state="queued", expires_at=timezone.now() + timedelta(hours=1)
    )
    push_feeding.feed_due()
    ids = asks(gate)
    assert "DATA QUERY USERINFO" in ids.values()
    tells(gate, "1", "2")
    answers(gate, *ids, UserCount="5")
    push_feeding.feed_due()
    assert TerminalPerson.objects.filter(held=True).count() == 5


def test_a_list_of_a_unit_that_does_not_say_how_many_there_are_is_not_taken_for_whole(
    area: Area, gate: Terminal
) -> None:
    first_contact(gate, "1", "2", "3")
    Terminal.objects.update(user_count=0)
    comparing.compare_now([gate.pk])
    push_feeding.feed_due()
    ids = asks(gate)
    tells(gate, "1")
    for pk, text in ids.items():
        answers(gate, pk, returned=-1002 if text == "INFO" else 0)
    push_feeding.feed_due()
    assert TerminalPerson.objects.filter(held=True).count() == 3


def first_contact(gate: Terminal, *codes: str) -> None:
    push_feeding.feed_due()
    ids = asks(gate)
    tells(gate, *codes)
    answers(gate, *ids, UserCount=str(len(codes)))
    push_feeding.feed_due()
    assert TerminalPerson.objects.filter(held=True).count() == len(codes)


def test_a_unit_that_never_answers_is_not_asked_for_its_people_all_the_time(gate: Terminal) -> None:
    asked = 0
    for _ in range(60):  # three hours
        push_feeding.feed_due()
        asked += [*asks(gate).values()].count("DATA QUERY USERINFO")
        time_passes(timedelta(minutes=3))
    assert asked <= 15, asked


def test_a_unit_that_never_says_what_came_of_somebody_is_not_sent_them_all_the_time(area: Area, gate: Terminal) -> None:
    hire(area, "7")
    first_contact(gate, "99")
    sent = 0
    for _ in range(60):  # three hours
        push_feeding.feed_due()
        ids = asks(gate)
        sent += sum(text.startswith("DATA UPDATE") for text in ids.values())
        for pk, text in ids.items():
            if not text.startswith("DATA UPDATE"):
                tells(gate, "99")
                answers(gate, pk, UserCount="1")
        time_passes(timedelta(minutes=3))
    assert sent <= 20, sent


def test_who_left_while_nobody_knew_whether_they_came_there_is_removed_within_minutes(
    area: Area, gate: Terminal
) -> None:
    ana = hire(area, "7")
    first_contact(gate, "99")
    ids = asks(gate)
    assert any("PIN=7" in text for text in ids.values())
    time_passes(timedelta(hours=2))  # it wrote them; then the line was down
    people.update_employee(ana.pk, {}, areas=Area.objects.filter(pk=1))
    for _ in range(20):
        push_feeding.feed_due()
        for pk, text in asks(gate).items():
            if text == "DATA DELETE USERINFO PIN=7":
                return
            tells(gate, "99", "7")
            answers(gate, pk, UserCount="2")
        time_passes(timedelta(minutes=1))
    pytest.fail("they are still there")


def test_a_post_that_is_broken_off_while_it_waits_holds_up_nobody(gate: Terminal, monkeypatch: Any) -> None:
    monkeypatch.setattr(push_gathering, "PATIENCE_SECONDS", 1.0)
    gathering = Gathering()
    one = Post(fresh(gate), [Punch("7", datetime(2026, 3, 2, 8), 0, 1)])
    position = Position(gate, "ATTLOG", "", 1)

    class BrokenOff(BaseException):
        pass

    def break_off() -> None:
        raise BrokenOff

    gathering._storing = True
    monkeypatch.setattr(push_gathering, "let_connection_go", break_off)
    with pytest.raises(BrokenOff):
        gathering.store(one, position)
    monkeypatch.undo()
    gathering._hand_on()  # whoever stored is done
    assert gathering.store(one, position) == 1


def test_whose_code_was_given_to_somebody_else_before_the_unit_answered_is_asked_for_first(
    area: Area, gate: Terminal
) -> None:
    """The unit wrote the former one, and their finger, but that isn't known here."""
    ana = hire(area, "7")
    first_contact(gate, "99")
    assert any("PIN=7" in text for text in asks(gate).values())
    people.delete_employees([ana.pk])
    hire(area, "7", "Bob")
    time_passes(timedelta(minutes=2))
    sent = []
    for _ in range(10):
        push_feeding.feed_due()
        for pk, text in asks(gate).items():
            sent.append(text.replace("\t", " ")[:40])
            if text == "DATA QUERY USERINFO":
                tells(gate, "99", "7")
            answers(gate, pk, UserCount="2")
        time_passes(timedelta(minutes=1))
    about = [text for text in sent if "PIN=7" in text]
    assert about[0] == "DATA DELETE USERINFO PIN=7", sent
    assert about[1].startswith("DATA UPDATE USERINFO PIN=7"), sent


def test_a_unit_that_is_always_busy_is_tried_every_hour(area: Area, gate: Terminal) -> None:
    hire(area, "7")
    first_contact(gate, "99")
    sent = 0
    for _ in range(48):
        push_feeding.feed_due()
        for pk in asks(gate):
            sent += 1
            answers(gate, pk, returned=-1005)
        time_passes(timedelta(minutes=5))
        TerminalPerson.objects.filter(retry_at__lte=timezone.now() + timedelta(seconds=20)).update(
            retry_at=timezone.now()
        )
    assert 4 <= sent <= 8, sent
