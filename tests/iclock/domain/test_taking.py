"""What was entered at a terminal becomes known here, unless somebody here was quicker or it can't be true."""

from __future__ import annotations

from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.test import override_settings

from iclock.domain import taking
from iclock.domain.biodata import forget_digests
from iclock.domain.plan import Fields
from iclock.domain.taking import take_fields, take_finger
from iclock.domain.wanted import password_digest
from iclock.models import Biodata, ForgottenTemplate, SyncMark, Terminal, TerminalPerson
from iclock.models.biodata import digest_of
from personnel.domain.people import lock_employees, update_employee
from personnel.models import Area, Employee, Resignation

pytestmark = pytest.mark.django_db

TEMPLATE = b"ridges and minutiae"


@pytest.fixture
def gate(db: None) -> Terminal:
    area = Area.objects.create(area_code="2", area_name="Two")
    return Terminal.objects.create(sn="GATE", alias="Gate", area=area)


@pytest.fixture
def ana(gate: Terminal) -> Employee:
    return hire("7", gate.area)


def hire(code: str, area: Area, **columns: Any) -> Employee:
    person = Employee.objects.create(emp_code=code, department_id=1, **columns)
    person.areas.set([area])
    return person


def meant() -> UUID:
    """Whom the code means now."""
    return Employee.objects.filter(emp_code="7").values_list("uuid", flat=True).first() or uuid4()


def take(
    gate: Terminal,
    theirs: Fields,
    *columns: str,
    seen: Fields | None = None,
    password: str = "",
    person: UUID | None = None,
) -> str:
    return take_fields(
        gate,
        "7",
        person=person or meant(),
        theirs=theirs,
        password=password,
        columns=columns or ("card",),
        seen=seen or Fields(),
        fit_name=str,
    )


def card(person: Employee) -> str | None:
    person.refresh_from_db()
    return person.card_no


def test_a_card_becomes_the_persons_and_the_terminals_hear_of_it(gate: Terminal, ana: Employee) -> None:
    assert take(gate, Fields(card=4711)) == ""

    assert card(ana) == "4711"
    assert SyncMark.objects.pending().get().terminal == gate


def test_name_password_and_privilege_are_taken(gate: Terminal, ana: Employee) -> None:
    theirs = Fields("Ana María Ruiz", 0, 14, password_digest("7", "2718"))

    assert take(gate, theirs, "name", "privilege", "password", password="2718") == ""

    ana.refresh_from_db()
    told = (ana.first_name, ana.last_name, ana.dev_privilege, ana.device_password)
    assert told == ("Ana", "María Ruiz", 14, "2718")


def test_what_the_terminal_has_not_takes_nothing_away(gate: Terminal, ana: Employee) -> None:
    update_employee(ana.pk, {"card_no": "12", "first_name": "Ana"})

    assert take(gate, Fields(), "card", "name", seen=Fields("Ana", 12)) == ""

    assert (card(ana), ana.first_name) == ("12", "Ana")


def test_an_edit_made_meanwhile_wins_and_the_other_columns_are_taken(gate: Terminal, ana: Employee) -> None:
    update_employee(ana.pk, {"card_no": "5"})

    said = take(gate, Fields("Ana", 4711), "card", "name")

    assert said == "The card was changed here meanwhile."
    assert (card(ana), ana.first_name) == ("5", "Ana")


@pytest.mark.parametrize("column", ["name", "password", "privilege"])
def test_every_column_is_compared_with_what_was_seen(column: str, gate: Terminal, ana: Employee) -> None:
    update_employee(ana.pk, {"first_name": "Eva", "device_password": "1", "dev_privilege": 2})
    theirs = Fields("Ana", 0, 14, password_digest("7", "2718"))

    assert "was changed here meanwhile" in take(gate, theirs, column, password="2718")

    ana.refresh_from_db()
    assert (ana.first_name, ana.device_password, ana.dev_privilege) == ("Eva", "1", 2)


def test_what_was_seen_of_a_name_is_what_the_terminal_has_room_for(gate: Terminal, ana: Employee) -> None:
    update_employee(ana.pk, {"first_name": "Maximiliana"})

    def fit(name: str) -> str:
        return name[:8]

    said = take_fields(
        gate,
        "7",
        person=ana.uuid,
        theirs=Fields("Max"),
        password="",
        columns=["name"],
        seen=Fields("Maximili"),
        fit_name=fit,
    )

    ana.refresh_from_db()
    assert (said, ana.first_name) == ("", "Max")


