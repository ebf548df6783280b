"""Orders of terminals that dial: what is handed out when, to whom, how often, and what its answer changes."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from iclock import orders
from iclock.domain import commands, comparing, enrolments, placements, push_orders
from iclock.domain.alarms import raise_alarm
from iclock.domain.kept import Held
from iclock.domain.plan import Fields, Intent, Kind
from iclock.domain.push_room import room_of
from iclock.domain.push_written import order_of
from iclock.lines import Answer
from iclock.models import (
    Alarm,
    Biodata,
    Enrolment,
    PersonIntent,
    PushCommand,
    PushState,
    Terminal,
    TerminalCommand,
    TerminalPerson,
    TerminalPresence,
)
from iclock.policy import Direction
from personnel.domain import people
from personnel.models import Area, Department, Employee
from zkbio.accounts.models import User

pytestmark = pytest.mark.django_db

State = PushCommand.State
TEMPLATE = b"a template of a finger" * 20


@pytest.fixture
def area(db: None) -> Area:
    return Area.objects.create(area_code="2")


@pytest.fixture
def gate(area: Area) -> Terminal:
    terminal = Terminal.objects.create(sn="GATE", alias="Gate", area=area, fp_version="10")
    now = timezone.now()
    TerminalPresence.objects.create(terminal=terminal, online=True, since=now, last_activity=now, push_time=now)
    PushState.objects.create(terminal=terminal, listed_at=now)
    comparing.begin(terminal)
    return terminal


def hire(area: Area, code: str, name: str = "Ana", **more: Any) -> Employee:
    department = Department.objects.earliest("pk")
    employee = Employee(emp_code=code, first_name=name, department=department)
    password = more.pop("password", None)
    for key, value in more.items():
        setattr(employee, key, value)
    if password:
        employee.device_password = password
    return people.create_employee(employee, areas=[area])


def give_finger(employee: Employee, number: int = 3, template: bytes = TEMPLATE) -> None:
    row = Biodata(employee=employee, bio_type=Biodata.Type.FINGERPRINT, bio_no=number, major_ver="10")
    row.template = template
    row.save()


def plan(terminal: Terminal) -> list[PushCommand]:
    """The orders of what is to be done by what is known, queued."""
    rows = [order_of(terminal, intent) for intent in placements.plan_for(terminal, room_of(terminal.push))]
    return PushCommand.objects.bulk_create(rows)


def queued(terminal: Terminal, *intents: Intent) -> list[PushCommand]:
    return PushCommand.objects.bulk_create(order_of(terminal, intent) for intent in intents)


def told(batch: bytes) -> dict[int, str]:
    """The texts of a batch by their ids, in its order."""
    lines = batch.decode().splitlines()
    return {int(number): text for number, text in (re.fullmatch(r"C:(\d+):(.*)", line).groups() for line in lines)}  # type: ignore[union-attr]


def answer(terminal: Terminal, *ids: int, returned: int = 0, **more: Any) -> None:
    push_orders.note_answers(terminal, [Answer(each, returned, **more) for each in ids])


def row_of(terminal: Terminal, code: str) -> TerminalPerson:
    return TerminalPerson.objects.get(terminal=terminal, emp_code=code)


def hold(terminal: Terminal, **there: Fields) -> None:
    """The unit told of these people; their codes begin with a letter here."""
    held = {code[1:]: Held(None, fields) for code, fields in there.items()}
    placements.note_told(terminal, held, fingers={}, room=room_of(terminal.push))


def overdue(*, lease: bool = True, sent_ago: timedelta | None = None) -> None:
    changes: dict[str, Any] = {}
    if lease:
        changes["lease_until"] = timezone.now() - timedelta(seconds=1)
    if sent_ago:
        changes["sent_at"] = timezone.now() - sent_ago
    PushCommand.objects.filter(state=State.SENT).update(**changes)


# People


def test_somebody_new_is_sent_before_their_finger_and_held_once_the_unit_said_so(area: Area, gate: Terminal) -> None:
    give_finger(hire(area, "7", card_no="55", password="1234"))
    plan(gate)
    batch = told(push_orders.hand_out(gate))
    user, finger = batch
    assert batch[user] == "DATA UPDATE USERINFO PIN=7\tName=Ana\tPri=0\tPasswd=1234\tCard=55\tGrp=1"
    assert batch[finger].startswith("DATA UPDATE FINGERTMP PIN=7\tFID=3\tSize=")
    kept = PushCommand.objects.get(pk=user)
    assert kept.state == State.SENT
    assert "1234" not in str(kept.sent), "no password is kept"

    answer(gate, user, finger)
    row = row_of(gate, "7")
    assert (row.held, row.placed, row.refusal) == (True, True, "")
    assert row.held_fields["card"] == 55
    assert set(row.held_fingers or {}) == {"3"}
    assert placements.plan_for(gate, room_of(gate.push)) == []
    assert set(PushCommand.objects.values_list("state", "returned")) == {(State.DONE, 0)}
    assert {*PersonIntent.objects.values_list("kind", "done")} == {("add", True), ("copy_finger", True)}
    gate.refresh_from_db()
    assert (gate.user_count, gate.fp_count) == (1, 1), "it counts so many from now on"


def test_what_is_sent_of_somebody_is_how_they_are_when_the_unit_asks(area: Area, gate: Terminal) -> None:
    ana = hire(area, "7")
    plan(gate)
    people.update_employee(ana.pk, {"first_name": "Anne"}, areas=None)
    assert "Name=Anne" in push_orders.hand_out(gate).decode()


def test_who_is_not_wanted_any_more_is_not_sent(area: Area, gate: Terminal) -> None:
    ana = hire(area, "7")
    plan(gate)
    people.update_employee(ana.pk, {}, areas=Area.objects.filter(pk=1))
    assert push_orders.hand_out(gate) == b""
    assert PushCommand.objects.get().state == State.CANCELLED


def test_whom_the_unit_came_to_know_by_another_name_meanwhile_is_not_overwritten(area: Area, gate: Terminal) -> None:
    hire(area, "7")
    plan(gate)
    hold(gate, c7=Fields(name="Bruno", card=9))
    assert push_orders.hand_out(gate) == b""
    assert PushCommand.objects.get().state == State.CANCELLED


def test_what_the_unit_holds_already_is_said_again_beside_what_changes(area: Area, gate: Terminal) -> None:
    ana = hire(area, "7", card_no="55")
    hold(gate, c7=Fields(name="Ana", card=55))
    people.update_employee(ana.pk, {"first_name": "Anne"}, areas=None)
    [row] = plan(gate)
    assert row.columns == "name"
    [text] = told(push_orders.hand_out(gate)).values()
    assert text == "DATA UPDATE USERINFO PIN=7\tName=Anne\tCard=55"


def test_what_was_handed_out_and_is_not_answered_is_agreed_with_nobody(area: Area, gate: Terminal) -> None:
    """So the card that the unit told last is no news, whatever it tells next."""
    hire(area, "7", card_no="55")
    plan(gate)
    assert push_orders.hand_out(gate)
    row = row_of(gate, "7")
    assert (row.placed, row.held) == (True, False)
    assert row.agreed_fields["card"] == "?"


def test_who_left_is_taken_away_and_who_was_gone_already_too(area: Area, gate: Terminal) -> None:
    for code in ("7", "8"):
        hire(area, code)
    plan(gate)
    answer(gate, *told(push_orders.hand_out(gate)))
    for employee in Employee.objects.filter(emp_code__in=["7", "8"]):
        people.update_employee(employee.pk, {}, areas=Area.objects.filter(pk=1))
    plan(gate)
    batch = told(push_orders.hand_out(gate))
    assert [*batch.values()] == ["DATA DELETE USERINFO PIN=7", "DATA DELETE USERINFO PIN=8"]
    first, second = batch
    answer(gate, first)
    answer(gate, second, returned=-10)
    assert not TerminalPerson.objects.filter(terminal=gate).exists()
    assert PushCommand.objects.filter(state=State.DONE).count() == 4


def test_a_full_unit_is_tried_again_tomorrow_and_a_busy_one_soon(area: Area, gate: Terminal) -> None:
    for code in ("7", "8"):
        hire(area, code)
    plan(gate)
    full, busy = told(push_orders.hand_out(gate))
    answer(gate, full, returned=-1001)
    answer(gate, busy, returned=-1005)
    now = timezone.now()
    assert row_of(gate, "7").refusal == "The unit is full."
    assert (row_of(gate, "7").retry_at or now) > now + timedelta(hours=23)
    assert now < (row_of(gate, "8").retry_at or now) < now + timedelta(minutes=6)
    assert PushCommand.objects.get(pk=full).state == State.FAILED


def test_whose_finger_the_unit_refuses_because_it_does_not_know_them_is_sent_again(area: Area, gate: Terminal) -> None:
    give_finger(hire(area, "7"))
    hold(gate, c7=Fields(name="Ana"))
    placements.note_all_told(gate, timezone.now() - timedelta(minutes=1), room=room_of(gate.push))
    plan(gate)
    TerminalPerson.objects.update(told_at=timezone.now() - timedelta(hours=1))
    [finger] = told(push_orders.hand_out(gate))
    answer(gate, finger, returned=-10)
    assert not row_of(gate, "7").held
    TerminalPerson.objects.update(retry_at=None)
    kinds = [intent.kind for intent in placements.plan_for(gate, room_of(gate.push))]
    assert kinds == [Kind.ADD, Kind.COPY_FINGER]


def test_a_finger_waits_until_it_is_known_that_its_person_is_there(area: Area, gate: Terminal) -> None:
    give_finger(hire(area, "7"))
    user, finger = plan(gate)
    PushCommand.objects.filter(pk=finger.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert [*told(push_orders.hand_out(gate))] == [user.pk]
    PushCommand.objects.filter(pk=finger.pk).update(expires_at=None)
    assert push_orders.hand_out(gate) == b""
    answer(gate, user.pk)
    assert [*told(push_orders.hand_out(gate))] == [finger.pk]


def test_what_the_unit_told_after_the_order_is_not_overwritten_by_its_answer(area: Area, gate: Terminal) -> None:
    ana = hire(area, "7", card_no="55")
    hold(gate, c7=Fields(name="Ana"))
    plan(gate)
    [order] = told(push_orders.hand_out(gate))
    hold(gate, c7=Fields(name="Ana", card=77))
    answer(gate, order)
    assert row_of(gate, "7").held_fields["card"] == 77
    assert ana.card_no == "55"


def test_what_a_unit_does_and_tells_otherwise_over_and_over_is_left_for_a_day(area: Area, gate: Terminal) -> None:
    hire(area, "7", name="Maximiliana")
    hold(gate, c7=Fields(name="Maximilia"))
    TerminalPerson.objects.update(agreed_fields={"name": "Maximiliana"}, placed=True)
    for _ in range(3):
        plan(gate)
        answer(gate, *told(push_orders.hand_out(gate)))
        hold(gate, c7=Fields(name="Maximilia"))
    plan(gate)
    assert push_orders.hand_out(gate) == b""
    assert "3 times" in row_of(gate, "7").refusal
    assert placements.plan_for(gate, room_of(gate.push)) == []


def test_somebody_whose_code_has_no_room_disturbs_nobody(area: Area, gate: Terminal) -> None:
    hire(area, "7")
    hire(area, "1234567890")
    plan(gate)
    assert [*told(push_orders.hand_out(gate)).values()] == [
        "DATA UPDATE USERINFO PIN=7\tName=Ana\tPri=0\tPasswd=\tCard=0\tGrp=1"
    ]
    assert "more than the 9 digits" in row_of(gate, "1234567890").refusal
    PushState.objects.update(options={"PIN2Width": "14"})
    gate.push.refresh_from_db()
    TerminalPerson.objects.update(retry_at=None)
    plan(gate)
    assert "PIN=1234567890\t" in push_orders.hand_out(gate).decode()


def test_a_batch_has_at_most_200_orders_and_the_next_one_goes_on(area: Area, gate: Terminal) -> None:
    for number in range(1, 206):
        hire(area, str(number))
    plan(gate)
    first, second = told(push_orders.hand_out(gate)), told(push_orders.hand_out(gate))
    assert (len(first), len(second)) == (200, 5)
    assert max(first) < min(second)


def test_templates_go_as_many_as_an_answer_has_room_for(area: Area, gate: Terminal) -> None:
    ana = hire(area, "7")
    for finger in range(10):
        give_finger(ana, finger, bytes([finger]) * 9000)
    plan(gate)
    sizes = []
    while batch := push_orders.hand_out(gate):
        assert len(batch) < 40 * 1024
        sizes.append(len(told(batch)))
        answer(gate, *told(batch))
    assert sizes == [4, 3, 3, 1]


@pytest.mark.parametrize("direction", [Direction.IMPORT, Direction.OFF])
def test_nothing_is_written_where_the_direction_forbids_it(area: Area, gate: Terminal, direction: str) -> None:
    hire(area, "7")
    plan(gate)
    Terminal.objects.update(direction=direction)
    gate.refresh_from_db()
    assert push_orders.hand_out(gate) == b""


# Who is given anything


@pytest.mark.parametrize("admission", [Terminal.Admission.PENDING, Terminal.Admission.BLOCKED])
def test_who_is_not_approved_is_never_given_an_order(gate: Terminal, admission: str) -> None:
    push_orders.queue(gate, orders.Kind.CHECK)
    gate.admission = admission
    assert push_orders.hand_out(gate) == b""


def test_two_units_of_one_serial_number_are_given_nothing(gate: Terminal) -> None:
    push_orders.queue(gate, orders.Kind.CHECK)
    raise_alarm(gate, Alarm.Kind.TWO_PLACES, "There are two of them.")
    assert push_orders.hand_out(gate) == b""
    Alarm.objects.update(closed_at=timezone.now())
    assert push_orders.hand_out(gate)


def test_one_that_waits_for_nothing_costs_one_query(gate: Terminal, django_assert_num_queries: Any) -> None:
    gate = Terminal.objects.select_related("push", "presence").get(pk=gate.pk)
    with django_assert_num_queries(1):
        assert push_orders.hand_out(gate) == b""


# Twice, late, never


@pytest.mark.django_db(transaction=True)
def test_two_requests_of_one_unit_at_once_get_an_order_once(gate: Terminal) -> None:
    for _ in range(5):
        PushCommand.objects.create(terminal=gate, kind=orders.Kind.CLEAR_PHOTOS)

    def ask(_: int) -> list[int]:
        try:
            return [*told(push_orders.hand_out(gate))]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        handed = [number for batch in threads.map(ask, range(8)) for number in batch]
    assert sorted(handed) == sorted(PushCommand.objects.values_list("pk", flat=True))
    assert {*PushCommand.objects.values_list("times_sent", flat=True)} == {1}


def test_an_order_whose_answer_was_lost_is_handed_out_again_when_that_does_no_harm(area: Area, gate: Terminal) -> None:
    hire(area, "7")
    plan(gate)
    first = push_orders.hand_out(gate)
    assert push_orders.hand_out(gate) == b"", "its answer may be on its way"
    overdue()
    assert push_orders.hand_out(gate) == first
    [number] = told(first)
    answer(gate, number)
    assert row_of(gate, "7").held
    assert PushCommand.objects.get().times_sent == 2


def test_after_five_times_nobody_knows_and_the_plan_begins_anew_after_a_while(area: Area, gate: Terminal) -> None:
    hire(area, "7")
    plan(gate)
    for _ in range(5):
        assert push_orders.hand_out(gate)
        overdue()
    assert push_orders.hand_out(gate) == b""
    assert push_orders.settle() == 1
    row = PushCommand.objects.get()
    assert (row.state, row.result) == (State.FAILED, "Sent, but no answer came.")
    assert not PersonIntent.objects.get().done
    assert placements.plan_for(gate, room_of(gate.push)) == [], "it answers nothing: not at once"
    TerminalPerson.objects.update(retry_at=timezone.now())
    assert [intent.kind for intent in placements.plan_for(gate, room_of(gate.push))] == [Kind.ADD]


def test_what_does_harm_twice_is_handed_out_once_and_given_up_after_an_hour(gate: Terminal) -> None:
    PushCommand.objects.create(terminal=gate, kind=orders.Kind.CLEAR_PHOTOS)
    assert push_orders.hand_out(gate)
    overdue()
    assert push_orders.hand_out(gate) == b""
    assert push_orders.settle() == 0
    overdue(sent_ago=timedelta(hours=1, seconds=1))
    assert push_orders.settle() == 1
    assert PushCommand.objects.get().state == State.FAILED


def test_an_answer_that_comes_late_counts(area: Area, gate: Terminal) -> None:
    hire(area, "7")
    plan(gate)
    [number] = told(push_orders.hand_out(gate))
    overdue(sent_ago=timedelta(hours=2))
    push_orders.settle()
    answer(gate, number)
    assert PushCommand.objects.get().state == State.DONE
    assert row_of(gate, "7").held


def test_an_answer_is_heard_once_and_only_from_the_unit_that_was_asked(area: Area, gate: Terminal) -> None:
    other = Terminal.objects.create(sn="DOOR", alias="Door", area=area)
    PushState.objects.create(terminal=other)
    order = push_orders.queue(gate, orders.Kind.CHECK)
    answer(gate, order.pk, 999_999, returned=-1)
    order.refresh_from_db()
    assert order.state == State.QUEUED, "it was never handed out"
    push_orders.hand_out(gate)
    answer(other, order.pk, returned=-1)
    answer(gate, order.pk)
    answer(gate, order.pk, returned=-1)
    order.refresh_from_db()
    assert (order.state, order.returned) == (State.DONE, 0)


def test_a_value_that_starts_another_field_is_refused(area: Area, gate: Terminal) -> None:
    order = PushCommand.objects.create(terminal=gate, kind=orders.Kind.QUERY_USERS, emp_code="7\tPri=14")
    assert push_orders.hand_out(gate) == b""
    order.refresh_from_db()
    assert order.state == State.FAILED
    assert "TAB" in order.result


def test_what_nobody_came_for_expires(gate: Terminal) -> None:
    order = push_orders.queue(gate, orders.Kind.CHECK)
    PushCommand.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert push_orders.hand_out(gate) == b""
    assert push_orders.settle() == 1
    order.refresh_from_db()
    assert order.state == State.EXPIRED


def test_asking_twice_for_the_same_adds_nothing_and_a_cancelled_order_is_not_handed_out(gate: Terminal) -> None:
    user = User.objects.create_user("ana")
    order = push_orders.ask(gate, "info", user=user)
    assert push_orders.ask(gate, "info", user=user).pk == order.pk
    assert push_orders.cancel(PushCommand.objects.all()) == 1
    assert push_orders.hand_out(gate) == b""
    with pytest.raises(ValueError, match="nothing that somebody asks"):
        push_orders.ask(gate, "reboot", user=user)


def test_what_a_unit_tells_of_itself_when_it_is_asked_is_kept(gate: Terminal) -> None:
    order = push_orders.queue(gate, orders.Kind.INFO)
    push_orders.hand_out(gate)
    answer(gate, order.pk, told={"UserCount": "12", "FWVersion": "Ver 8"})
    gate.refresh_from_db()
    assert (gate.user_count, gate.fw_ver) == (12, "Ver 8")


# Wishes


def wish(terminal: Terminal, kind: str, *parts: orders.Kind) -> TerminalCommand:
    command = TerminalCommand.objects.create(terminal=terminal, kind=kind)
    span = {"start": "2026-01-01T00:00:00", "end": "2026-01-02T00:00:00"}
    for part in parts:
        PushCommand.objects.create(terminal=terminal, kind=part, command=command, arguments=span)
    return command


def test_a_restart_is_the_last_of_its_batch_and_is_told_by_the_next_handshake(gate: Terminal) -> None:
    command = wish(gate, "reboot", orders.Kind.REBOOT)
    push_orders.queue(gate, orders.Kind.CHECK)
    assert [*told(push_orders.hand_out(gate)).values()] == ["REBOOT"]
    command.refresh_from_db()
    assert command.state == TerminalCommand.State.SENT
    overdue()
    PushState.objects.update(shook_hands_at=timezone.now() + timedelta(seconds=1))
    assert push_orders.settle() == 1
    command.refresh_from_db()
    assert command.state == TerminalCommand.State.DONE
    assert [*told(push_orders.hand_out(gate)).values()] == ["CHECK"]


def test_a_command_is_done_when_all_of_its_orders_are(gate: Terminal) -> None:
    command = wish(gate, "upload_all", orders.Kind.QUERY_USERS, orders.Kind.QUERY_ATTLOG)
    first, second = told(push_orders.hand_out(gate))
    answer(gate, first, returned=3)
    command.refresh_from_db()
    assert command.state == TerminalCommand.State.SENT
    answer(gate, second, returned=-1002)
    command.refresh_from_db()
    assert (command.state, command.result) == ("failed", "The unit doesn't support this command.")


def test_a_cancelled_command_is_not_carried_out(gate: Terminal) -> None:
    wish(gate, "reboot", orders.Kind.REBOOT)
    commands.clear_commands([gate], user=User.objects.create_user("ana"))
    assert push_orders.hand_out(gate) == b""
    assert PushCommand.objects.get().state == State.CANCELLED


@pytest.mark.parametrize(
    ("returned", "state"), [(0, "done"), (2, "failed"), (4, "failed"), (6, "cancelled"), (-10, "failed")]
)
def test_an_enrolment_ends_as_the_unit_says(area: Area, gate: Terminal, returned: int, state: str) -> None:
    ana = hire(area, "7")
    enrolment = Enrolment.objects.create(terminal=gate, employee=ana, finger=3)
    PushCommand.objects.create(
        terminal=gate, kind=orders.Kind.ENROL_FINGER, emp_code="7", finger=3, enrolment=enrolment
    )
    [number] = told(push_orders.hand_out(gate))
    enrolment.refresh_from_db()
    assert enrolment.state == Enrolment.State.RUNNING
    answer(gate, number, returned=returned)
    enrolment.refresh_from_db()
    assert enrolment.state == state
    assert enrolment.sentence


def test_nobody_is_enrolled_after_somebody_cancelled_it(area: Area, gate: Terminal) -> None:
    enrolment = Enrolment.objects.create(terminal=gate, employee=hire(area, "7"), finger=3)
    PushCommand.objects.create(
        terminal=gate, kind=orders.Kind.ENROL_FINGER, emp_code="7", finger=3, enrolment=enrolment
    )
    enrolments.cancel(enrolment, actor="test")
    assert push_orders.hand_out(gate) == b""
    assert PushCommand.objects.get().state == State.CANCELLED


def test_orders_are_forgotten_after_a_while(gate: Terminal) -> None:
    order = push_orders.queue(gate, orders.Kind.CHECK)
    push_orders.hand_out(gate)
    answer(gate, order.pk)
    assert push_orders.purge_orders() == 0
    PushCommand.objects.update(finished_at=timezone.now() - timedelta(days=31))
    assert push_orders.purge_orders() == 1
