"""The right people on a terminal: both sides are changed, and a visit makes them agree without harming anybody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial

import pytest
from django.db import connection
from django.db.models import F
from django.test import override_settings
from django.utils import timezone

from devices import protocol
from devices.domain.lease import LeaseLostError
from devices.domain.sync import sync_device
from devices.models import Device, SyncRun
from devices.simulator import (
    Capitals,
    Close,
    CountOff,
    Fault,
    Faults,
    Latency,
    LostBetween,
    Refuse,
    SimPunch,
    SimTemplate,
    SimulatedTerminal,
    SimUser,
    TerminalSpec,
)
from iclock.models import Biodata, PersonIntent, SyncMark, Terminal, TerminalPerson, Transaction
from iclock.policy import Direction, Strangers
from personnel.domain import people
from personnel.domain.resignations import reinstate, resign
from personnel.models import Area, Department, Employee

pytestmark = pytest.mark.django_db(transaction=True)

SAVE, USERS = protocol.CMD_SAVE_USERTEMPS, protocol.CMD_PREPARE_BUFFER
DELETE_FINGER = protocol.CMD_DELETE_USERTEMP
FINGER, OTHER, THIRD = (bytes([number]) * 800 + b"end" for number in (1, 2, 3))
Hire = Callable[..., Employee]
Register = Callable[..., tuple[Device, SimulatedTerminal]]


@pytest.fixture
def area(db: None) -> Area:
    return Area.objects.create(area_code="2", area_name="Madrid")


@pytest.fixture
def hire(area: Area) -> Hire:
    def make(code: str, first_name: str = "", *, pin: str = "", fingers: dict[int, bytes] | None = None, **fields):
        employee = Employee(
            emp_code=code, first_name=first_name, department=Department.objects.earliest("pk"), **fields
        )
        employee.device_password = pin
        people.create_employee(employee, areas=[area])
        for finger, template in (fingers or {}).items():
            row = Biodata(employee=employee, bio_type=1, bio_no=finger, major_ver="10")
            row.template = template
            row.save()
        return employee

    return make


@pytest.fixture
def register(area: Area, add_device: Callable[..., Device]) -> Iterator[Register]:
    """A terminal in the area, that was never compared; what its unit holds is told by the spec."""
    running: list[SimulatedTerminal] = []

    def make(number: int = 1, *, policy: dict[str, str] | None = None, **spec: object):
        unit = SimulatedTerminal(TerminalSpec(serial=f"UNIT{number}", **spec))
        unit.start()
        running.append(unit)
        device = add_device(unit, key=f"unit{number}", interval=3_600)
        device.terminal = Terminal.objects.create(sn=unit.spec.serial, alias=device.name, area=area, **(policy or {}))
        device.save()
        return device, unit

    yield make
    for unit in running:
        unit.stop()


@dataclass(frozen=True)
class Meanwhile(Fault):
    """Somebody does something while the unit carries out the command."""

    deed: Callable[[], object] = list

    def packets(self, packets: list[protocol.Packet]) -> list[protocol.Packet]:
        self.deed()
        connection.close()
        return packets


def visit(device: Device) -> None:
    run = sync_device(device.pk, trigger=SyncRun.Trigger.COMMAND)
    assert run is not None
    assert run.error == ""


def compare(device: Device) -> None:
    """A visit that compares, whatever happened since the last one."""
    SyncMark.objects.update(wanted=F("wanted") + 1)
    visit(device)


def there(unit: SimulatedTerminal) -> dict[str, tuple[str, int, int, str]]:
    return {user.user_id: (user.name, user.card, user.privilege, user.password) for user in unit.users()}


def fingers(unit: SimulatedTerminal) -> dict[tuple[str, int], bytes]:
    codes = {user.uid: user.user_id for user in unit.users()}
    return {(codes[each.uid], each.finger): each.data for each in unit.templates()}


def history(kind: str = "") -> list[tuple[str, str, bool]]:
    rows = PersonIntent.objects.order_by("pk")
    return [(row.kind, row.emp_code, row.done) for row in rows if not kind or row.kind == kind]


def change(employee: Employee, **values: object) -> None:
    people.update_employee(employee.pk, values)


def row_of(unit: SimulatedTerminal, code: str) -> TerminalPerson:
    return TerminalPerson.objects.get(terminal__sn=unit.spec.serial, emp_code=code)


def edit_at_unit(unit: SimulatedTerminal, code: str, **changes: object) -> None:
    (user,) = (user for user in unit.users() if user.user_id == code)
    unit.add_user(replace(user, **changes))


def enrol_at_unit(unit: SimulatedTerminal, code: str, finger: int, data: bytes) -> None:
    uid = unit.uid_of(code)
    assert uid is not None
    unit.put_template(SimTemplate(uid, finger, data))


def test_people_come_with_cards_passwords_privileges_and_fingers(hire: Hire, register: Register) -> None:
    device, unit = register()
    hire("7", "Ana", last_name="López", card_no="4711", pin="1234", fingers={3: FINGER})
    hire("8", "Bob", dev_privilege=14)

    visit(device)

    assert there(unit) == {"7": ("Ana López", 4711, 0, "1234"), "8": ("Bob", 0, 14, "")}
    assert fingers(unit) == {("7", 3): FINGER}
    assert history() == [("add", "7", True), ("copy_finger", "7", True), ("add", "8", True)]
    assert not SyncMark.objects.pending().exists()


def test_a_second_comparison_writes_nothing(hire: Hire, register: Register) -> None:
    device, unit = register()
    hire("7", "Ana", card_no="4711", pin="1234", fingers={3: FINGER})
    visit(device)
    sent = len(unit.commands())

    compare(device)

    written = {protocol.CMD_USER_WRQ, protocol.CMD_SAVE_USERTEMPS, protocol.CMD_DELETE_USER, protocol.CMD_DISABLEDEVICE}
    assert written.isdisjoint(unit.commands()[sent:])
    assert len(history()) == 2


def test_an_unchanged_terminal_is_not_compared_at_each_visit(hire: Hire, register: Register) -> None:
    device, unit = register()
    hire("7")
    visit(device)
    sessions = len(unit.journal)

    visit(device)

    assert len(unit.journal) == sessions + 1


def test_strangers_are_left_alone_down_to_the_byte(hire: Hire, register: Register) -> None:
    stranger = SimUser(1, "99", "Guest", privilege=14, password="777", card=5, group=3, time_zones=(1, 2, 3, 4))
    device, unit = register(users=(stranger,), templates=(SimTemplate(1, 0, OTHER),))
    hire("7", "Ana")
    before = unit.table("users")

    visit(device)
    compare(device)

    assert before in unit.table("users")
    assert fingers(unit) == {("99", 0): OTHER}
    assert [row.emp_code for row in TerminalPerson.objects.unknown()] == ["99"]
    assert row_of(unit, "99").held_fingers is None


def test_who_leaves_is_removed_with_their_fingers_and_comes_back(hire: Hire, register: Register) -> None:
    device, unit = register()
    ana = hire("7", "Ana", card_no="4711", fingers={3: FINGER})
    visit(device)

    resign([ana.pk], resign_date=date(2026, 11, 1))
    visit(device)
    assert (there(unit), fingers(unit)) == ({}, {})

    reinstate([ana.pk])
    visit(device)
    assert (there(unit), fingers(unit)) == ({"7": ("Ana", 4711, 0, "")}, {("7", 3): FINGER})


def test_who_moves_to_another_area_moves_to_its_terminals(hire: Hire, register: Register) -> None:
    (here, one), (elsewhere, other) = register(1), register(2)
    depot = Area.objects.create(area_code="3", area_name="Depot")
    Terminal.objects.filter(sn="UNIT2").update(area=depot)
    ana = hire("7", "Ana", fingers={3: FINGER})
    visit(here)
    visit(elsewhere)
    assert (set(there(one)), set(there(other))) == ({"7"}, set())

    people.adjust_areas([ana.pk], [depot])
    visit(here)
    visit(elsewhere)

    assert (set(there(one)), set(there(other))) == (set(), {"7"})
    assert fingers(other) == {("7", 3): FINGER}


def test_a_finger_enrolled_at_one_terminal_comes_to_the_others_of_its_algorithm(hire: Hire, register: Register) -> None:
    (gate, one), (canteen, other), (old, ancient) = register(1), register(2), register(3, fp_version="9")
    ana = hire("7", "Ana")
    for device in (gate, canteen, old):
        visit(device)

    enrol_at_unit(one, "7", 3, FINGER)
    for device in (gate, canteen, old):
        visit(device)

    assert fingers(other) == {("7", 3): FINGER}
    assert fingers(ancient) == {}
    stored = Biodata.objects.get(employee=ana)
    assert (stored.template, stored.sn, stored.major_ver) == (FINGER, "UNIT1", "10")
    assert Employee.objects.get(pk=ana.pk).fingerprint == "Ver 10:1"


def test_a_finger_withdrawn_here_goes_from_the_terminals(hire: Hire, register: Register) -> None:
    device, unit = register()
    ana = hire("7", fingers={3: FINGER, 4: OTHER})
    visit(device)

    people.withdraw_templates([ana.pk], ["finger_print"])
    visit(device)

    assert (fingers(unit), set(there(unit))) == ({}, {"7"})
    assert not Biodata.objects.exists()


def test_a_deleted_person_leaves_nothing_behind(hire: Hire, register: Register) -> None:
    device, unit = register()
    ana = hire("7", "Ana", fingers={3: FINGER})
    visit(device)

    people.delete_employees([ana.pk])
    visit(device)

    assert (there(unit), fingers(unit)) == ({}, {})
    assert not TerminalPerson.objects.exists()
    assert not Biodata.objects.exists()


def test_a_card_and_a_password_entered_at_the_terminal_are_taken(hire: Hire, register: Register) -> None:
    device, unit = register()
    ana = hire("7", "Ana", card_no="4711")
    visit(device)

    edit_at_unit(unit, "7", card=4712, password="99")
    compare(device)

    ana.refresh_from_db()
    assert (ana.card_no, ana.device_password) == ("4712", "99")
    assert history("take_fields") == [("take_fields", "7", True)]


def test_a_resynchronised_person_has_their_fingers_read_again_though_the_unit_counts_no_other_number(
    hire: Hire, register: Register
) -> None:
    device, unit = register()
    ana = hire("7", "Ana", fingers={3: FINGER})
    visit(device)
    enrol_at_unit(unit, "7", 3, OTHER)  # in the place of the one that is there
    compare(device)
    assert Biodata.objects.get(employee=ana).template == FINGER

    people.resync([ana.pk])
    visit(device)

    assert Biodata.objects.get(employee=ana).template == OTHER


def test_a_rename_and_a_new_card_come_to_the_terminal(hire: Hire, register: Register) -> None:
    device, unit = register()
    ana = hire("7", "Ana", card_no="4711")
    visit(device)

    change(ana, first_name="Anabel", card_no="4713")
    visit(device)

    assert there(unit) == {"7": ("Anabel", 4713, 0, "")}


def test_of_a_card_changed_on_both_sides_at_once_the_platforms_counts(hire: Hire, register: Register) -> None:
    device, unit = register()
    ana = hire("7", "Ana", card_no="4711")
    visit(device)

    edit_at_unit(unit, "7", card=5)
    change(ana, card_no="6")
    visit(device)

    ana.refresh_from_db()
    assert (there(unit)["7"][1], ana.card_no) == (6, "6")


def test_a_card_that_is_somebody_elses_is_not_taken_but_taken_away_again(hire: Hire, register: Register) -> None:
    device, unit = register()
    ana = hire("7", "Ana")
    hire("8", "Bob", card_no="5")
    visit(device)

    edit_at_unit(unit, "7", card=5)
    compare(device)

    ana.refresh_from_db()
    assert (ana.card_no, there(unit)["7"][1], there(unit)["8"][1]) == (None, 0, 5)
    assert [row.sentence for row in PersonIntent.objects.filter(done=False)] == ["Card 5 is that of employee 8."]


def test_first_contact_with_a_used_terminal_removes_nobody_and_takes_what_is_unknown_here(
    hire: Hire, register: Register
) -> None:
    users = (SimUser(1, "7", "ANA L", password="12", card=5, privilege=14), SimUser(2, "99", "Guest"))
    device, unit = register(
        policy={"strangers": Strangers.REMOVED}, users=users, templates=(SimTemplate(1, 3, FINGER),)
    )
    ana = hire("7", "Ana")

    visit(device)

    ana.refresh_from_db()
    assert (ana.card_no, ana.device_password, ana.dev_privilege) == ("5", "12", 0)
    assert Biodata.objects.get(employee=ana).template == FINGER
    assert there(unit) == {"7": ("Ana", 5, 14, "12"), "99": ("Guest", 0, 0, "")}

    compare(device)
    assert set(there(unit)) == {"7"}


def test_somebody_else_under_a_persons_code_gives_and_gets_nothing_until_somebody_decides(
    hire: Hire, register: Register
) -> None:
    device, unit = register(users=(SimUser(1, "7", "Bob", card=5),), templates=(SimTemplate(1, 3, FINGER),))
    ana = hire("7", "Ana", card_no="4711", fingers={1: OTHER})

    visit(device)

    assert (there(unit), fingers(unit)) == ({"7": ("Bob", 5, 0, "")}, {("7", 3): FINGER})
    assert [each.template for each in Biodata.objects.filter(employee=ana)] == [OTHER]
    assert row_of(unit, "7").refusal.startswith("The terminal knows 7 as Bob, the platform as Ana: is it one person?")


def test_a_person_with_whom_the_unit_was_told_to_begin_is_removed_although_the_link_broke(
    hire: Hire, register: Register
) -> None:
    device, unit = register()
    ana = hire("7", "Ana", fingers={3: FINGER})
    unit.faults = Faults(LostBetween())
    visit(device)
    assert (set(there(unit)), fingers(unit)) == ({"7"}, {})
    unit.faults = Faults()

    people.delete_employees([ana.pk])
    visit(device)

    assert there(unit) == {}


def test_a_unit_lost_between_a_person_and_their_finger_is_brought_right_at_the_next_contact(
    hire: Hire, register: Register
) -> None:
    device, unit = register()
    hire("7", "Ana", card_no="4711", fingers={3: FINGER})
    unit.faults = Faults(LostBetween())
    visit(device)
    waiting = SyncMark.objects.get(terminal=device.terminal)
    assert waiting.error
    assert not unit.disabled
    unit.faults = Faults()

    visit(device)

    assert (there(unit), fingers(unit)) == ({"7": ("Ana", 4711, 0, "")}, {("7", 3): FINGER})
    assert SyncMark.objects.get(terminal=device.terminal).error == ""


def test_a_card_taken_back_while_nobody_knew_what_became_of_it_is_not_taken_for_news(
    hire: Hire, register: Register
) -> None:
    device, unit = register()
    ana = hire("7", "Ana")
    visit(device)
    change(ana, card_no="4711")
    unit.faults = Faults(Close(command=protocol.CMD_REFRESHDATA))
    visit(device)
    assert there(unit)["7"][1] == 4711
    unit.faults = Faults()

    change(ana, card_no=None)
    visit(device)

    ana.refresh_from_db()
    assert (there(unit)["7"][1], ana.card_no) == (0, None)


def test_what_the_unit_keeps_otherwise_is_told_and_not_written_again_and_again(hire: Hire, register: Register) -> None:
    device, unit = register()
    ana = hire("7", "Ana")
    unit.faults = Faults(Capitals())
    visit(device)
    assert "keeps name 'ANA' instead of 'Ana'" in row_of(unit, "7").refusal
    written = unit.commands().count(protocol.CMD_SAVE_USERTEMPS)

    compare(device)
    assert unit.commands().count(protocol.CMD_SAVE_USERTEMPS) == written
    assert len(history()) == 1

    unit.faults = Faults()
    change(ana, first_name="Anita")
    visit(device)
    assert there(unit)["7"][0] == "Anita"
    assert row_of(unit, "7").refusal == ""


def test_whoever_gets_the_code_of_a_deleted_person_gets_nothing_else_of_theirs(hire: Hire, register: Register) -> None:
    device, unit = register()
    ana = hire("7", "Ana")
    visit(device)
    edit_at_unit(unit, "7", card=5, group=3)
    enrol_at_unit(unit, "7", 3, FINGER)
    people.delete_employees([ana.pk])
    bob = hire("7", "Ana", last_name="Bobadilla")

    visit(device)

    bob.refresh_from_db()
    assert (bob.card_no, Biodata.objects.count(), fingers(unit)) == (None, 0, {})
    assert there(unit) == {"7": ("Ana Bobadilla", 0, 0, "")}
    assert [user.group for user in unit.users()] == [1]
    assert not SyncMark.objects.pending().exists()


def test_fingers_of_a_new_algorithm_are_taken_and_nothing_is_deleted(hire: Hire, register: Register) -> None:
    device, unit = register()
    ana = hire("7", "Ana", fingers={3: FINGER})
    visit(device)

    unit.options["~ZKFPVersion"] = "12"
    enrol_at_unit(unit, "7", 3, OTHER)
    compare(device)

    assert fingers(unit) == {("7", 3): OTHER}
    stored = {(row.major_ver, row.template) for row in Biodata.objects.filter(employee=ana)}
    assert stored == {("10", FINGER), ("12", OTHER)}


def test_who_leaves_goes_at_the_next_try_although_the_unit_was_busy(hire: Hire, register: Register) -> None:
    device, unit = register()
    ana = hire("7", "Ana")
    visit(device)
    unit.faults = Faults(Refuse(command=protocol.CMD_DELETE_USER, times=2))
    people.delete_employees([ana.pk])
    visit(device)
    assert set(there(unit)) == {"7"}
    assert row_of(unit, "7").refusal

    compare(device)

    assert there(unit) == {}


def test_what_the_unit_refused_makes_it_due_again_before_long(hire: Hire, register: Register) -> None:
    device, unit = register()
    hire("7", "Ana")
    unit.faults = Faults(Refuse(command=SAVE), Refuse(command=protocol.CMD_USER_WRQ))
    visit(device)
    assert there(unit) == {}
    assert not SyncMark.objects.pending().exists()
    TerminalPerson.objects.update(retry_at=F("retry_at") - timedelta(minutes=5))

    visit(device)

    assert set(there(unit)) == {"7"}


def test_whoever_is_edited_while_the_unit_keeps_something_else_is_tried_again_at_once(
    hire: Hire, register: Register
) -> None:
    device, unit = register()
    ana = hire("7", "Ana")
    deed = partial(change, ana, card_no="5")
    unit.faults = Faults(Capitals(), Meanwhile(command=SAVE, deed=deed))
    visit(device)
    unit.faults = Faults()

    visit(device)

    assert there(unit) == {"7": ("Ana", 5, 0, "")}


def test_a_password_that_has_no_room_takes_nothing_else_away(hire: Hire, register: Register) -> None:
    device, unit = register(user_width=28, punch_width=16)
    ana = hire("7", "Ana", card_no="4711", pin="123")
    visit(device)

    change(ana, card_no=None, device_password="12345678")
    visit(device)

    assert there(unit) == {"7": ("Ana", 0, 0, "")}
    assert row_of(unit, "7").refusal.startswith("Their PIN has more than the 5 digits that this unit takes.")


def test_a_template_that_cannot_be_opened_keeps_nobody_else_away(hire: Hire, register: Register) -> None:
    device, unit = register()
    hire("7", "Ana", fingers={3: FINGER})
    hire("8", "Bob", fingers={4: OTHER})
    Biodata.objects.filter(employee__emp_code="7").update(sealed=b"\x02k9" + bytes(40))

    visit(device)

    assert (set(there(unit)), fingers(unit)) == ({"7", "8"}, {("8", 4): OTHER})
    assert row_of(unit, "7").refusal.startswith("Finger 3 can't be opened (")


def test_a_finger_for_duress_is_not_made_an_ordinary_one_elsewhere(hire: Hire, register: Register) -> None:
    (gate, one), (canteen, other) = register(1), register(2)
    hire("7", "Ana")
    visit(gate)
    one.put_template(SimTemplate(one.uid_of("7") or 0, 3, FINGER, valid=3))

    visit(gate)
    visit(canteen)

    assert (set(fingers(one)), fingers(other)) == ({("7", 3)}, {})
    assert "duress" in row_of(other, "7").refusal


def test_whoever_stands_at_a_full_unit_under_a_code_that_was_refused_there_is_another(
    hire: Hire, register: Register
) -> None:
    device, unit = register(users=(SimUser(1, "99", "Guest"),), user_capacity=1)
    ana = hire("7", "Ana")
    visit(device)
    unit.delete_user(1)
    unit.add_user(SimUser(1, "7", "Zoe", card=9))

    compare(device)

    ana.refresh_from_db()
    assert (there(unit), ana.card_no) == ({"7": ("Zoe", 9, 0, "")}, None)


def test_a_unit_that_was_put_back_to_an_earlier_state_does_not_bring_a_lost_card_or_a_withdrawn_finger_back(
    hire: Hire, register: Register
) -> None:
    device, unit = register()
    ana = hire("7", "Ana", card_no="111", fingers={3: FINGER})
    visit(device)
    change(ana, card_no="222")
    people.withdraw_templates([ana.pk], ["finger_print"])
    visit(device)
    edit_at_unit(unit, "7", card=111)
    enrol_at_unit(unit, "7", 3, FINGER)

    compare(device)

    ana.refresh_from_db()
    assert (ana.card_no, there(unit)["7"][1], fingers(unit)) == ("222", 222, {})
    assert not Biodata.objects.exists()


def test_a_table_of_fingers_that_cannot_be_read_keeps_nobody_on_the_unit(hire: Hire, register: Register) -> None:
    device, unit = register(users=(SimUser(1, "7", "Ana"),), templates=(SimTemplate(1, 3, FINGER),))
    ana = hire("7", "Ana")
    visit(device)
    enrol_at_unit(unit, "7", 4, OTHER)
    unit.faults = Faults(CountOff(of="templates", by=3, times=None))
    people.delete_employees([ana.pk])

    visit(device)

    assert there(unit) == {}


def test_nobody_new_gets_a_number_that_still_has_somebodys_fingers(hire: Hire, register: Register) -> None:
    device, unit = register(users=(SimUser(1, "99", "Guest"), SimUser(2, "98")), templates=(SimTemplate(2, 3, FINGER),))
    visit(device)
    left = unit.templates()
    unit.delete_user(2)
    unit._templates = {(each.uid, each.finger): each for each in left}
    ana = hire("7", "Ana")

    compare(device)
    compare(device)

    assert {user.user_id: user.uid for user in unit.users()} == {"99": 1, "7": 3}
    assert not Biodata.objects.filter(employee=ana).exists()


def test_nobody_gets_the_number_of_somebody_just_removed_whose_fingers_stayed(hire: Hire, register: Register) -> None:
    device, unit = register()
    ana = hire("7", "Ana", fingers={3: FINGER})
    visit(device)
    left = unit.templates()
    deleted = partial(setattr, unit, "_templates", {(each.uid, each.finger): each for each in left})
    unit.faults = Faults(
        Meanwhile(command=protocol.CMD_DELETE_USER, deed=deleted), Refuse(command=DELETE_FINGER, times=9)
    )
    people.delete_employees([ana.pk])
    bob = hire("8", "Bob")

    visit(device)
    unit.faults = Faults()
    compare(device)

    assert unit.uid_of("8") == 2
    assert not Biodata.objects.filter(employee=bob).exists()


def test_whether_a_finger_is_for_duress_is_known_before_it_is_taken(hire: Hire, register: Register) -> None:
    device, unit = register(policy={"direction": Direction.EXPORT})
    ana = hire("7", "Ana")
    visit(device)
    unit.put_template(SimTemplate(unit.uid_of("7") or 0, 3, FINGER, valid=3))
    visit(device)
    Terminal.objects.update(direction=Direction.BOTH)

    compare(device)

    assert [(each.bio_no, each.duress) for each in Biodata.objects.filter(employee=ana)] == [(3, True)]


@override_settings(PEOPLE_VISIT_SECONDS=0.5)
def test_a_hire_comes_although_reading_the_fingers_takes_longer_than_people_have(
    hire: Hire, register: Register
) -> None:
    device, unit = register()
    hire("7", "Ana", fingers={3: FINGER})
    visit(device)
    hire("8", "Bob")
    unit.faults = Faults(Latency(command=USERS, nth=2, seconds=0.6))

    visit(device)

    assert set(there(unit)) == {"7", "8"}


def test_the_former_of_a_code_goes_although_of_the_new_one_nothing_can_be_written(
    hire: Hire, register: Register
) -> None:
    device, unit = register()
    ana = hire("7", "Ana", card_no="5")
    visit(device)
    people.delete_employees([ana.pk])
    bob = hire("7", "Bob", pin="12")
    Employee.objects.filter(pk=bob.pk).update(device_password_sealed=b"\x02k9" + bytes(40))

    visit(device)

    assert there(unit) == {}


def test_a_stranger_whose_removal_was_refused_is_a_stranger_still(hire: Hire, register: Register) -> None:
    device, unit = register(users=(SimUser(1, "99", "Guest"),), policy={"strangers": Strangers.REMOVED})
    visit(device)
    unit.faults = Faults(Refuse(command=protocol.CMD_DELETE_USER, times=2))
    compare(device)
    Terminal.objects.update(strangers=Strangers.KEPT)

    compare(device)

    assert set(there(unit)) == {"99"}
    assert [row.emp_code for row in TerminalPerson.objects.unknown()] == ["99"]


def test_a_card_is_taken_although_the_password_entered_with_it_is_none(hire: Hire, register: Register) -> None:
    device, unit = register()
    ana = hire("7", "Ana")
    visit(device)

    edit_at_unit(unit, "7", card=555, password="12x4")
    compare(device)

    ana.refresh_from_db()
    assert (ana.card_no, there(unit)["7"][1]) == ("555", 555)


def test_a_new_owner_of_a_code_is_met_like_at_first_contact_where_nothing_is_written(
    hire: Hire, register: Register
) -> None:
    device, unit = register(policy={"direction": Direction.IMPORT}, users=(SimUser(1, "7", "Ana", card=5),))
    ana = hire("7", "Ana")
    visit(device)
    people.delete_employees([ana.pk])
    bob = hire("7", "Bob")
    visit(device)
    assert row_of(unit, "7").refusal.startswith("The terminal knows 7 as Ana, the platform as Bob")

    edit_at_unit(unit, "7", name="Bob", card=6)
    compare(device)

    bob.refresh_from_db()
    assert bob.card_no == "6"


def test_a_password_entered_there_gives_way_to_one_that_has_no_room(hire: Hire, register: Register) -> None:
    device, unit = register(user_width=28, punch_width=16, users=(SimUser(1, "99"),))
    ana = hire("7", "Ana", pin="12345678")
    visit(device)
    compare(device)
    edit_at_unit(unit, "7", password="99")

    compare(device)

    ana.refresh_from_db()
    assert (there(unit)["7"][3], ana.device_password) == ("", "12345678")


def test_people_who_left_with_their_fingers_make_nobody_compare_twice(hire: Hire, register: Register) -> None:
    device, unit = register()
    ana = hire("7", "Ana", fingers={3: FINGER})
    hire("8", "Bob", fingers={4: OTHER})
    visit(device)
    people.delete_employees([ana.pk])
    visit(device)
    sessions = len(unit.journal)

    visit(device)

    assert len(unit.journal) == sessions + 1


def test_a_code_that_the_unit_has_twice_goes_twice(hire: Hire, register: Register) -> None:
    device, unit = register()
    ana = hire("7", "Ana")
    hire("8", "Bob")
    visit(device)
    (uid,) = (user.uid for user in unit.users() if user.user_id == "8")
    row = unit._users[uid]
    unit._users[uid] = row[:48] + b"7".ljust(24, b"\0")
    people.delete_employees([ana.pk])

    visit(device)

    assert "7" not in there(unit)


def test_the_history_tells_of_what_nobody_answered_and_what_fails_alike_once(hire: Hire, register: Register) -> None:
    device, unit = register()
    hire("7", "Ana", fingers={3: FINGER})
    unit.faults = Faults(LostBetween(times=2))
    visit(device)
    compare(device)
    compare(device)

    rows = PersonIntent.objects.order_by("pk").values_list("kind", "done")
    assert list(rows) == [("add", False), ("copy_finger", False), ("copy_finger", True)]


def test_a_database_error_in_between_is_told_and_tried_again_before_long(hire: Hire, register: Register) -> None:
    device, _ = register()
    hire("7", "Ana")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE iclock_personintent ADD CONSTRAINT broken CHECK (emp_code <> '7') NOT VALID")
    try:
        visit(device)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE iclock_personintent DROP CONSTRAINT broken")

    assert "broken" in SyncMark.objects.get(terminal=device.terminal).error
    device.refresh_from_db()
    assert device.next_poll_at < timezone.now() + timedelta(minutes=6)


def test_who_does_not_fit_is_refused_with_a_reason_and_nobody_else_is_disturbed(hire: Hire, register: Register) -> None:
    device, unit = register()
    hire("EMP-7", "Ana")
    hire("8", "Bob")

    visit(device)

    assert set(there(unit)) == {"8"}
    assert row_of(unit, "EMP-7").refusal == "This unit's user ids are digits; 'EMP-7' can't be one."
    assert not SyncMark.objects.pending().exists()


def test_who_is_not_there_is_told_why_and_not_how_they_would_be_there(hire: Hire, register: Register) -> None:
    device, unit = register()
    hire("EMP-7", "Ana", card_no="99999999999")

    visit(device)
    compare(device)

    assert row_of(unit, "EMP-7").refusal == "This unit's user ids are digits; 'EMP-7' can't be one."


def test_a_full_unit_says_so_in_words_and_takes_who_fits_once_there_is_room(hire: Hire, register: Register) -> None:
    device, unit = register(user_capacity=1)
    first = hire("7", "Ana")
    hire("8", "Bob")
    visit(device)
    assert set(there(unit)) == {"7"}
    assert "full: it holds 1 of 1 people" in row_of(unit, "8").refusal

    people.delete_employees([first.pk])
    visit(device)

    assert set(there(unit)) == {"8"}
    assert row_of(unit, "8").refusal == ""


def test_names_are_cut_and_spelled_as_the_unit_can(hire: Hire, register: Register, area: Area) -> None:
    device, unit = register(encoding="cp1252")
    Device.objects.update(encoding="cp1252")
    hire("7", "Íñigo Жук", last_name="de la Serna y Mendoza")
    visit(device)
    assert there(unit)["7"][0] == "Íñigo ??? de la Serna y"
    sent = unit.commands().count(protocol.CMD_SAVE_USERTEMPS)

    compare(device)

    assert unit.commands().count(protocol.CMD_SAVE_USERTEMPS) == sent


def test_a_card_that_no_terminal_can_hold_costs_nobody_their_place(hire: Hire, register: Register) -> None:
    device, unit = register()
    hire("7", "Ana", card_no="99999999999")

    visit(device)

    assert there(unit) == {"7": ("Ana", 0, 0, "")}
    assert row_of(unit, "7").refusal.startswith("Card 99999999999 has no room on a terminal")


@pytest.mark.parametrize("direction", list(Direction))
def test_each_direction_moves_only_what_it_says(direction: Direction, hire: Hire, register: Register) -> None:
    users = (SimUser(1, "7", "Ana", card=5),)
    device, unit = register(policy={"direction": direction}, users=users, templates=(SimTemplate(1, 3, FINGER),))
    ana, _ = hire("7", "Ana"), hire("8", "Bob")

    visit(device)

    ana.refresh_from_db()
    taken = (ana.card_no, Biodata.objects.count()) == ("5", 1)
    assert (taken, "8" in there(unit)) == (direction in {"import", "both"}, direction in {"export", "both"})
    assert TerminalPerson.objects.exists() is (direction != "off")


def test_who_is_disabled_at_the_unit_is_enabled_again(hire: Hire, register: Register) -> None:
    device, unit = register()
    hire("7", "Ana")
    visit(device)

    edit_at_unit(unit, "7", privilege=1)
    compare(device)

    assert there(unit)["7"][2] == 0
    assert history("enable") == [("enable", "7", True)]


def test_a_code_that_the_unit_has_twice_is_left_alone_and_told(hire: Hire, register: Register) -> None:
    device, unit = register(users=(SimUser(1, "7", "Ana"), SimUser(2, "8", "Ana")))
    row = unit.table("users")[72:]
    unit._users[2] = row[:48] + b"7".ljust(24, b"\0")  # no menu lets it happen, and yet it does
    hire("7", "Anabel", card_no="5")
    before = unit.table("users")

    visit(device)

    assert unit.table("users") == before
    assert (
        row_of(unit, "7").refusal
        == "The unit has this code more than once, as numbers 1, 2: delete all but one of them there."
    )


@override_settings(PEOPLE_VISIT_SECONDS=0)
def test_what_does_not_fit_into_one_visit_is_due_at_once(hire: Hire, register: Register) -> None:
    device, unit = register()
    hire("7", "Ana")

    visit(device)

    assert there(unit) == {}
    device.refresh_from_db()
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        assert device.next_poll_at <= cursor.fetchone()[0]


def test_a_change_made_while_the_unit_is_written_waits_for_the_next_visit(hire: Hire, register: Register) -> None:
    device, unit = register()
    ana = hire("7", "Ana")
    unit.faults = Faults(Meanwhile(command=SAVE, deed=lambda: change(ana, first_name="Late")))

    visit(device)
    assert SyncMark.objects.pending().exists()
    visit(device)

    assert there(unit)["7"][0] == "Late"
    assert not SyncMark.objects.pending().exists()


def test_an_edit_made_here_while_the_terminals_card_is_being_taken_wins(hire: Hire, register: Register) -> None:
    device, unit = register()
    ana = hire("7", "Ana", card_no="1")
    visit(device)
    edit_at_unit(unit, "7", card=2)
    unit.faults = Faults(Meanwhile(command=USERS, nth=2, deed=lambda: change(ana, card_no="3")))

    compare(device)
    visit(device)

    ana.refresh_from_db()
    assert (ana.card_no, there(unit)["7"][1]) == ("3", 3)


def test_whoever_lost_the_device_writes_nothing_more(hire: Hire, register: Register) -> None:
    device, unit = register(users=(SimUser(1, "99", "Guest"),))
    hire("7", "Ana")
    taken = partial(Device.objects.filter(pk=device.pk).update, lease_token=F("lease_token") + 1)
    unit.faults = Faults(Meanwhile(command=USERS, deed=taken))

    with pytest.raises(LeaseLostError):
        visit(device)

    assert set(there(unit)) == {"99"}
    assert not unit.disabled


def test_people_that_cannot_be_read_are_no_reason_not_to_store_punches(hire: Hire, register: Register) -> None:
    device, unit = register(users=(SimUser(1, "7", "Ana"),), punches=(SimPunch("7", datetime(2026, 3, 2, 8)),))
    hire("8", "Bob")
    unit.faults = Faults(Close(command=USERS, nth=2, times=None))

    visit(device)

    assert Transaction.objects.count() == 1
    assert SyncMark.objects.get(terminal=device.terminal).error
    device.refresh_from_db()
    assert device.failures == 0