def test_what_is_known_by_now_is_done(gate: Terminal, ana: Employee) -> None:
    update_employee(ana.pk, {"card_no": "004711"})
    SyncMark.objects.all().delete()

    assert take(gate, Fields(card=4711)) == ""

    assert card(ana) == "004711"
    assert not SyncMark.objects.exists()


@pytest.mark.parametrize("stored", ["4711", "004711"])
def test_somebody_elses_card_is_refused_and_whose_it_is_told_of_who_belongs_there(
    stored: str, gate: Terminal, ana: Employee
) -> None:
    ben = hire("8", gate.area, card_no=stored)

    assert take(gate, Fields(card=4711)) == "Card 4711 is that of employee 8."
    ben.areas.set([1])
    assert take(gate, Fields(card=4711)) == "Card 4711 is somebody else's."
    assert card(ana) is None


UNREADABLE = (
    "The name on the terminal can't be read in the code page of its device: set the one in which the unit writes names."
)
BAD: list[tuple[str, Fields, str, str]] = [
    ("card", Fields(card=10**20), "", "The card's number on the terminal can't be one."),
    ("card", Fields(card=-5), "", "The card's number on the terminal can't be one."),
    ("password", Fields(password="x"), "123456789", "A PIN consists of up to eight digits."),
    ("password", Fields(password="x"), "", "A PIN consists of up to eight digits."),
    ("privilege", Fields(privilege=7), "", "The terminal's privilege 7 isn't known here."),
    ("name", Fields(name="A\x07na"), "", UNREADABLE),
    ("name", Fields(name="A\u202ena"), "", UNREADABLE),
    ("name", Fields(name="A\ud800na"), "", UNREADABLE),
    ("name", Fields(name="Mu\ufffdoz"), "", UNREADABLE),
]


@pytest.mark.parametrize(("column", "theirs", "password", "sentence"), BAD)
def test_what_no_person_can_have_is_refused_in_a_sentence(
    column: str, theirs: Fields, password: str, sentence: str, gate: Terminal, ana: Employee
) -> None:
    assert take(gate, theirs, column, password=password) == sentence

    ana.refresh_from_db()
    assert (ana.full_name, ana.card_no, ana.dev_privilege, ana.device_password) == (" ", None, 0, "")


def test_long_names_are_cut(gate: Terminal, ana: Employee) -> None:
    assert take(gate, Fields(name="A" * 30 + " " + "B" * 30), "name") == ""

    ana.refresh_from_db()
    assert (ana.first_name, ana.last_name) == ("A" * 25, "B" * 25)


def test_nothing_is_taken_of_who_is_gone_or_does_not_belong_there(gate: Terminal, ana: Employee) -> None:
    Resignation.objects.create(employee=ana, resign_date="2024-06-26")
    assert take(gate, Fields(card=1)) == "They don't belong on this terminal any more."
    assert card(ana) is None

    ana.delete()
    assert take(gate, Fields(card=1)) == "There is no such employee any more."


def test_nothing_is_taken_of_another_employee_than_was_meant(gate: Terminal, ana: Employee) -> None:
    another = "There is another employee by this code by now."

    assert (take(gate, Fields(card=1), person=uuid4()), finger(gate, person=uuid4())) == (another, another)
    assert (card(ana), Biodata.objects.exists()) == (None, False)
    assert (take(gate, Fields(card=1), person=ana.uuid), finger(gate, person=ana.uuid)) == ("", "")


def test_a_password_that_can_not_be_opened_is_left_alone(gate: Terminal, ana: Employee) -> None:
    sealed = b"\x02k1" + bytes(40)
    Employee.objects.update(device_password_sealed=sealed)

    said = take(gate, Fields(card=5, password=password_digest("7", "1")), "password", "card", password="1")

    assert said == "The PIN that is stored here can't be opened; set it again."
    assert card(ana) == "5"
    assert bytes(ana.device_password_sealed or b"") == sealed


