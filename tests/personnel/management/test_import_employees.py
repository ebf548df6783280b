"""People from a CSV file: the rules of the API, all or nothing, with line numbers."""

from __future__ import annotations

import datetime as dt
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from personnel.models import Area, AttributeDefinition, Department, Employee
from personnel.signals import people_changed

pytestmark = pytest.mark.django_db

HEAD = "emp_code,first_name,department,area,card_no,device_password,hire_date,enable_attendance,Passport"


@pytest.fixture(autouse=True)
def company() -> None:
    Department.objects.create(dept_code="dev", dept_name="Development")
    for pk in (2, 3):
        Area.objects.create(id=pk, area_code=f"a{pk}", area_name=f"Area {pk}")
    AttributeDefinition.objects.create(name="Passport")


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Import a file of these lines; gives what was said."""

    def imported(*lines: str, raw: bytes | None = None, **options: Any) -> str:
        file, out = tmp_path / "people.csv", StringIO()
        file.write_bytes("\n".join(lines).encode() if raw is None else raw)
        call_command("import_employees", str(file), stdout=out, stderr=out, **options)
        return out.getvalue()

    return imported


@pytest.fixture
def mistakes(tmp_path: Path) -> Any:
    """Try to import a file of these lines; gives what is wrong with it."""

    def refused(*lines: str) -> list[str]:
        file, said = tmp_path / "bad.csv", StringIO()
        file.write_text("\n".join(lines))
        with pytest.raises(CommandError, match="nothing was imported"):
            call_command("import_employees", str(file), stderr=said)
        assert not Employee.objects.exclude(first_name="Before").exists()
        return said.getvalue().splitlines()

    return refused


def test_people_are_created_with_everything(run: Any) -> None:
    assert (
        run(HEAD, "7,Ada,dev,a2;a3,0012,31415926,2024-6-1,false,X1", "8,,1,1,,,,,") == "Imported: 2 new, 0 changed.\n"
    )
    ada, other = Employee.objects.order_by("emp_code")
    assert (ada.first_name, ada.department.dept_code, ada.card_no) == ("Ada", "dev", "0012")
    assert (ada.device_password, ada.hire_date, ada.enable_attendance) == ("31415926", dt.date(2024, 6, 1), False)
    assert (list(ada.attributes.values()), [area.pk for area in ada.areas.all()]) == (["X1"], [2, 3])
    assert (other.first_name, other.card_no, other.device_password, other.enable_attendance) == (None, None, "", True)


@pytest.mark.parametrize(
    "raw",
    [b'\xef\xbb\xbfemp_code;department;area\r\n7;dev;"a2;a3"\r\n', b"emp_code\tdepartment\tarea\n7\tdev\ta2;a3\n"],
)
def test_marks_and_delimiters_of_spreadsheets_are_read(run: Any, raw: bytes) -> None:
    run(raw=raw)
    assert [area.pk for area in Employee.objects.get(emp_code="7").areas.all()] == [2, 3]


def test_every_mistake_is_told_with_its_line(mistakes: Any) -> None:
    Employee.objects.create(emp_code="old", department_id=1, card_no="1", first_name="Before")
    said = mistakes(
        HEAD,
        "7,Ada,dev,a2,,,,,",
        ",Ada,dev,a2,,,,,",
        "7,Ada,nowhere,a2;a9,,,,,",
        f"{'x' * 21},{'y' * 26},dev,a2,,,,,",
        "9,Ada,dev,a2,1,123456789,soon,perhaps," + "z" * 201,
        "old,Ada,dev,a2,,,,,",
        "10,Ada,,,,,,,",
    )
    assert [line.partition(": ")[0] for line in said] == [
        "line 3",
        *["line 4"] * 3,
        *["line 5"] * 2,
        *["line 6"] * 5,
        "line 7",
        *["line 8"] * 2,
    ]
    named = [line.split(": ")[1] for line in said]
    assert named[:6] == ["emp_code", "department", "area", "emp_code", "emp_code", "first_name"]
    assert sorted(named[6:11]) == ["Passport", "card_no", "device_password", "enable_attendance", "hire_date"]
    assert named[11:] == ["emp_code", "department", "area"]


def test_a_card_in_two_lines_is_a_mistake(mistakes: Any) -> None:
    assert mistakes(HEAD, "7,,dev,a2,5,,,,", "8,,dev,a2,5,,,,") == ["line 3: card_no: 5 is the card of 7."]


def test_good_lines_are_stored_when_bad_ones_are_skipped(run: Any) -> None:
    said = run(HEAD, "7,Ada,dev,a2,,,,,", "8,Ada,nowhere,a2,,,,,", skip_bad=True)
    assert said.endswith("Imported: 1 new, 0 changed, 1 skipped.\n")
    assert Employee.objects.get().emp_code == "7"


def test_a_line_with_several_mistakes_is_skipped_once_and_in_a_dry_run_too(run: Any) -> None:
    said = run(HEAD, "7,Ada,dev,a2,,,,,", "8,Ada,nowhere,a9,,,,,", skip_bad=True, dry_run=True)

    assert said.endswith("Would import: 1 new, 0 changed, 1 skipped.\n")
    assert Employee.objects.count() == 0


def test_a_dry_run_stores_nothing(run: Any) -> None:
    assert run(HEAD, "7,Ada,dev,a2,,,,,", dry_run=True) == "Would import: 1 new, 0 changed.\n"
    assert Employee.objects.count() == 0


def test_known_people_are_changed_on_request_and_empty_cells_keep(run: Any) -> None:
    person = Employee.objects.create(emp_code="7", department_id=1, first_name="Ada", mobile="1")
    person.areas.set([2])
    assert (
        run("emp_code,first_name,area,device_password,position", "7,,a3,2718,1", update=True)
        == "Imported: 0 new, 1 changed.\n"
    )
    person.refresh_from_db()
    assert (person.first_name, person.mobile, person.device_password, person.position_id) == ("Ada", "1", "2718", 1)
    assert [area.pk for area in person.areas.all()] == [3]


def test_areas_are_announced_once(run: Any) -> None:
    person = Employee.objects.create(emp_code="7", department_id=1)
    person.areas.set([2])
    heard: list[Any] = []

    def listen(**news: Any) -> None:
        heard.append((news["area_ids"], news["emp_codes"]))

    people_changed.connect(listen)
    try:
        run("emp_code,area,department", "7,a3,", "8,1,dev", update=True)
    finally:
        people_changed.disconnect(listen)
    assert heard == [({1, 2, 3}, {"7", "8"})]


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (
            b"emp_code,colour,size\n",
            "Unknown columns: 'colour', 'size'. There are these: emp_code, .*, area.*Passport.",
        ),
        (b"emp_code,emp_code\n", "each once"),
        (b"first_name\n", "emp_code among them"),
        (b"", "Unknown columns|emp_code among them"),
        (b"emp_code\n\xff\n", "people.csv is not UTF-8. Save it again as UTF-8: in Excel .*iconv"),
        (b"emp_code\n1,2\n", "more cells"),
        (b'emp_code\n"1\n', "can't be read"),
    ],
)
def test_a_file_that_cannot_be_is_refused(run: Any, raw: bytes, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        run(raw=raw)


@pytest.mark.parametrize("name", ["id", "uuid", "photo", "self_password", "attributes", "fingerprint"])
def test_what_no_hand_writes_is_no_column(run: Any, name: str) -> None:
    with pytest.raises(CommandError, match="Unknown columns"):
        run(f"emp_code,{name}", "7,x")
