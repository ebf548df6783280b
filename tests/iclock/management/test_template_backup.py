"""Templates in a file and back from it, as an operator does it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from iclock.domain import sealed_file
from iclock.domain.biodata import forgotten_digests, withdraw_templates
from iclock.models import Biodata, SyncMark, Terminal
from iclock.models.biodata import digest_of
from personnel.models import Area, Employee
from zkbio.accounts.models import AuditEntry

pytestmark = pytest.mark.django_db

PASSPHRASE = "correct horse battery"
LONG_AGO = datetime(2020, 2, 29, 12, 0, 0, 123, tzinfo=UTC)


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A passphrase is tried in no time; what it costs is told by the tests of the file."""
    monkeypatch.setitem(sealed_file._SCRYPT, "n", 2**4)


@pytest.fixture
def area(terminal: Terminal) -> Area:
    area = Area.objects.create(area_code="2", area_name="Two")
    Terminal.objects.update(area=area)
    return area


@pytest.fixture
def people(area: Area) -> list[Employee]:
    people = [Employee.objects.create(emp_code=code, department_id=1) for code in ("7", "8", "9")]
    for person in people:
        person.areas.set([area])
    for person, finger in ((people[0], 0), (people[0], 6), (people[1], 9)):
        enrol(person, finger, b"SS21 of " + person.emp_code.encode() + bytes([finger]) * 800)
    return people


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    (tmp_path / "passphrase").write_text(f"{PASSPHRASE}\nsecond line\n")
    (tmp_path / "passphrase").chmod(0o600)
    return tmp_path / "passphrase"


@pytest.fixture
def backup(people: list[Employee], tmp_path: Path, secret: Path) -> Path:
    path = tmp_path / "templates.sealed"
    call_command("backup_templates", str(path), passphrase_file=secret, stdout=StringIO())
    AuditEntry.objects.all().delete()
    return path


def enrol(person: Employee, finger: int, template: bytes, **columns: Any) -> None:
    row = Biodata(employee=person, bio_type=1, bio_no=finger, major_ver="10", sn="CKJF201260077", duress=finger == 9)
    row.template = template
    row.save()
    Biodata.objects.filter(pk=row.pk).update(update_time=LONG_AGO, **columns)


def stored() -> dict[tuple[Any, ...], bytes]:
    rows = Biodata.objects.order_by("employee", "bio_no").select_related("employee")
    return {
        (
            row.employee.emp_code,
            row.bio_type,
            row.bio_no,
            row.bio_index,
            row.major_ver,
            row.minor_ver,
            row.duress,
            row.sn,
            row.update_time,
        ): row.template
        for row in rows
    }


def restore(path: Path, secret: Path, **options: Any) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("restore_templates", str(path), passphrase_file=secret, stdout=out, stderr=err, **options)
    return out.getvalue().strip(), err.getvalue().strip()


def test_templates_go_into_a_file_and_come_back_as_they_were(
    backup: Path, people: list[Employee], secret: Path
) -> None:
    before = stored()
    Biodata.objects.all().delete()
    SyncMark.objects.all().delete()

    told, _ = restore(backup, secret)

    assert told == (
        "Restored: 3 new, 0 replaced, 0 here already, 0 kept as they are here, 0 without consent, 0 of nobody here."
    )
    assert len(before) == 3
    assert stored() == before
    people[0].refresh_from_db()
    assert people[0].fingerprint == "Ver 10:2"
    assert SyncMark.objects.pending().get().terminal.sn == "CKJF201260077"


def test_what_was_withdrawn_and_is_restored_is_no_longer_forgotten_and_what_it_replaces_is(
    backup: Path, people: list[Employee], secret: Path
) -> None:
    pks = [person.pk for person in people]
    withdraw_templates(people, ["finger_print"])
    enrol(people[0], 6, b"a better one")
    old = Biodata.objects.get().digest

    restore(backup, secret, dry_run=True)
    assert {pk: len(digests) for pk, digests in forgotten_digests(pks).items()} == {pks[0]: 2, pks[1]: 1}
    restore(backup, secret)
    left = {row.digest for row in Biodata.objects.all()}
    assert forgotten_digests(pks) == {pks[0]: frozenset({digest_of(b"SS21 of 7" + bytes([6]) * 800)})}
    restore(backup, secret, replace=True)

    assert old in left
    assert forgotten_digests(pks) == {pks[0]: frozenset({old})}