def finger(
    gate: Terminal,
    template: bytes = TEMPLATE,
    *,
    number: int = 3,
    version: str = "10",
    seen: str | None = None,
    person: UUID | None = None,
) -> str:
    return take_finger(gate, "7", number, template, version=version, duress=True, seen=seen, person=person or meant())


def test_a_finger_is_kept_sealed_with_its_version_and_origin(gate: Terminal, ana: Employee) -> None:
    assert finger(gate) == ""

    kept = Biodata.objects.get()
    assert (kept.template, kept.digest, TEMPLATE in bytes(kept.sealed)) == (TEMPLATE, digest_of(TEMPLATE), False)
    assert (kept.bio_type, kept.bio_no, kept.major_ver, kept.sn, kept.duress) == (1, 3, "10", "GATE", True)
    ana.refresh_from_db()
    assert ana.fingerprint == "Ver 10:1"
    assert SyncMark.objects.pending().get().terminal == gate


def test_a_finger_enrolled_once_more_replaces_the_one_that_was_seen(gate: Terminal, ana: Employee) -> None:
    finger(gate)

    assert finger(gate, b"anew") == "The finger was changed here meanwhile."
    assert finger(gate, b"anew", seen=digest_of(b"another")) == "The finger was changed here meanwhile."
    assert Biodata.objects.get().template == TEMPLATE
    assert finger(gate, b"anew", seen=digest_of(TEMPLATE)) == ""
    assert Biodata.objects.get().template == b"anew"


def test_a_finger_that_was_withdrawn_meanwhile_does_not_come_back(gate: Terminal, ana: Employee) -> None:
    assert finger(gate, b"anew", seen=digest_of(TEMPLATE)) == "The finger was changed here meanwhile."
    assert not Biodata.objects.exists()


def test_a_template_that_was_withdrawn_or_replaced_here_is_not_taken_again(gate: Terminal, ana: Employee) -> None:
    refusal = "This template was withdrawn or replaced here, and isn't taken back: have the finger enrolled again."
    forget_digests([(ana.pk, 1, digest_of(TEMPLATE))])

    assert finger(gate) == refusal
    assert (finger(gate, b"anew"), finger(gate, b"better", seen=digest_of(b"anew"))) == ("", "")
    assert finger(gate, b"anew", seen=digest_of(b"better")) == refusal
    assert Biodata.objects.get().template == b"better"
    assert ForgottenTemplate.objects.count() == 2


def test_a_finger_that_is_kept_is_known_to_be_on_the_terminal_that_brought_it(gate: Terminal, ana: Employee) -> None:
    other = Terminal.objects.create(sn="OTHER", alias="Other", area=gate.area)
    known = {"emp_code": "7", "held": True, "held_fingers": {"1": "a"}, "agreed_fingers": {"1": "a"}}
    here = TerminalPerson.objects.create(terminal=gate, **known)
    there = TerminalPerson.objects.create(terminal=other, **known)

    finger(gate)

    for row in (here, there):
        row.refresh_from_db()
    both = {"1": "a", "3": digest_of(TEMPLATE)}
    assert (here.held_fingers, here.agreed_fingers) == (both, both)
    assert (there.held_fingers, there.agreed_fingers) == ({"1": "a"}, {"1": "a"})


def test_a_finger_is_agreed_where_the_others_were_never_read(gate: Terminal, ana: Employee) -> None:
    row = TerminalPerson.objects.create(terminal=gate, emp_code="7", held=True)

    finger(gate)

    row.refresh_from_db()
    assert (row.held_fingers, row.agreed_fingers) == (None, {"3": digest_of(TEMPLATE)})


def test_a_finger_that_is_kept_already_is_done(gate: Terminal, ana: Employee) -> None:
    finger(gate)

    assert finger(gate, TEMPLATE + bytes(20)) == ""


def test_fingers_of_two_algorithms_stand_beside_each_other(gate: Terminal, ana: Employee) -> None:
    assert (finger(gate, version="9"), finger(gate)) == ("", "")

    assert Biodata.objects.count() == 2
    ana.refresh_from_db()
    assert ana.fingerprint == "Ver 10:1"


