"""People on terminals whom nobody put there: adopted, confirmed or removed, and an alarm until somebody decides."""

from __future__ import annotations

from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from iclock.domain.plan import Fields
from iclock.domain.standing import Standing, standing_of
from iclock.domain.unknown_people import adopt, confirm_same, judge_strangers, remove_from_unit
from iclock.models import Alarm, SyncMark, Terminal, TerminalPerson
from iclock.policy import Direction, Strangers
from personnel.models import Area, Department, Employee, Resignation
from personnel.models.scope import Scope
from zkbio.accounts.models import AuditEntry

pytestmark = pytest.mark.django_db

EVERYTHING = Scope()
THERE = "They belong there already."
GONE = "They aren't on the unit any more, or somebody else decided on them meanwhile."


@pytest.fixture
def two(db: None) -> Area:
    return Area.objects.create(area_code="2", area_name="Two")


@pytest.fixture
def gate(two: Area) -> Terminal:
    return Terminal.objects.create(sn="GATE", alias="Gate", area=two)


@pytest.fixture
def elsewhere(db: None) -> Area:
    return Area.objects.create(area_code="3", area_name="Three")


def found(terminal: Terminal, code: str, *, placed: bool = False, **fields: Any) -> TerminalPerson:
    held = Fields(**fields)._asdict()
    return TerminalPerson.objects.create(
        terminal=terminal, emp_code=code, held=True, placed=placed, uid=1, held_fields=held
    )


def hire(code: str, *areas: Area, **columns: Any) -> Employee:
    person = Employee.objects.create(emp_code=code, department_id=1, **columns)
    person.areas.set(areas)
    return person


def said(refusals: list[tuple[TerminalPerson, str]]) -> dict[str, str]:
    return {row.emp_code: sentence for row, sentence in refusals}


def test_each_is_told_for_what_they_are(gate: Terminal, two: Area, elsewhere: Area) -> None:
    hire("1", elsewhere)
    Resignation.objects.create(employee=hire("2", two), resign_date="2024-06-26")
    hire("3", two, enable_attendance=False)
    for code in "4567":
        hire(code, two, first_name="Ana")
    rows = [found(gate, code, name="Ana") for code in "0123"]
    rows += [found(gate, "4", name="Boris"), found(gate, "5", name="Ana", placed=True), found(gate, "6", name="ANA R")]
    rows += [TerminalPerson.objects.create(terminal=gate, emp_code="7", refusal="It is full.")]
    rows += [found(gate, "8", placed=True)]

    with CaptureQueriesContext(connection) as asked:
        standing = standing_of(rows)

    assert [standing[row.pk] for row in rows] == [
        Standing.UNKNOWN,
        Standing.ELSEWHERE,
        Standing.RESIGNED,
        Standing.IDLE,
        Standing.DOUBTFUL,
        Standing.RIGHT,
        Standing.SOON,
        Standing.MISSING,
        Standing.LEAVING,
    ]
    assert len(asked) == 2


def test_a_stranger_becomes_an_employee_of_the_terminals_area(gate: Terminal, two: Area) -> None:
    SyncMark.objects.create(terminal=gate, wanted_at="2026-03-02T08:00Z", fingers_read_at="2026-03-02T08:00Z")
    row = found(gate, "7", name="Ana Ruiz", card=4711, privilege=14, password="digest")

    assert adopt([row], actor="tests", scope=EVERYTHING) == []

    ana = Employee.objects.get()
    assert (ana.emp_code, ana.full_name, ana.card_no, ana.department_id) == ("7", "Ana Ruiz", "4711", 1)
    assert (ana.dev_privilege, ana.device_password, [*ana.areas.all()]) == (0, "", [two])
    mark = SyncMark.objects.pending().get()
    assert (mark.terminal, mark.fingers_read_at) == (gate, None)
    assert not TerminalPerson.objects.unknown().exists()
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.detail) == ("iclock.adopt_people", {"sn": "GATE", "codes": ["7"]})


def test_where_the_terminal_tells_its_privileges_count(gate: Terminal) -> None:
    Terminal.objects.update(direction=Direction.IMPORT)

    adopt([found(gate, "7", privilege=14)], actor="tests", scope=EVERYTHING)

    assert Employee.objects.get().dev_privilege == 14