def test_another_installation_has_other_keys_and_other_rows(backup: Path, secret: Path) -> None:
    before = stored()
    Employee.objects.all().delete()
    for code in ("9", "8", "7"):
        Employee.objects.create(emp_code=code, department_id=1)

    with override_settings(FIELD_KEYS={"other": b"k" * 32}):
        restore(backup, secret)

        assert stored().keys() == before.keys()
        assert sorted(stored().values()) == sorted(before.values())


def test_a_file_says_nothing_of_whom_it_is_about(backup: Path) -> None:
    data = backup.read_bytes()

    assert (b"SS21" in data, b"emp_code" in data, b"CKJF" in data) == (False, False, False)
    assert (backup.stat().st_mode & 0o777, 2_000 < len(data) < 6_000) == (0o600, True)


def test_what_is_here_stays_unless_it_shall_be_replaced(backup: Path, people: list[Employee], secret: Path) -> None:
    before = stored()
    Biodata.objects.filter(employee=people[0], bio_no=6).delete()
    enrol(people[0], 6, b"a better one", minor_ver="5")

    kept, _ = restore(backup, secret)
    template = Biodata.objects.get(employee=people[0], bio_no=6).template
    replaced, _ = restore(backup, secret, replace=True)

    assert kept.startswith("Restored: 0 new, 0 replaced, 2 here already, 1 kept as they are here,")
    assert template == b"a better one"
    assert replaced.startswith("Restored: 0 new, 1 replaced, 2 here already, 0 kept")
    assert stored() == before


def test_a_dry_run_says_the_same_and_stores_nothing(backup: Path, people: list[Employee], secret: Path) -> None:
    Biodata.objects.filter(employee=people[0]).delete()
    SyncMark.objects.all().delete()

    told, _ = restore(backup, secret, dry_run=True)

    assert told.startswith("Would be restored: 2 new, 0 replaced, 1 here already,")
    assert (Biodata.objects.count(), SyncMark.objects.count(), AuditEntry.objects.count()) == (1, 0, 0)


def test_who_is_not_here_is_named(backup: Path, people: list[Employee], secret: Path) -> None:
    people[0].delete()
    people[1].delete()

    told, listed = restore(backup, secret)

    assert told.endswith("0 without consent, 3 of nobody here.")
    assert listed.splitlines() == ["7: nobody here has this code", "8: nobody here has this code"]


@override_settings(BIOMETRIC_CONSENT=True)
def test_of_who_did_not_agree_nothing_is_stored(backup: Path, people: list[Employee], secret: Path) -> None:
    Biodata.objects.all().delete()
    Employee.objects.filter(pk=people[1].pk).update(biometric_consent=True)

    told, _ = restore(backup, secret)

    assert told.startswith("Restored: 1 new,")
    assert "2 without consent" in told
    assert Biodata.objects.get().employee == people[1]


def test_a_wrong_passphrase_or_a_damaged_file_stores_nothing_and_is_one_sentence(
    backup: Path, secret: Path, tmp_path: Path
) -> None:
    Biodata.objects.all().delete()
    (tmp_path / "wrong").write_text("another passphrase")
    (tmp_path / "cut").write_bytes(backup.read_bytes()[:-1])

    with pytest.raises(CommandError, match=r"^The passphrase is another one, or the file is damaged\. Nothing"):
        restore(backup, tmp_path / "wrong")
    with pytest.raises(CommandError, match=r"^The file is not whole: its end is missing\. Nothing was stored\.$"):
        restore(tmp_path / "cut", secret)
    with pytest.raises(CommandError, match=r"nowhere can't be read: No such file or directory\. Nothing was stored"):
        restore(tmp_path / "nowhere", secret)

    assert (Biodata.objects.count(), AuditEntry.objects.count()) == (0, 0)


