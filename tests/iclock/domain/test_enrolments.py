"""Asking for a finger: who may be asked for, one at a time at a terminal, and a state that only moves forward."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models.functions import Now
from django.test import override_settings
from django.utils import timezone

from iclock.domain import presence
from iclock.domain.enrolments import (
    advance,
    ask,
    cancel,
    claim,
    expire,
    finish,
    is_wanted,
    purge,
    stored_digest,
    waits_at,
)
from iclock.models import Biodata, Enrolment, Terminal
from iclock.signals import terminals_called
from personnel.domain.resignations import resign
from personnel.models import Area, Department, Employee
from personnel.models.scope import AreaLimit, DepartmentLimit
from zkbio.accounts.models import AuditEntry, User

pytestmark = pytest.mark.django_db

LONG_AGO = timezone.now() - timedelta(days=1)


@pytest.fixture
def area(db: None) -> Area:
    return Area.objects.create(area_code="2", area_name="Two")


@pytest.fixture
def gate(terminal: Terminal, area: Area) -> Terminal:
    Terminal.objects.update(area=area)
    terminal.refresh_from_db()
    presence.mark_online(terminal)
    return terminal


@pytest.fixture
def ana(area: Area) -> Employee:
    person = Employee.objects.create(emp_code="1001", first_name="Ana", department_id=1)
    person.areas.set([area])
    return person


@pytest.fixture
def enrolment(gate: Terminal, ana: Employee) -> Enrolment:
    return ask(gate, ana, 6, user=None, actor="test")


def state_of(enrolment: Enrolment) -> str:
    enrolment.refresh_from_db()
    return enrolment.state


def refusal(terminal: Terminal, employee: Employee, finger: int = 6, user: Any = None) -> str:
    with pytest.raises(ValidationError) as caught:
        ask(terminal, employee, finger, user=user, actor="test")
    (sentence,) = caught.value.messages
    return sentence


@pytest.mark.django_db(transaction=True)
def test_what_is_asked_for_waits_and_calls_the_terminal(gate: Terminal, ana: Employee) -> None:
    called: list[frozenset[int]] = []

    def hear(terminal_ids: frozenset[int], **_news: object) -> None:
        called.append(terminal_ids)

    terminals_called.connect(hear)
    try:
        enrolment = ask(gate, ana, 0, user=None, actor="test")
    finally:
        terminals_called.disconnect(hear)

    assert called == [frozenset({gate.pk})]
    assert (enrolment.state, enrolment.finger, enrolment.scans) == ("queued", 0, 0)
    assert enrolment.expires_at - enrolment.created_at == timedelta(minutes=5)


def test_an_open_one_refuses_another_and_names_who_is_enrolled(enrolment: Enrolment, ana: Employee) -> None:
    assert refusal(enrolment.terminal, ana, 7) == (
        "Gate (CKJF201260077) enrols finger 6 of 1001 Ana already: wait for that, or cancel it."
    )
    assert cancel(enrolment, actor="test")
    assert ask(enrolment.terminal, ana, 7, user=None, actor="test").state == "queued"


def test_who_is_enrolled_is_named_only_to_whom_may_read_of_them(enrolment: Enrolment, area: Area) -> None:
    """A clerk of another department, then one of theirs without the permission to read of people, then with it."""
    elsewhere = Department.objects.create(dept_code="9", dept_name="Nine")
    bob = Employee.objects.create(emp_code="1002", first_name="Bob", department=elsewhere)
    bob.areas.set([area])
    clerk = User.objects.create_user("clerk")
    DepartmentLimit.objects.create(user=clerk, department=elsewhere)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_employee"))
    somebody = "Gate (CKJF201260077) enrols a finger of somebody already: wait for that, or cancel it."

    assert refusal(enrolment.terminal, bob, user=User.objects.get(pk=clerk.pk)) == somebody
    DepartmentLimit.objects.all().delete()
    assert "of 1001 Ana already" in refusal(enrolment.terminal, bob, user=User.objects.get(pk=clerk.pk))
    clerk.user_permissions.clear()
    assert refusal(enrolment.terminal, bob, user=User.objects.get(pk=clerk.pk)) == somebody


def test_those_of_people_and_at_terminals_outside_the_limits_are_not_seen(enrolment: Enrolment, area: Area) -> None:
    clerk = User.objects.create_user("clerk")
    limit = DepartmentLimit.objects.create(
        user=clerk, department=Department.objects.create(dept_code="9", dept_name="Nine")
    )
    assert not Enrolment.objects.visible_to(User.objects.get(pk=clerk.pk)).exists()

    DepartmentLimit.objects.filter(pk=limit.pk).update(department=enrolment.employee.department)
    assert Enrolment.objects.visible_to(User.objects.get(pk=clerk.pk)).get() == enrolment

    Terminal.objects.update(area=Area.objects.create(area_code="3", area_name="Three"))
    AreaLimit.objects.create(user=clerk, area=area)
    assert not Enrolment.objects.visible_to(User.objects.get(pk=clerk.pk)).exists()


@pytest.mark.parametrize("how", ["never reached", "not polled any more"])
def test_a_terminal_that_nobody_calls_is_refused(how: str, gate: Terminal, ana: Employee) -> None:
    if how == "never reached":
        gate.presence.delete()
    else:
        presence.expect_no_more([gate.pk])

    assert refusal(gate, ana) == (
        "Nobody polls Gate (CKJF201260077), or it was never reached: nobody would ask for the finger there."
    )
    assert Enrolment.objects.count() == 0


@pytest.mark.parametrize("finger", [-1, 10])
def test_a_finger_that_no_hand_has_is_refused(finger: int, gate: Terminal, ana: Employee) -> None:
    assert refusal(gate, ana, finger) == f"Fingers are numbered 0 to 9; there is no finger {finger}."


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"admission": "pending"}, "Gate (CKJF201260077) is not approved: approve the terminal first."),
        ({"admission": "blocked"}, "Gate (CKJF201260077) is not approved: approve the terminal first."),
        (
            {"direction": "off"},
            "The people of Gate (CKJF201260077) are its own (direction “off”): nothing is taken from it.",
        ),
    ],
)
def test_a_terminal_that_takes_no_part_is_refused(
    change: dict[str, str], sentence: str, gate: Terminal, ana: Employee
) -> None:
    Terminal.objects.update(**change)
    gate.refresh_from_db()

    assert refusal(gate, ana) == sentence


def test_who_does_not_belong_on_the_terminal_is_refused(gate: Terminal, ana: Employee) -> None:
    resign([ana.pk], resign_date=LONG_AGO.date())

    assert refusal(gate, ana).startswith("1001 Ana doesn't belong on Gate (CKJF201260077): ")
    assert Enrolment.objects.count() == 0


@override_settings(BIOMETRIC_CONSENT=True)
def test_who_did_not_agree_is_refused_where_that_is_asked_for(gate: Terminal, ana: Employee) -> None:
    assert refusal(gate, ana) == "1001 Ana did not agree to biometrics: note that on the employee first."

    ana.biometric_consent = True
    assert ask(gate, ana, 6, user=None, actor="test").state == "queued"


def test_nobody_asks_beyond_their_limits(gate: Terminal, ana: Employee, area: Area) -> None:
    clerk = User.objects.create_user("clerk")
    limit = AreaLimit.objects.create(user=clerk, area=Area.objects.create(area_code="3", area_name="Three"))

    assert refusal(gate, ana, user=clerk) == "This terminal or this person is outside of your limits."
    AreaLimit.objects.filter(pk=limit.pk).update(area=area)
    assert ask(gate, ana, 6, user=User.objects.get(pk=clerk.pk), actor=clerk).created_by == clerk


@pytest.mark.django_db(transaction=True)
def test_of_two_who_ask_at_once_one_is_told_to_wait(gate: Terminal, ana: Employee) -> None:
    start = Barrier(2, timeout=10)
    said: list[str] = []

    def race(finger: int) -> None:
        try:
            start.wait()
            said.append(ask(gate, ana, finger, user=None, actor="test").state)
        except ValidationError as error:
            said.extend(error.messages)
        finally:
            connection.close()

    racers = [Thread(target=race, args=(finger,)) for finger in (1, 2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(10)

    assert sorted(said)[1] == "queued"
    assert "enrols finger" in sorted(said)[0]
    assert Enrolment.objects.count() == 1


def test_one_is_given_to_one_caller_only(enrolment: Enrolment) -> None:
    claimed = claim(enrolment.terminal_id, since=LONG_AGO)

    assert claimed == enrolment
    assert claim(enrolment.terminal_id, since=LONG_AGO) is None
    assert state_of(enrolment) == "running"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda: Terminal.objects.update(admission="blocked"), "is not approved"),
        (lambda: Terminal.objects.update(direction="off"), "are its own (direction “off”)"),
        (lambda: Employee.objects.update(enable_attendance=False), "1001 doesn't belong on Gate"),
        (lambda: Employee.objects.update(biometric_consent=False), "1001 did not agree to biometrics"),
    ],
    ids=["blocked", "off", "gone", "consent taken back"],
)
@pytest.mark.parametrize("at", [lambda pk: claim(pk, since=LONG_AGO), waits_at], ids=["claim", "before"])
@override_settings(BIOMETRIC_CONSENT=True)
def test_what_was_right_when_it_was_asked_for_has_to_be_right_when_it_counts(
    at: Callable[[int], object], change: Callable[[], int], sentence: str, gate: Terminal, ana: Employee
) -> None:
    Employee.objects.update(biometric_consent=True)
    ana.refresh_from_db()
    enrolment = ask(gate, ana, 6, user=None, actor="test")
    change()

    assert not at(gate.pk)

    assert (state_of(enrolment), enrolment.finished_at is None) == ("failed", False)
    assert sentence in enrolment.sentence
    assert "Ana" not in enrolment.sentence
    ended = AuditEntry.objects.get(action="iclock.enrol").detail
    assert (ended["state"], ended["result"]) == ("failed", enrolment.sentence)


def test_who_lost_it_and_got_another_of_the_same_terminal_tells_of_theirs_only(enrolment: Enrolment) -> None:
    """The same row, begun once more: by hand, since nothing here does so."""
    former = claim(enrolment.terminal_id, since=LONG_AGO)
    assert former is not None
    Enrolment.objects.update(started_at=Now() + timedelta(seconds=1))

    assert not is_wanted(former)
    assert not advance(former, scans=3, sentence="3 of 3")
    assert not finish(former, Enrolment.State.DONE, "Enrolled.")
    assert state_of(enrolment) == "running"


def test_the_stored_finger_is_that_of_the_same_algorithm_person_and_finger(enrolment: Enrolment, ana: Employee) -> None:
    other = Employee.objects.create(emp_code="1002", department_id=1)
    rows = [
        (ana, 1, 6, 0, "9"),
        (ana, 1, 7, 0, "10"),
        (other, 1, 6, 0, "10"),
        (ana, 2, 6, 0, "10"),
        (ana, 1, 6, 1, "10"),
    ]
    for number, (who, kind, finger, index, version) in enumerate(rows):
        row = Biodata(employee=who, bio_type=kind, bio_no=finger, bio_index=index, major_ver=version)
        row.template = bytes([number + 1]) * 9
        row.save()

    assert stored_digest(enrolment, version="10") is None
    assert stored_digest(enrolment, version="9") == Biodata.objects.get(major_ver="9").digest


def test_how_it_stands_is_written_down_and_then_what_came_of_it(enrolment: Enrolment) -> None:
    claimed = claim(enrolment.terminal_id, since=LONG_AGO)
    assert claimed is not None

    assert advance(claimed, scans=2, sentence="2 of 3")
    enrolment.refresh_from_db()
    assert (enrolment.state, enrolment.scans, enrolment.sentence) == ("running", 2, "2 of 3")
    assert finish(claimed, Enrolment.State.DONE, "x" * 400)
    enrolment.refresh_from_db()
    assert (enrolment.state, enrolment.sentence, enrolment.finished_at is None) == ("done", "x" * 300, False)


def test_what_is_over_stays_over(enrolment: Enrolment) -> None:
    claimed = claim(enrolment.terminal_id, since=LONG_AGO)
    assert claimed is not None
    assert is_wanted(claimed)

    assert cancel(enrolment, actor="test")

    assert not is_wanted(claimed)
    assert not advance(claimed, scans=3, sentence="3 of 3")
    assert not finish(claimed, Enrolment.State.DONE, "Enrolled.")
    assert not cancel(enrolment, actor="test")
    assert state_of(enrolment) == "cancelled"
    actions = AuditEntry.objects.order_by("id").values_list("action", flat=True)
    assert list(actions) == ["iclock.ask_to_enrol", "iclock.cancel_enrolment"]


def test_what_a_former_holder_left_ends_and_is_not_begun_again(enrolment: Enrolment) -> None:
    left = claim(enrolment.terminal_id, since=LONG_AGO)
    assert left is not None

    assert claim(enrolment.terminal_id, since=timezone.now() + timedelta(minutes=1)) is None

    assert state_of(enrolment) == "failed"
    assert not finish(left, Enrolment.State.DONE, "Enrolled.")


@pytest.mark.parametrize(
    ("column", "ago", "state", "ended"),
    [
        ({"state": "queued"}, ("expires_at", timedelta(seconds=1)), "expired", 1),
        ({"state": "queued"}, ("expires_at", -timedelta(minutes=1)), "queued", 0),
        ({"state": "running"}, ("started_at", timedelta(minutes=5)), "failed", 1),
        ({"state": "running"}, ("started_at", timedelta(minutes=3)), "running", 0),
    ],
    ids=["overdue", "in time", "never heard of again", "going on"],
)
def test_what_nobody_tells_of_ends_by_itself(
    column: dict[str, str], ago: tuple[str, timedelta], state: str, ended: int, enrolment: Enrolment
) -> None:
    Enrolment.objects.update(**column, **{ago[0]: Now() - ago[1]})

    assert expire() == ended
    assert state_of(enrolment) == state


def test_an_overdue_one_is_not_carried_out_and_keeps_nobody_waiting(enrolment: Enrolment, ana: Employee) -> None:
    Enrolment.objects.update(expires_at=Now() - timedelta(seconds=1))

    assert claim(enrolment.terminal_id, since=LONG_AGO) is None
    assert ask(enrolment.terminal, ana, 7, user=None, actor="test").state == "queued"


@override_settings(RUN_HISTORY_DAYS=30)
def test_those_that_are_over_are_forgotten_with_the_history(enrolment: Enrolment, ana: Employee) -> None:
    cancel(enrolment, actor="test")
    Enrolment.objects.update(finished_at=Now() - timedelta(days=31))
    kept = ask(enrolment.terminal, ana, 7, user=None, actor="test")

    assert purge() == 1
    assert Enrolment.objects.get() == kept