def test_an_employee_of_another_area_comes_into_this_one_too(gate: Terminal, two: Area, elsewhere: Area) -> None:
    ana = hire("7", elsewhere, first_name="Ana", card_no="5")

    assert adopt([found(gate, "7", name="Ana", card=4711)], actor="tests", scope=EVERYTHING) == []

    ana.refresh_from_db()
    assert ({*ana.areas.all()}, ana.card_no) == ({two, elsewhere}, "5")
    assert SyncMark.objects.pending().filter(terminal=gate).exists()


def test_an_employee_whom_the_unit_knows_by_another_name_is_still_to_be_confirmed(
    gate: Terminal, elsewhere: Area
) -> None:
    hire("7", elsewhere, first_name="Ana")
    row = found(gate, "7", name="Boris")

    assert adopt([row], actor="tests", scope=EVERYTHING) == []

    row.refresh_from_db()
    assert (row.placed, standing_of([row])[row.pk]) == (False, Standing.DOUBTFUL)


def test_bad_ones_are_refused_each_with_a_sentence_and_stop_nobody(gate: Terminal, two: Area, elsewhere: Area) -> None:
    Resignation.objects.create(employee=hire("2", two), resign_date="2024-06-26")
    hire("3", two, enable_attendance=False)
    hire("4", two, first_name="Ana", card_no="0012")
    hire("5", two, first_name="Ana")
    rows = [found(gate, "2"), found(gate, "3"), found(gate, "4", name="Boris"), found(gate, "5", name="Ana")]
    rows += [found(gate, "9" * 21), found(gate, " 9"), found(gate, "10", card=12), found(gate, "11", name="a\tb")]
    gone = found(gate, "12")
    TerminalPerson.objects.filter(pk=gone.pk).update(held=False)
    rows += [gone, found(gate, "13", placed=True), found(gate, "14", name="Eva")]

    refusals = said(adopt(rows, actor="tests", scope=EVERYTHING))

    assert refusals == {
        "2": "They have resigned: reinstate them first.",
        "3": "They take no part in attendance, so they belong on no terminal: change that first.",
        "4": "They belong there, by another name: say that it is the same person, or give one of them another code.",
        "5": THERE,
        "9" * 21: "Emp code: Ensure this value has at most 20 characters (it has 21).",
        " 9": "Emp code: An employee code consists of printable characters, without spaces at its ends.",
        "10": "Card 12 is that of employee 4.",
        "11": "The name on the terminal can't be read in the code page of its device: set the one in which the unit"
        " writes names.",
        "12": "They are being removed from the unit.",
        "13": "They are being removed from the unit.",
    }
    assert sorted(Employee.objects.values_list("emp_code", flat=True)) == ["14", "2", "3", "4", "5"]
    assert [entry.detail["codes"] for entry in AuditEntry.objects.all()] == [["14"]]


def test_where_the_terminal_has_no_area_nobody_is_adopted(gate: Terminal) -> None:
    Terminal.objects.update(area_id=1)

    refusals = adopt([found(gate, "7")], actor="tests", scope=EVERYTHING)

    assert said(refusals) == {"7": "Give the terminal an area first."}
    assert not Employee.objects.exists()


def test_nobody_adopts_what_lies_outside_of_their_limits(gate: Terminal, two: Area, elsewhere: Area) -> None:
    department = Department.objects.create(dept_code="9", dept_name="Nine")
    hire("7", elsewhere)
    hers, his = found(gate, "7"), found(gate, "8")
    outside = "This is outside of your limits."

    assert said(adopt([his], actor="tests", scope=Scope(areas=frozenset({elsewhere.pk})))) == {"8": outside}
    scope = Scope(departments=frozenset({department.pk}), areas=frozenset({two.pk}))
    assert said(adopt([hers, his], actor="tests", scope=scope)) == {"7": outside}
    assert Employee.objects.get(emp_code="8").department == department
    assert [*Employee.objects.get(emp_code="7").areas.all()] == [elsewhere]


def test_adopting_many_reads_in_batches(gate: Terminal) -> None:
    def asked(codes: range) -> int:
        rows = [found(gate, str(code)) for code in codes]
        with CaptureQueriesContext(connection) as queries:
            assert adopt(rows, actor="tests", scope=EVERYTHING) == []
        return len(queries)

    few, more = asked(range(10, 20)), asked(range(20, 40))
    assert (more - few) / 10 < 25