def test_many_templates_are_read_and_written_a_part_at_a_time(
    people: list[Employee], secret: Path, tmp_path: Path
) -> None:
    Biodata.objects.all().delete()
    many = [Biodata(employee=people[n % 3], bio_type=2, bio_no=0, bio_index=n, major_ver="7") for n in range(450)]
    for row in many:
        row.template = bytes([1 + row.bio_index % 255]) * 2_000
    Biodata.objects.bulk_create(many)
    before = stored()
    assert len(before) == 450

    call_command("backup_templates", str(tmp_path / "many"), passphrase_file=secret, stdout=StringIO())
    readings = AuditEntry.objects.filter(action="iclock.read_template").count()
    Biodata.objects.all().delete()
    told, _ = restore(tmp_path / "many", secret)

    assert (readings, told.startswith("Restored: 450 new,")) == (3, True)
    assert stored() == before


def test_the_trail_says_what_was_read_and_what_was_restored(
    people: list[Employee], backup: Path, secret: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    call_command("backup_templates", str(tmp_path / "again"), passphrase_file=secret, stdout=StringIO())
    restore(backup, secret)

    entries = list(AuditEntry.objects.order_by("id"))
    assert [(entry.actor, entry.action, entry.subject) for entry in entries] == [
        ("backup_templates", "iclock.read_template", "3 templates"),
        ("backup_templates", "iclock.backup_templates", "again"),
        ("restore_templates", "iclock.begin_restore", "templates.sealed"),
        ("restore_templates", "iclock.restore_templates", "templates.sealed"),
    ]
    assert entries[0].detail["employees"] == [people[0].pk, people[1].pk]
    assert entries[1].detail == {"templates": 3}
    assert (entries[2].detail, entries[3].detail["same"]) == ({"templates": 3, "replace": False}, 3)
    assert "SS21" not in caplog.text


def test_a_row_that_can_not_be_opened_is_named_and_there_is_no_file(
    people: list[Employee], secret: Path, tmp_path: Path
) -> None:
    Biodata.objects.filter(employee=people[1]).update(sealed=b"\x01x" + b"0" * 40)

    with pytest.raises(CommandError, match=r"^Fingerprint 9 of 8 can't be opened, so there is no backup: "):
        call_command("backup_templates", str(tmp_path / "new"), passphrase_file=secret, stdout=StringIO())

    assert sorted(path.name for path in tmp_path.iterdir()) == ["passphrase"]


def test_a_backup_never_replaces_a_file(backup: Path, secret: Path) -> None:
    with pytest.raises(CommandError, match="is there already"):
        call_command("backup_templates", str(backup), passphrase_file=secret)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"short", "A passphrase has 12 characters at least"),
        (b"\n", "No passphrase was given."),
        (b"\xff\xfe" * 9, "is no text in UTF-8."),
    ],
)
def test_a_passphrase_that_is_none_is_refused(text: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_bytes(text)

    with pytest.raises(CommandError, match=sentence):
        call_command("backup_templates", str(tmp_path / "new"), passphrase_file=tmp_path / "passphrase")

    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("mode", "said"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_a_passphrase_that_others_may_read_is_taken_and_that_is_said(
    mode: int, said: bool, people: list[Employee], secret: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret.chmod(mode)

    call_command("backup_templates", str(tmp_path / "new"), passphrase_file=secret, stdout=StringIO())

    assert (f"{secret} may be read by others than its owner: chmod 600" in capsys.readouterr().err) is said
    assert (tmp_path / "new").exists()


def test_where_nobody_can_type_a_file_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", StringIO("typed by nobody\n"))

    with pytest.raises(CommandError, match="name a file with --passphrase-file"):
        call_command("backup_templates", str(tmp_path / "new"))
