"""A finger is enrolled at the terminal, followed scan by scan, and stored; whatever else happens is said in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now

from devices import protocol
from devices.domain import enrolments
from devices.domain.lease import hold
from devices.models import Device
from devices.simulator import (
    Close,
    EnrolmentEnds,
    Fault,
    Faults,
    NobodyComes,
    Refuse,
    SimulatedTerminal,
    TerminalSpec,
)
from iclock.domain import presence
from iclock.domain.enrolments import ask, cancel
from iclock.models import Biodata, Enrolment, SyncMark, Terminal, TerminalPerson
from personnel.domain.resignations import resign
from personnel.models import Area, Employee
from tests.devices.conftest import PEOPLE
from zkbio.accounts.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)

START = protocol.CMD_STARTENROLL


@pytest.fixture
def unit() -> Iterator[SimulatedTerminal]:
    with SimulatedTerminal(TerminalSpec(serial="CKJF201260077", users=PEOPLE)) as terminal:
        yield terminal


@pytest.fixture
def area(db: None) -> Area:
    return Area.objects.create(area_code="2", area_name="Two")


@pytest.fixture
def gate(device: Device, area: Area) -> Device:
    device.terminal = Terminal.objects.create(sn="CKJF201260077", alias="Gate", area=area)
    device.save()
    presence.mark_online(device.terminal)
    return device


@pytest.fixture
def ana(area: Area) -> Employee:
    person = Employee.objects.create(emp_code="1001", first_name="Ana", department_id=1)
    person.areas.set([area])
    return person


@pytest.fixture
def agreed(ana: Employee, settings: Any) -> Employee:
    settings.BIOMETRIC_CONSENT = True
    Employee.objects.update(biometric_consent=True)
    ana.refresh_from_db()
    return ana


@dataclass(frozen=True)
class During(Fault):
    """Somebody does something while the unit carries out the command."""

    deed: Callable[[], None] = lambda: None

    def packets(self, packets: list[protocol.Packet]) -> list[protocol.Packet]:
        self.deed()
        connection.close()
        return packets


def asked(gate: Device, who: Employee, finger: int = 6) -> Enrolment:
    assert gate.terminal is not None
    return ask(gate.terminal, who, finger, user=None, actor="test")


def carry_out(device: Device, seconds: float = 20.0) -> None:
    with hold(device.pk) as lease:
        enrolments.carry_out(device, lease, seconds=seconds)
    connection.close()


def ending(enrolment: Enrolment) -> tuple[str, int, str]:
    enrolment.refresh_from_db()
    assert (enrolment.finished_at is None) is (enrolment.state in Enrolment.OPEN)
    return enrolment.state, enrolment.scans, enrolment.sentence


def test_a_finger_is_enrolled_followed_and_stored_for_the_other_terminals(
    gate: Device, ana: Employee, area: Area, unit: SimulatedTerminal
) -> None:
    other = Terminal.objects.create(sn="B", alias="Back door", area=area)
    enrolment = asked(gate, ana)

    carry_out(gate)

    assert ending(enrolment) == ("done", 3, "Enrolled, stored, and on its way to the person's other terminals.")
    (on_unit,) = unit.templates()
    stored = Biodata.objects.get()
    assert (stored.employee, stored.bio_type, stored.bio_no) == (ana, Biodata.Type.FINGERPRINT, 6)
    assert (stored.template, stored.major_ver, stored.sn) == (on_unit.data, "10", "CKJF201260077")
    ana.refresh_from_db()
    assert ana.fingerprint == "Ver 10:1"
    assert SyncMark.objects.pending().filter(terminal=other).exists()


def test_who_asked_and_what_came_of_it_stand_in_the_trail(gate: Device, ana: Employee) -> None:
    enrolment = asked(gate, ana)

    carry_out(gate)

    told = {"sn": "CKJF201260077", "emp_code": "1001", "finger": 6, "enrolment": enrolment.pk}
    result = {"asked_by": "", "state": "done"}
    assert list(AuditEntry.objects.order_by("id").values_list("actor", "action", "detail")) == [
        ("test", "iclock.ask_to_enrol", told),
        (
            "sync",
            "iclock.enrol",
            {**told, **result, "result": "Enrolled, stored, and on its way to the person's other terminals."},
        ),
    ]


def test_a_finger_that_is_enrolled_once_more_replaces_the_stored_one(
    gate: Device, ana: Employee, unit: SimulatedTerminal
) -> None:
    row = Biodata(employee=ana, bio_type=1, bio_no=6, major_ver="10")
    row.template = b"the former one"
    row.save()
    asked(gate, ana)

    carry_out(gate)

    (on_unit,) = unit.templates()
    assert Biodata.objects.get().template == on_unit.data


@pytest.mark.parametrize(
    ("fault", "state", "sentence"),
    [
        (EnrolmentEnds(result=4), "failed", "The terminal could not read the finger three times"),
        (EnrolmentEnds(result=5), "failed", "This finger is somebody's already on the terminal"),
        (EnrolmentEnds(result=6), "cancelled", "Cancelled at the terminal."),
        (NobodyComes(), "expired", "Nobody put the finger on the sensor three times in time."),
        (Refuse(command=START), "failed", "refused to enrol finger 6 of user 1001"),
    ],
    ids=["failed", "duplicate", "cancelled at the unit", "nobody came", "refused"],
)
def test_what_kept_the_finger_from_being_enrolled_is_said_and_nothing_is_stored(
    fault: Fault, state: str, sentence: str, gate: Device, ana: Employee, unit: SimulatedTerminal
) -> None:
    unit.faults = Faults(fault)
    enrolment = asked(gate, ana)

    carry_out(gate, seconds=0.3)

    told = ending(enrolment)
    assert (told[0], sentence in told[2]) == (state, True), told
    assert (Biodata.objects.count(), unit.templates()) == (0, ())


def test_a_line_that_breaks_leaves_a_sentence_and_a_terminal_to_be_compared(
    gate: Device, ana: Employee, unit: SimulatedTerminal
) -> None:
    SyncMark.objects.all().delete()
    unit.faults = Faults(Close(command=START))
    enrolment = asked(gate, ana)

    carry_out(gate)

    state, _, sentence = ending(enrolment)
    assert (state, "closed the connection" in sentence) == ("failed", True), sentence
    assert SyncMark.objects.pending().filter(terminal=gate.terminal).exists()


def test_a_template_that_can_not_be_read_now_is_left_to_the_comparison(
    gate: Device, ana: Employee, unit: SimulatedTerminal
) -> None:
    unit.faults = Faults(Close(command=protocol.CMD_GET_USERTEMP))
    enrolment = asked(gate, ana)

    carry_out(gate)

    state, _, sentence = ending(enrolment)
    assert (state, sentence.startswith("Enrolled; it is stored here at the next visit")) == ("done", True), sentence
    assert len(unit.templates()) == 1
    assert SyncMark.objects.pending().filter(terminal=gate.terminal).exists()


def test_who_is_not_on_the_terminal_yet_is_not_asked_for(gate: Device, area: Area, unit: SimulatedTerminal) -> None:
    new = Employee.objects.create(emp_code="77", first_name="Neu", department_id=1)
    new.areas.set([area])
    enrolment = asked(gate, new)

    carry_out(gate)

    state, _, sentence = ending(enrolment)
    assert (state, sentence.startswith("77 is not on the terminal yet: they come with one of")) == ("failed", True)
    assert START not in unit.commands()

    assert gate.terminal is not None
    TerminalPerson.objects.create(terminal=gate.terminal, emp_code="77", refusal="The unit is full.")
    again = asked(gate, new)
    carry_out(gate)
    assert ending(again)[2] == "77 is not on the terminal yet: The unit is full."


def taken_back() -> None:
    Employee.objects.update(biometric_consent=False)


def resigned() -> None:
    resign(Employee.objects.values_list("pk", flat=True), resign_date=date(2026, 3, 2))


def set_off() -> None:
    Terminal.objects.update(direction="off")


def blocked() -> None:
    Terminal.objects.update(admission="blocked")


@pytest.mark.parametrize("deed", [taken_back, resigned, set_off, blocked])
def test_nobody_is_asked_for_a_finger_that_may_not_be_enrolled_any_more(
    deed: Callable[[], None], gate: Device, agreed: Employee, unit: SimulatedTerminal
) -> None:
    """The visit began before it was so: it still has the terminal as it was."""
    enrolment = asked(gate, agreed)
    deed()

    carry_out(gate)

    assert ending(enrolment)[:2] == ("failed", 0)
    assert (unit.templates(), unit.commands()) == ((), [])


def test_a_terminal_that_is_blocked_while_it_is_dialled_is_not_asked(
    gate: Device, agreed: Employee, unit: SimulatedTerminal
) -> None:
    unit.faults = Faults(During(command=protocol.CMD_OPTIONS_RRQ, deed=blocked))
    enrolment = asked(gate, agreed)

    carry_out(gate)

    assert ending(enrolment)[0] == "failed"
    assert unit.journal
    assert START not in unit.commands()


def test_a_blocked_terminal_is_not_dialled_for_what_a_dead_worker_left(
    gate: Device, agreed: Employee, unit: SimulatedTerminal
) -> None:
    asked(gate, agreed)
    Enrolment.objects.update(state="running", started_at=Now() - timedelta(seconds=5))
    blocked()

    carry_out(gate)

    assert not unit.journal


@pytest.mark.parametrize("deed", [taken_back, resigned])
def test_what_may_not_be_stored_any_more_is_deleted_at_the_terminal_at_once(
    deed: Callable[[], None], gate: Device, agreed: Employee, unit: SimulatedTerminal
) -> None:
    SyncMark.objects.all().delete()
    words: list[bool] = []

    def note() -> None:
        words.append(Device.objects.filter(disabled_at__isnull=False).exists())

    unit.faults = Faults(During(command=START, deed=deed), During(command=protocol.CMD_DELETE_USERTEMP, deed=note))
    enrolment = asked(gate, agreed)

    carry_out(gate)

    state, scans, sentence = ending(enrolment)
    assert (state, scans) == ("failed", 3)
    assert sentence.startswith("Enrolled, and deleted on the terminal again. ")
    assert (unit.templates(), Biodata.objects.count()) == ((), 0)
    assert (unit.disabled, words) == (False, [True]), "word of the disabled unit is left first"
    assert SyncMark.objects.pending().filter(terminal=gate.terminal).exists()
    gate.refresh_from_db()
    assert gate.disabled_at is None


def test_one_that_the_terminal_does_not_delete_again_is_said(
    gate: Device, agreed: Employee, unit: SimulatedTerminal
) -> None:
    unit.faults = Faults(During(command=START, deed=taken_back), Refuse(command=protocol.CMD_DELETE_USERTEMP))
    enrolment = asked(gate, agreed)

    carry_out(gate)

    state, _, sentence = ending(enrolment)
    assert (state, sentence.startswith("Enrolled, and still on the terminal: ")) == ("failed", True), sentence
    assert (len(unit.templates()), Biodata.objects.count()) == (1, 0)


def test_a_cancel_reaches_the_unit_that_waits_for_the_finger(
    gate: Device, ana: Employee, unit: SimulatedTerminal
) -> None:
    unit.faults = Faults(NobodyComes())
    enrolment = asked(gate, ana)
    with ThreadPoolExecutor(1) as pool:
        going_on = pool.submit(carry_out, gate)
        wait_until(lambda: "waits for the finger" in ending(enrolment)[2])
        assert cancel(enrolment, actor="test")
        going_on.result(timeout=10)

    assert ending(enrolment) == ("cancelled", 0, "Cancelled here.")
    commands = unit.commands()
    assert protocol.CMD_CANCELCAPTURE in commands[commands.index(START) :]


def test_no_connection_to_the_database_is_kept_while_the_terminal_waits(
    gate: Device, ana: Employee, unit: SimulatedTerminal
) -> None:
    unit.faults = Faults(NobodyComes())
    enrolment = asked(gate, ana)
    with ThreadPoolExecutor(1) as pool:
        going_on = pool.submit(carry_out, gate)
        wait_until(lambda: "waits for the finger" in ending(enrolment)[2])
        wait_until(lambda: connections_of_others() == 0)
        cancel(enrolment, actor="test")
        going_on.result(timeout=10)


@pytest.mark.parametrize("answers", ["another unit", "nobody"])
def test_who_can_not_be_reached_is_asked_at_the_next_visit(
    answers: str, gate: Device, ana: Employee, unit: SimulatedTerminal
) -> None:
    enrolment = asked(gate, ana)
    if answers == "nobody":
        unit.stop()
    else:
        Terminal.objects.update(sn="ANOTHER")

    carry_out(gate)

    assert ending(enrolment)[0] == "queued"
    assert START not in unit.commands()


def test_what_a_dead_worker_left_is_ended_and_not_begun_again(
    gate: Device, ana: Employee, unit: SimulatedTerminal
) -> None:
    enrolment = asked(gate, ana)
    Enrolment.objects.update(state="running", started_at=Now() - timedelta(seconds=5))

    carry_out(gate)

    state, _, sentence = ending(enrolment)
    assert (state, sentence.startswith("It was interrupted")) == ("failed", True)
    assert START not in unit.commands()


def test_a_visit_without_a_wish_does_not_dial(gate: Device, unit: SimulatedTerminal) -> None:
    carry_out(gate)

    assert unit.commands() == []


def connections_of_others() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.02)
