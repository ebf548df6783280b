"""What a unit that dials tells of people: noted, and taken where it is news."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from iclock.domain import placements
from iclock.domain.biodata import withdraw_templates
from iclock.domain.kept import Held, Outcome
from iclock.domain.plan import Fields, Intent, Kind
from iclock.domain.push_room import room_of
from iclock.domain.push_uploads import store_lines
from iclock.domain.wanted import password_digest
from iclock.lines import Line, OperationLine, TemplateLine, Uploaded, UserLine
from iclock.models import (
    Biodata,
    Enrolment,
    PersonIntent,
    PushPosition,
    PushState,
    QuarantinedRecord,
    SyncMark,
    Terminal,
    TerminalEvent,
    TerminalPerson,
    Transaction,
)
from iclock.models.biodata import digest_of
from iclock.punch import Punch, Reject
from iclock.push.codec import read_lines
from personnel.domain import people
from personnel.models import Area, Department, Employee

pytestmark = pytest.mark.django_db(transaction=True)

FINGER = b"ridges and minutiae"
FACE = b"eyes and a nose"


@pytest.fixture
def gate(db: None) -> Terminal:
    area = Area.objects.create(area_code="2", area_name="Two")
    terminal = Terminal.objects.create(sn="PUSH1", alias="Gate", area=area, fp_version="10")
    PushState.objects.create(terminal=terminal)
    return again(terminal)


@pytest.fixture
def ana(gate: Terminal) -> Employee:
    return hire("7", gate.area, first_name="Ana")


def again(terminal: Terminal) -> Terminal:
    return Terminal.objects.select_related("area", "push", "presence").get(pk=terminal.pk)


def hire(code: str, area: Area, **columns: Any) -> Employee:
    department = Department.objects.earliest("pk")
    return people.create_employee(Employee(emp_code=code, department=department, **columns), areas=[area])


def tell(gate: Terminal, *lines: Line) -> None:
    store_lines(again(gate), Uploaded(lines, ()), table="OPERLOG", stamp="1")


def fp(pin: str = "7", finger: int = 3, data: bytes = FINGER, **changed: Any) -> TemplateLine:
    return TemplateLine(pin, 1, finger, data=data, **changed)


def face(pin: str = "7", data: bytes = FACE, **changed: Any) -> TemplateLine:
    told = {"bio_type": 9, "number": 0, "major_ver": "58", "minor_ver": "12", "data": data, **changed}
    return TemplateLine(pin, **told)


def row(gate: Terminal, code: str = "7") -> TerminalPerson:
    return TerminalPerson.objects.get(terminal=gate, emp_code=code)


def fingers_there(gate: Terminal) -> set[str]:
    return set(row(gate).held_fingers or ())


def is_due(gate: Terminal) -> bool:
    return PushState.objects.get(terminal=gate).due_at is not None


def test_a_person_and_their_finger_are_noted_and_taken(gate: Terminal, ana: Employee) -> None:
    tell(gate, UserLine("7", "Ana", 0, 4711), fp(duress=True))

    ana.refresh_from_db()
    kept = Biodata.objects.get(employee=ana)
    assert (ana.card_no, kept.template, kept.major_ver, kept.duress, kept.sn) == ("4711", FINGER, "10", True, "PUSH1")
    there = row(gate)
    assert (there.held, there.placed, there.held_fields["card"]) == (True, True, 4711)
    assert there.held_fingers == there.agreed_fingers == {"3": digest_of(FINGER)}
    assert there.told_at is not None
    done = PersonIntent.objects.filter(done=True).values_list("kind", "columns", "finger")
    assert {*done} == {("take_fields", "card", None), ("take_finger", "", 3)}
    assert not is_due(gate)


def test_only_those_of_whom_it_tells_are_noted(gate: Terminal, ana: Employee) -> None:
    hire("8", gate.area, first_name="Eva")
    tell(gate, UserLine("7", "Ana"), UserLine("8", "Eva"), fp("8"))

    tell(gate, UserLine("7", "Ana", card=5))

    assert row(gate, "8").held
    assert row(gate, "8").held_fingers == {"3": digest_of(FINGER)}
    assert row(gate, "7").held_fields["card"] == 5


def test_who_is_told_of_again_is_told_of_since_then_even_if_nothing_is_new(gate: Terminal, ana: Employee) -> None:
    tell(gate, UserLine("7", "Ana"))
    before = row(gate).told_at

    tell(gate, UserLine("7", "Ana"))

    after = row(gate).told_at
    assert before is not None
    assert after is not None
    assert after > before


def test_one_more_finger_leaves_the_others_and_one_that_is_invalid_is_none(gate: Terminal, ana: Employee) -> None:
    tell(gate, UserLine("7", "Ana"), fp(), fp(finger=4, data=b"other"))
    tell(gate, fp(finger=5, data=b"third"))

    assert fingers_there(gate) == {"3", "4", "5"}

    tell(gate, fp(finger=4, valid=False))
    assert fingers_there(gate) == {"3", "5"}
    assert Biodata.objects.filter(employee=ana).count() == 3, "nothing is forgotten here because it isn't there"
    assert is_due(gate)


def test_what_is_known_of_passwords_stays_because_none_are_told(gate: Terminal, ana: Employee) -> None:
    people.update_employee(ana.pk, {"device_password": "2718"})
    tell(gate, UserLine("7", "Ana"))
    assert is_due(gate), "theirs has to be written there"
    brought(gate, Fields("Ana", password=password_digest("7", "2718")))
    PushState.objects.update(due_at=None)

    tell(gate, UserLine("7", "Ana"))

    assert row(gate).held_fields["password"] == password_digest("7", "2718")
    assert not is_due(gate)


def brought(gate: Terminal, fields: Fields, fingers: dict[int, str] | None = None) -> None:
    """As if they had been sent there."""
    unit = again(gate)
    sides = placements.sides_of(unit, room_of(unit.push))
    outcome = Outcome(Intent(Kind.ADD, "7"))
    placements.note_sending(unit, sides, [outcome.intent])
    placements.note_outcomes(
        unit, sides, [outcome], held={"7": Held(None, fields)}, fingers={} if fingers is None else {"7": fingers}
    )


def test_a_finger_of_somebody_of_whom_it_never_told_says_nothing(gate: Terminal, ana: Employee) -> None:
    tell(gate, fp(), face())

    assert not TerminalPerson.objects.exists()
    assert not Biodata.objects.exists()
    assert is_due(gate)


def test_what_else_is_to_be_done_is_left_to_whoever_feeds_it(gate: Terminal, ana: Employee) -> None:
    people.update_employee(ana.pk, {"card_no": "12"})

    tell(gate, UserLine("7", "Ana"))

    assert is_due(gate)
    assert row(gate).held_fields["card"] == 0


def test_a_stranger_is_noted_and_nothing_of_them_is_kept(gate: Terminal) -> None:
    tell(gate, UserLine("99", "Nobody", card=7), fp("99"), face("99"))

    there = row(gate, "99")
    assert (there.held, there.placed, there.held_fingers) == (True, False, None)
    assert not Biodata.objects.exists()
    assert is_due(gate)


def test_whoever_has_another_name_there_is_left_alone(gate: Terminal, ana: Employee) -> None:
    tell(gate, UserLine("7", "Bruno Kessler", card=4711), fp(), face())

    ana.refresh_from_db()
    assert (ana.card_no, Biodata.objects.count()) == (None, 0)
    assert "is it one person?" in row(gate).refusal


@pytest.mark.parametrize("direction", ["off", "export"])
def test_where_people_do_not_come_from_the_unit_nothing_is_taken(gate: Terminal, ana: Employee, direction: str) -> None:
    Terminal.objects.update(direction=direction)

    tell(gate, UserLine("7", "Ana", card=4711), fp(), face(), OperationLine(4))

    ana.refresh_from_db()
    assert (ana.card_no, Biodata.objects.count()) == (None, 0)
    assert TerminalPerson.objects.exists() is (direction == "export")
    assert TerminalEvent.objects.count() == 1


def test_of_a_unit_that_is_not_approved_nobody_is_noted(gate: Terminal, ana: Employee) -> None:
    Terminal.objects.update(admission=Terminal.Admission.PENDING)

    tell(gate, UserLine("7", "Ana"), fp())

    assert not TerminalPerson.objects.exists()


def test_without_consent_no_template_of_any_kind_is_kept(gate: Terminal, ana: Employee, settings: Any) -> None:
    settings.BIOMETRIC_CONSENT = True

    tell(gate, UserLine("7", "Ana"), fp(), face())

    assert not Biodata.objects.exists()
    assert "haven't agreed" in row(gate).refusal


def test_faces_palms_and_veins_are_kept_sealed(gate: Terminal, ana: Employee) -> None:
    tell(gate, UserLine("7", "Ana"), face(), face(bio_type=8, index=2, data=b"palm"), face(bio_type=7, data=b"vein"))

    kept = {(row.bio_type, row.bio_index, row.major_ver, row.minor_ver): row.template for row in Biodata.objects.all()}
    assert kept == {(9, 0, "58", "12"): FACE, (8, 2, "58", "12"): b"palm", (7, 0, "58", "12"): b"vein"}
    assert all(data not in bytes(row.sealed) for row in Biodata.objects.all() for data in (FACE, b"palm", b"vein"))
    ana.refresh_from_db()
    assert (ana.vl_face, ana.palm) == ("Ver 58:1", "Ver 58:1")


def test_a_face_of_old_lines_has_the_version_that_the_unit_told(gate: Terminal, ana: Employee) -> None:
    PushState.objects.update(options={"FaceVersion": "7"})

    vein = face(bio_type=7, major_ver="", minor_ver="")

    tell(gate, UserLine("7", "Ana"), face(bio_type=2, major_ver="", index=1), vein)

    kept = Biodata.objects.values_list("bio_type", "bio_index", "major_ver", "minor_ver")
    assert {*kept} == {(2, 1, "7", "12"), (7, 0, "0", "0")}


def test_a_face_that_was_withdrawn_or_replaced_does_not_come_back(gate: Terminal, ana: Employee) -> None:
    tell(gate, UserLine("7", "Ana"), face())
    tell(gate, face(data=b"another"))
    assert Biodata.objects.get().template == b"another"

    tell(gate, face())
    assert Biodata.objects.get().template == b"another"

    withdraw_templates([ana], ["face"])
    tell(gate, face(data=b"another"))
    assert not Biodata.objects.exists()


def test_kinds_that_nobody_knows_and_impossible_sizes_are_refused_in_the_log_without_their_bytes(
    gate: Terminal, ana: Employee, caplog: pytest.LogCaptureFixture
) -> None:
    secret = b"SECRETFACE" * 20_000
    with caplog.at_level(logging.INFO):
        tell(gate, UserLine("7", "Ana"), face(bio_type=66, data=b"SECRETFACE"), face(data=secret))

    assert not Biodata.objects.exists()
    assert "of kind 66" in caplog.text
    assert "200000 bytes" in caplog.text
    assert "SECRET" not in caplog.text


def test_a_finger_of_another_algorithm_is_kept_beside_and_compared_with_nothing(gate: Terminal, ana: Employee) -> None:
    tell(gate, UserLine("7", "Ana"), fp(), fp(data=b"nine", major_ver="9"))

    assert {*Biodata.objects.values_list("major_ver", flat=True)} == {"9", "10"}
    assert row(gate).held_fingers == {"3": digest_of(FINGER)}


def test_a_unit_whose_algorithm_nobody_knew_tells_it_on_its_templates(gate: Terminal, ana: Employee) -> None:
    Terminal.objects.update(fp_version="")

    tell(gate, UserLine("7", "Ana"), fp(major_ver="12"))

    assert Terminal.objects.get().fp_version == "12"
    assert Biodata.objects.get().major_ver == "12"


def test_without_an_algorithm_no_finger_is_taken(gate: Terminal, ana: Employee) -> None:
    Terminal.objects.update(fp_version="")

    tell(gate, UserLine("7", "Ana"), fp())

    assert not Biodata.objects.exists()


def test_a_finger_that_was_withdrawn_here_is_not_taken_again(gate: Terminal, ana: Employee) -> None:
    tell(gate, UserLine("7", "Ana"), fp())
    withdraw_templates([ana], ["finger_print"])

    tell(gate, UserLine("7", "Ana"), fp())

    assert not Biodata.objects.exists()
    assert is_due(gate), "it is to be deleted there"


@pytest.mark.parametrize(("minutes", "kept"), [(1, b"new"), (10, FINGER)])
def test_a_finger_that_was_asked_for_a_moment_ago_is_taken_whichever_way_people_go(
    gate: Terminal, ana: Employee, minutes: int, kept: bytes
) -> None:
    tell(gate, UserLine("7", "Ana"), fp())
    Terminal.objects.update(direction="export")
    begun = timezone.now() - timedelta(minutes=minutes)
    Enrolment.objects.create(terminal=gate, employee=ana, finger=3, state=Enrolment.State.RUNNING, started_at=begun)

    tell(gate, fp(data=b"new"))

    assert Biodata.objects.get().template == kept


def test_a_replay_of_all_of_it_changes_nothing(gate: Terminal, ana: Employee) -> None:
    lines = (UserLine("7", "Ana", card=4711), fp(), face(), OperationLine(4, "7"))
    tell(gate, *lines)
    before = (row(gate).agreed_fields, row(gate).agreed_fingers, PersonIntent.objects.count())

    tell(gate, *lines)

    assert (row(gate).agreed_fields, row(gate).agreed_fingers, PersonIntent.objects.count()) == before
    assert (Biodata.objects.count(), TerminalEvent.objects.count()) == (2, 1)
    assert not is_due(gate)


def test_a_card_that_is_somebody_elses_is_refused_and_the_post_is_acknowledged(gate: Terminal, ana: Employee) -> None:
    hire("8", gate.area, first_name="Eva", card_no="4711")

    tell(gate, UserLine("7", "Ana", card=4711), fp())

    ana.refresh_from_db()
    assert ana.card_no is None
    assert "Card 4711 is that of employee 8" in row(gate).refusal
    assert Biodata.objects.count() == 1


def test_many_posts_about_one_person_at_once_end_as_one_would(gate: Terminal, ana: Employee) -> None:
    barrier = Barrier(4)

    def one(finger: int) -> None:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=30)
            tell(gate, UserLine("7", "Ana", card=4711), fp(finger=finger, data=b"f%d" % finger))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(4)))

    digests = {str(finger): digest_of(b"f%d" % finger) for finger in range(4)}
    assert row(gate).held_fingers == row(gate).agreed_fingers == digests
    assert Biodata.objects.count() == 4
    ana.refresh_from_db()
    assert ana.card_no == "4711"


def test_punches_among_the_lines_are_stored_and_counted_and_bad_lines_are_kept(gate: Terminal) -> None:
    moment = timezone.now().replace(tzinfo=None, microsecond=0)
    uploaded = Uploaded([OperationLine(3)], [Reject(b"?", "no")], [Punch("7", moment, 0, 1)])

    store_lines(gate, uploaded, table="TRANSACTION", stamp="77")

    state = PushPosition.objects.get()
    assert (Transaction.objects.count(), state.lines, state.stamps) == (1, 1, {"TRANSACTION": "77"})


def test_no_connection_to_people_is_needed_where_there_are_none(
    gate: Terminal, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    with django_assert_max_num_queries(6):
        store_lines(gate, Uploaded([OperationLine(3)], ()), table="OPERLOG", stamp="1")

    assert not SyncMark.objects.exists()


def test_a_whole_post_of_a_unit_is_stored_but_for_what_is_secret(
    gate: Terminal, ana: Employee, caplog: pytest.LogCaptureFixture
) -> None:
    template = base64.b64encode(FINGER).decode()
    body = "\n".join(
        (
            "USER PIN=7\tName=Ana\tPri=0\tPasswd=90210\tCard=4711\tGrp=1\tTZ=0000000000000000",
            f"FP PIN=7\tFID=3\tSize={len(template)}\tValid=1\tTMP={template}",
            f"BIODATA Pin=7\tNo=0\tIndex=0\tValid=1\tDuress=0\tType=9\tMajorVer=58\tMinorVer=12\tTmp={template}",
            "OPLOG 4\t14\t2026-03-02 08:00:00\t7\t0\t0",
            f"USER PIN=8\tName=Eva\tPasswd=90210\tGrp={'x' * 99}",
            f"FP PIN=8\tFID=77\tSize={len(template)}\tValid=1\tTMP={template}",
            f"USERPIC PIN=7\tFileName=7.jpg\tSize={len(template)}\tContent={template}",
        )
    )
    uploaded = read_lines(body.encode(), "OPERLOG")
    with caplog.at_level(logging.DEBUG):
        store_lines(gate, uploaded, table="OPERLOG", stamp="12")

    assert uploaded.count == 7
    assert {*Biodata.objects.values_list("bio_type", flat=True)} == {1, 9}
    assert (TerminalEvent.objects.count(), QuarantinedRecord.objects.count()) == (1, 3)
    kept = b"".join(bytes(record.raw) for record in QuarantinedRecord.objects.defer(None))
    said = " ".join([*QuarantinedRecord.objects.values_list("reason", flat=True), caplog.text]).encode()
    for secret in (b"90210", template.encode(), FINGER):
        assert secret not in kept + said
    assert PushPosition.objects.get().stamps == {"OPERLOG": "12"}