def test_who_is_confirmed_goes_by_the_name_there(gate: Terminal, two: Area) -> None:
    hire("7", two, first_name="Ana")
    row, right = found(gate, "7", name="Boris"), found(gate, "8", name="Eva")

    refusals = confirm_same([row, right], actor="tests", scope=EVERYTHING)

    assert said(refusals) == {"8": "They have no other name here: there is nothing to confirm."}
    row.refresh_from_db()
    assert (row.agreed_fields, row.placed) == ({"name": "Boris"}, True)
    assert SyncMark.objects.pending().get().terminal == gate
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.detail["codes"]) == ("iclock.confirm_people", ["7"])


def test_nobody_confirms_outside_of_their_limits(gate: Terminal, two: Area) -> None:
    department = Department.objects.create(dept_code="9", dept_name="Nine")
    hire("7", two, first_name="Ana")
    row = found(gate, "7", name="Boris")

    for scope in (Scope(departments=frozenset({department.pk})), Scope(areas=frozenset({1}))):
        assert said(confirm_same([row], actor="tests", scope=scope)) == {"7": "This is outside of your limits."}
    row.refresh_from_db()
    assert row.agreed_fields == {}


def test_who_is_to_be_removed_goes_and_who_belongs_stays(gate: Terminal, two: Area, elsewhere: Area) -> None:
    hire("6", two, first_name="Ana")
    hire("7", elsewhere)
    rows = [found(gate, "6", name="Boris"), found(gate, "7"), found(gate, "8")]

    refusals = remove_from_unit(rows, actor="tests", scope=EVERYTHING)

    assert said(refusals) == {"6": "They belong there: take them out of the area instead."}
    placed = TerminalPerson.objects.filter(placed=True).values_list("emp_code", flat=True)
    assert sorted(placed) == ["7", "8"]
    assert SyncMark.objects.pending().get().terminal == gate
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.detail["codes"]) == ("iclock.remove_people", ["7", "8"])
    assert said(remove_from_unit(rows[1:], actor="tests", scope=EVERYTHING)) == {"7": GONE, "8": GONE}


@pytest.mark.parametrize("direction", [Direction.IMPORT, Direction.OFF])
def test_nobody_is_removed_where_nothing_is_written(direction: Direction, gate: Terminal) -> None:
    Terminal.objects.update(direction=direction)

    refusals = remove_from_unit([found(gate, "7")], actor="tests", scope=EVERYTHING)

    sentence = "Nothing is written to this terminal: the direction in which its people go says so."
    assert said(refusals) == {"7": sentence}
    assert not TerminalPerson.objects.filter(placed=True).exists()


def test_what_lies_outside_of_ones_limits_is_not_removed(gate: Terminal, elsewhere: Area) -> None:
    scope = Scope(areas=frozenset({elsewhere.pk}))

    refusals = remove_from_unit([found(gate, "7")], actor="tests", scope=scope)

    assert said(refusals) == {"7": "This is outside of your limits."}


def test_whoever_may_not_see_an_employee_decides_nothing_on_them(gate: Terminal, two: Area, elsewhere: Area) -> None:
    department = Department.objects.create(dept_code="9", dept_name="Nine")
    Resignation.objects.create(employee=hire("5", two), resign_date="2024-06-26")
    hire("6", two, first_name="Ana")
    hire("7", elsewhere)
    rows = [found(gate, "5"), found(gate, "6", name="Boris"), found(gate, "7"), found(gate, "8")]
    outside = "This is outside of your limits."
    limited = Scope(departments=frozenset({department.pk}))

    for decide in (confirm_same, remove_from_unit, adopt):
        refused = said(decide(rows[:3], actor="tests", scope=limited))
        assert refused == {"5": outside, "6": outside, "7": outside}, decide
    assert said(remove_from_unit(rows[2:], actor="tests", scope=Scope(areas=frozenset({two.pk})))) == {"7": outside}
    assert [row.emp_code for row in TerminalPerson.objects.filter(placed=True)] == ["8"]


def test_a_name_that_the_unit_can_not_write_is_compared_as_it_writes_it(gate: Terminal, two: Area) -> None:
    hire("5", two, first_name="Łucja", last_name="Żak")
    hire("6", two, first_name="李小明")
    hire("7", two, first_name="Ana", last_name="Ruiz")
    rows = [found(gate, "5", name="?ucja ?ak"), found(gate, "6", name="???"), found(gate, "7", name="??? ????")]

    standing = standing_of(rows)

    assert [standing[row.pk] for row in rows] == [Standing.SOON, Standing.SOON, Standing.DOUBTFUL]


