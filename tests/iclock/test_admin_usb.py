"""The page “Import USB file” of a terminal."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client, override_settings
from django.urls import reverse

from iclock.models import QuarantinedRecord, Terminal, Transaction
from iclock.punch import Source
from personnel.models import Area, AreaLimit
from zkbio.accounts.models import AuditEntry, User
from zkbio.api.bodies import body_limit

pytestmark = pytest.mark.django_db(transaction=True)

GOOD = b"        7\t2026-03-02 08:00:00\t1\t0\t1\t0\r\n"
BAD = b"        7\t2026-02-31 08:00:00\t1\t0\t1\t0\r\n"


def address(terminal: Terminal) -> str:
    return f"/admin/iclock/terminal/usb-import/{terminal.pk}/"


def upload(client: Client, terminal: Terminal, content: bytes, *, name: str = "1_attlog.dat", **fields: str) -> Any:
    return client.post(address(terminal), {"file": SimpleUploadedFile(name, content), **fields})


def told(page: Any) -> str:
    return " ".join(page.text.split())


@pytest.fixture
def officer(terminal: Terminal) -> User:
    user = User.objects.create_user("officer", is_staff=True)
    names = ("view_terminal", "add_transaction")
    user.user_permissions.set(Permission.objects.filter(codename__in=names, content_type__app_label="iclock"))
    return user


@pytest.fixture
def hr(officer: User) -> Client:
    client = Client()
    client.force_login(officer)
    return client


def test_a_file_is_imported_by_who_may_add_punches(hr: Client, terminal: Terminal) -> None:
    assert address(terminal) in hr.get(f"/admin/iclock/terminal/{terminal.pk}/change/").text
    assert "Import the USB file of Gate" in hr.get(address(terminal)).text

    page = upload(hr, terminal, GOOD + BAD)

    assert "2 lines: 1 new, 0 already here, 1 quarantined." in told(page)
    assert "Line 2: no calendar has the time 2026-02-31 08:00:00" in told(page)
    assert Transaction.objects.values_list("terminal_sn", "emp_code", "source").get() == (
        terminal.sn,
        "7",
        Source.IMPORT,
    )
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.address) == ("officer", "iclock.import_attlog", "127.0.0.1")


def test_the_page_can_say_what_would_come_of_a_file(hr: Client, terminal: Terminal) -> None:
    page = upload(hr, terminal, GOOD + BAD, dry_run="on")

    assert "Would be imported</h2> <p>2 lines: 1 new, 0 already here, 1 quarantined." in told(page)
    assert [model.objects.count() for model in (Transaction, QuarantinedRecord, AuditEntry)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("line", "time_zone"),
    [(b"9999-12-31 23:59:59", "America/New_York"), (b"0001-01-01 00:00:00", "Asia/Kolkata")],
)
def test_a_line_of_no_possible_year_leaves_the_list_of_punches_readable(
    line: bytes, time_zone: str, hr: Client, terminal: Terminal, admin_client: Client
) -> None:
    Terminal.objects.update(time_zone=time_zone)

    upload(hr, terminal, b"1\t" + line + b"\t1\t0\t1\r\n2\t2026-03-02 08:00:00\t1\t0\t1\r\n")

    assert [punch.emp_code for punch in Transaction.objects.all()] == ["2"]
    assert QuarantinedRecord.objects.get().reason == f"no terminal's clock shows the year {int(line[:4])}"
    assert admin_client.get(reverse("admin:iclock_transaction_changelist")).status_code == 200


def test_a_large_file_goes_by_the_disk(hr: Client, terminal: Terminal) -> None:
    with override_settings(FILE_UPLOAD_MAX_MEMORY_SIZE=10):
        page = upload(hr, terminal, b"".join(GOOD.replace(b"7", b"%d" % n) for n in range(1, 301)))

    assert "300 lines: 300 new" in told(page)


def test_bad_lines_beyond_the_first_are_counted(hr: Client, terminal: Terminal) -> None:
    assert "… and 3 more" in told(upload(hr, terminal, BAD * 23))


@pytest.mark.parametrize(
    ("content", "name", "fields", "sentence"),
    [
        (b"\x89PNG\r\n\x1a\n", "1_attlog.dat", {}, "This is no export of a terminal&#x27;s punches"),
        (GOOD, "ELSEWHERE_attlog.dat", {}, "By its name it is the file of the terminal ELSEWHERE."),
        (GOOD, "1_attlog.dat", {"encoding": "utf-7"}, "Select a valid choice. utf-7 is not one"),
        (b"", "1_attlog.dat", {}, "The submitted file is empty."),
    ],
)
def test_another_file_is_refused_in_a_sentence(
    hr: Client, terminal: Terminal, content: bytes, name: str, fields: dict[str, str], sentence: str
) -> None:
    assert sentence in told(upload(hr, terminal, content, name=name, **fields))
    assert not Transaction.objects.exists()


def test_a_storage_that_fails_is_told_in_a_sentence(hr: Client, terminal: Terminal) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE iclock_transaction ADD CONSTRAINT sealed CHECK (emp_code <> '7')")
        try:
            page = upload(hr, terminal, GOOD)
        finally:
            cursor.execute("ALTER TABLE iclock_transaction DROP CONSTRAINT sealed")

    assert "Not all of it could be stored at the moment; please import it again a little later." in told(page)
    assert "1 new" in told(upload(hr, terminal, GOOD, name="x" * 300 + ".dat"))


@pytest.mark.parametrize("missing", ["view_terminal", "add_transaction"])
def test_who_lacks_a_permission_imports_nothing(hr: Client, officer: User, terminal: Terminal, missing: str) -> None:
    officer.user_permissions.remove(Permission.objects.get(codename=missing))

    assert hr.get(address(terminal)).status_code == 403
    assert upload(hr, terminal, GOOD).status_code == 403
    assert not Transaction.objects.exists()


def test_a_terminal_outside_of_ones_limits_is_not_there(hr: Client, officer: User, terminal: Terminal) -> None:
    AreaLimit.objects.create(user=officer, area=Area.objects.create(area_code="x", area_name="x"))

    assert upload(hr, terminal, GOOD).status_code == 404


def test_an_upload_without_the_pages_own_token_is_refused(officer: User, terminal: Terminal) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(officer)

    assert upload(strict, terminal, GOOD).status_code == 403
    assert not Transaction.objects.exists()


def test_who_is_not_logged_in_has_no_upload_read(terminal: Terminal) -> None:
    """The body ends before its length is reached: reading it would raise."""
    answer = Client(enforce_csrf_checks=True).generic(
        "POST", address(terminal), b"--x", content_type="multipart/form-data; boundary=x", CONTENT_LENGTH="15000000"
    )

    assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/admin/login/")


def test_only_this_page_takes_large_bodies(terminal: Terminal) -> None:
    assert body_limit(address(terminal)) > 15_000_000
    assert body_limit(f"/admin/iclock/terminal/{terminal.pk}/change/") == 256 * 1024