def test_without_consent_nothing_is_stored_where_it_is_asked_for(gate: Terminal, ana: Employee) -> None:
    with override_settings(BIOMETRIC_CONSENT=True):
        assert finger(gate).startswith("Nothing is stored: they haven't agreed to biometrics.")
        assert not Biodata.objects.exists()
        Employee.objects.update(biometric_consent=True)
        assert finger(gate) == ""


@pytest.mark.parametrize(
    ("template", "number", "version", "sentence"),
    [
        (b"", 3, "10", "A template of 0 bytes can't be one."),
        (bytes(40), 3, "10", "A template of 40 bytes can't be one."),
        (b"x" * (taking.MOST_BYTES + 1), 3, "10", "A template of 16385 bytes can't be one."),
        (TEMPLATE, 10, "10", "There is no finger 10."),
        (TEMPLATE, -1, "10", "There is no finger -1."),
        (TEMPLATE, 3, "", "The terminal doesn't tell the algorithm of its fingerprints."),
        (TEMPLATE, 3, "<b>", "The terminal doesn't tell the algorithm of its fingerprints."),
    ],
)
def test_what_is_no_finger_is_refused_in_a_sentence(
    template: bytes, number: int, version: str, sentence: str, gate: Terminal, ana: Employee
) -> None:
    assert finger(gate, template, number=number, version=version) == sentence
    assert not Biodata.objects.exists()


def test_no_finger_is_kept_of_who_does_not_belong_there(gate: Terminal, ana: Employee) -> None:
    ana.areas.set([1])

    assert finger(gate) == "They don't belong on this terminal any more."
    assert not Biodata.objects.exists()


def at_once(*deeds: Callable[[], object]) -> list[object]:
    """What came of each, in a thread and on a connection of its own."""
    start, results = Barrier(len(deeds)), [object()] * len(deeds)

    def do(place: int, deed: Callable[[], object]) -> None:
        try:
            start.wait(10)
            results[place] = deed()
        finally:
            connection.close()

    threads = [Thread(target=do, args=pair) for pair in enumerate(deeds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


@pytest.mark.django_db(transaction=True)
def test_of_an_edit_and_a_card_entered_at_the_same_moment_one_wins_and_the_other_is_told(
    gate: Terminal, ana: Employee
) -> None:
    for turn in range(12):
        Employee.objects.update(card_no=None, mobile=None)
        said, _ = at_once(
            lambda: take(gate, Fields(card=4711)),
            lambda: update_employee(ana.pk, {"card_no": "5", "mobile": "600"}),
        )
        # The edit stands always: it comes second, or the taking finds it.
        assert (said, card(ana), ana.mobile) in [
            ("", "5", "600"),
            ("The card was changed here meanwhile.", "5", "600"),
        ], turn


@pytest.mark.django_db(transaction=True)
def test_a_taking_waits_for_the_edit_that_is_under_way_and_finds_it(gate: Terminal, ana: Employee) -> None:
    said: list[str] = []

    def take_it() -> None:
        try:
            said.append(take(gate, Fields(card=4711)))
        finally:
            connection.close()

    taker = Thread(target=take_it)
    with transaction.atomic():
        lock_employees([ana.pk])
        taker.start()
        wait_for_a_lock()
        update_employee(ana.pk, {"card_no": "5"})
    taker.join(30)

    assert (said, card(ana)) == (["The card was changed here meanwhile."], "5")


@pytest.mark.django_db(transaction=True)
def test_a_card_that_somebody_else_is_given_at_the_same_moment_is_refused_and_the_name_is_taken(
    gate: Terminal, ana: Employee
) -> None:
    ben = hire("8", gate.area)
    said: list[str] = []

    def take_both() -> None:
        try:
            said.append(take(gate, Fields("Ana", 4711), "card", "name"))
        finally:
            connection.close()

    taker = Thread(target=take_both)
    with transaction.atomic():
        Employee.objects.filter(pk=ben.pk).update(card_no="4711")
        taker.start()
        wait_for_a_lock()
    taker.join(30)

    assert (said, card(ana), ana.first_name) == (["Card 4711 is somebody else's."], None, "Ana")


def wait_for_a_lock() -> None:
    """Until another connection to this database waits for one."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    for _ in range(100_000):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(waits)
            if cursor.fetchone()[0]:
                return
    raise AssertionError("Nobody waits.")