@pytest.fixture
def asking(gate: Terminal) -> Terminal:
    gate.strangers = Strangers.QUEUED
    gate.save()
    return gate


def alarms() -> list[tuple[str, str]]:
    return list(Alarm.objects.order_by("pk").values_list("sentence", "ending"))


ADVICE = "Decide on them in the list of people on terminals."


def test_an_alarm_names_the_unknown_until_somebody_decides(asking: Terminal, two: Area) -> None:
    hire("1", two, first_name="Ana")
    found(asking, "1", name="Ana")
    rows = [found(asking, code) for code in ("10", "9", "a\x07")]

    judge_strangers(asking)
    assert alarms() == [(f"3 people on this unit are unknown here: 9, 10, a?. {ADVICE}", "")]

    remove_from_unit(rows[:2], actor="tests", scope=EVERYTHING)
    assert alarms() == [(f"1 person on this unit is unknown here: a?. {ADVICE}", "")]

    TerminalPerson.objects.filter(pk=rows[2].pk).delete()
    judge_strangers(asking)
    assert [ending for _, ending in alarms()] == ["Nobody on this unit is unknown any more."]


def test_many_are_not_all_named(asking: Terminal) -> None:
    for code in range(8):
        found(asking, str(code))

    judge_strangers(asking)

    assert alarms() == [(f"8 people on this unit are unknown here: 0, 1, 2, 3, 4 … {ADVICE}", "")]


def test_employees_are_not_named_to_whoever_reads_of_an_alarm(asking: Terminal, two: Area, elsewhere: Area) -> None:
    hire("41", two, first_name="Ana")
    found(asking, "41", name="Boris")
    judge_strangers(asking)
    assert alarms() == [(f"1 employee is on this unit against what is known here. {ADVICE}", "")]

    hire("42", elsewhere)
    found(asking, "42")
    found(asking, "7")
    judge_strangers(asking)
    told = "1 person on this unit is unknown here: 7. 2 employees are on this unit against what is known here."
    assert alarms() == [(f"{told} {ADVICE}", "")]


def test_adopting_ends_the_alarm(asking: Terminal) -> None:
    row = found(asking, "7")
    judge_strangers(asking)

    adopt([row], actor="tests", scope=EVERYTHING)

    assert not Alarm.objects.open().exists()


def test_confirming_ends_the_alarm(asking: Terminal, two: Area) -> None:
    hire("7", two, first_name="Ana")
    row = found(asking, "7", name="Boris")
    judge_strangers(asking)

    confirm_same([row], actor="tests", scope=EVERYTHING)

    assert not Alarm.objects.open().exists()


@pytest.mark.parametrize("change", [{"strangers": Strangers.KEPT}, {"direction": Direction.OFF}])
def test_where_the_policy_asks_nobody_the_alarm_ends(change: dict[str, str], asking: Terminal) -> None:
    found(asking, "7")
    judge_strangers(asking)

    for name, value in change.items():
        setattr(asking, name, value)
    judge_strangers(asking)

    assert [ending for _, ending in alarms()] == ["Nobody asks for a decision any more."]


def test_where_the_unknown_are_removed_from_now_on_the_alarm_ends_with_that(asking: Terminal) -> None:
    found(asking, "7")
    judge_strangers(asking)

    asking.strangers = Strangers.REMOVED
    judge_strangers(asking)

    told = "Unknown people are removed from this unit now: nobody has to decide on them."
    assert [ending for _, ending in alarms()] == [told]


@pytest.mark.django_db(transaction=True)
def test_of_two_who_adopt_the_same_person_at_once_one_does(gate: Terminal, elsewhere: Area) -> None:
    hire("8", elsewhere, first_name="Ana")
    rows = [found(gate, "7", name="Eva"), found(gate, "8", name="Ana")]
    start = Barrier(2)
    refused: list[str] = []

    def decide() -> None:
        try:
            start.wait(10)
            refused.extend(said(adopt(rows, actor="tests", scope=EVERYTHING)))
        finally:
            connection.close()

    deciders = [Thread(target=decide) for _ in range(2)]
    for decider in deciders:
        decider.start()
    for decider in deciders:
        decider.join(30)

    assert sorted(refused) == ["7", "8"]
    assert sorted(Employee.objects.values_list("emp_code", flat=True)) == ["7", "8"]
    assert AuditEntry.objects.count() == 2
