"""Pictures that units send: made anew, encrypted, kept once, and gone with their rows."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.utils import timezone
from PIL import Image

from iclock.domain.push_photos import open_photo, purge_photos
from iclock.domain.push_uploads import refuse_photo, store_attendance, store_lines, store_photo
from iclock.lines import Attendance, Line, PictureLine, Uploaded, UserLine
from iclock.models import PushPosition, PushState, QuarantinedRecord, Terminal, TerminalPhoto, Transaction
from iclock.punch import Punch
from personnel.domain import people
from personnel.models import Area, Department, Employee
from zkbio.crypto import SealError

pytestmark = pytest.mark.django_db(transaction=True)

EIGHT = datetime(2026, 3, 2, 8)
SECRET = b"a place on earth"


@pytest.fixture
def files(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = str(tmp_path)
    return tmp_path


@pytest.fixture
def gate(files: Path) -> Terminal:
    area = Area.objects.create(area_code="2", area_name="Two")
    terminal = Terminal.objects.create(sn="PUSH1", alias="Gate", area=area)
    PushState.objects.create(terminal=terminal)
    return again(terminal)


@pytest.fixture
def ana(gate: Terminal) -> Employee:
    department = Department.objects.earliest("pk")
    return people.create_employee(Employee(emp_code="7", first_name="Ana", department=department), areas=[gate.area])


def again(terminal: Terminal) -> Terminal:
    return Terminal.objects.select_related("area", "push", "presence").get(pk=terminal.pk)


def jpeg(colour: str = "red") -> bytes:
    """With something in it that is nobody's business."""
    made = BytesIO()
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    Image.new("RGB", (80, 60), colour).save(made, "JPEG", exif=exif)
    return made.getvalue()


def capture(data: bytes | None = None, pin: str = "7", taken: datetime = EIGHT) -> PictureLine:
    return PictureLine(pin, "capture", taken, jpeg() if data is None else data)


def stored_files(files: Path) -> list[Path]:
    return sorted(path for path in files.rglob("*") if path.is_file())


def test_a_photo_is_made_anew_and_encrypted_under_a_name_of_ours(gate: Terminal, files: Path) -> None:
    store_photo(gate, capture())

    photo, [file] = TerminalPhoto.objects.get(), stored_files(files)
    assert (photo.emp_code, photo.kind, photo.taken) == ("7", "capture", EIGHT)
    assert file.parent.name == "terminal_photos"
    assert not {"7", "PUSH1"} & {file.stem}
    shown = open_photo(photo)
    assert Image.open(BytesIO(shown)).size == (80, 60)
    assert SECRET in jpeg()
    assert SECRET not in shown
    assert b"JFIF" in shown
    assert b"JFIF" not in file.read_bytes()


def test_a_file_that_was_swapped_with_anothers_does_not_open(gate: Terminal) -> None:
    store_photo(gate, capture())
    store_photo(gate, capture(jpeg("blue"), "8"))
    one, other = TerminalPhoto.objects.order_by("pk")
    one.file = other.file

    with pytest.raises(SealError):
        open_photo(one)


def test_sent_twice_it_is_kept_once_and_another_moment_or_person_is_another(gate: Terminal, files: Path) -> None:
    store_photo(gate, capture())
    store_photo(gate, capture())
    assert (TerminalPhoto.objects.count(), len(stored_files(files))) == (1, 1)

    store_photo(gate, capture(taken=EIGHT + timedelta(seconds=1)))
    store_photo(gate, capture(pin="8"))
    assert (TerminalPhoto.objects.count(), len(stored_files(files))) == (3, 3)


def test_sent_several_times_at_once_it_is_kept_once(gate: Terminal, files: Path) -> None:
    barrier, picture = Barrier(4), capture()

    def one(_: int) -> None:
        try:
            unit = again(gate)
            barrier.wait(timeout=30)
            store_photo(unit, picture)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(4)))

    assert (TerminalPhoto.objects.count(), len(stored_files(files))) == (1, 1)


def test_what_is_no_image_is_acknowledged_and_its_bytes_are_not_kept(gate: Terminal, files: Path) -> None:
    store_photo(gate, capture(b"MZ no image at all"))

    kept = QuarantinedRecord.objects.get()
    assert (bytes(kept.raw), kept.terminal_sn) == (b"photo capture 7, 18 bytes", "PUSH1")
    assert "image" in kept.reason
    assert stored_files(files) == []


def test_a_post_of_a_photo_that_cannot_be_read_is_told_of(gate: Terminal) -> None:
    refuse_photo(gate, reason="there is no NUL before the photo", size=70)

    kept = QuarantinedRecord.objects.get()
    assert (bytes(kept.raw), kept.reason) == (
        b"photo that can't be read, 70 bytes",
        "there is no NUL before the photo",
    )


@contextmanager
def no_room() -> Iterator[None]:
    """Files end after a few bytes, as on a full disk."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_a_full_disk_is_an_error_and_punches_are_stored_all_the_same(gate: Terminal, files: Path) -> None:
    uploaded = Uploaded([PictureLine("7", "user", None, jpeg())], (), [Punch("8", EIGHT, 0, 1)])

    with no_room():
        with pytest.raises(OSError, match="too large"):
            store_photo(gate, capture())
        with pytest.raises(OSError, match="too large"):
            store_lines(gate, uploaded, table="TRANSACTION", stamp="9")
        store_attendance(gate, Attendance([Punch("7", EIGHT, 0, 1)], ()), table="ATTLOG", stamp="1")

    assert (TerminalPhoto.objects.count(), stored_files(files)) == (0, [])
    assert Transaction.objects.count() == 2
    assert PushPosition.objects.get().stamps == {"ATTLOG": "1"}


def test_without_its_row_there_is_no_file(gate: Terminal, files: Path) -> None:
    Terminal.objects.filter(pk=gate.pk).delete()

    with pytest.raises(Exception, match="iclock_terminalphoto"):
        store_photo(gate, capture())

    assert stored_files(files) == []


def test_the_file_goes_with_its_row_once_that_is_committed(gate: Terminal, files: Path) -> None:
    store_photo(gate, capture())
    with transaction.atomic():
        Terminal.objects.get().delete()
        assert len(stored_files(files)) == 1

    assert not TerminalPhoto.objects.exists()
    assert stored_files(files) == []


def test_old_photos_are_forgotten_with_their_files(gate: Terminal, files: Path, settings: Any) -> None:
    settings.PHOTO_DAYS = 30
    store_photo(gate, capture())
    store_photo(gate, capture(pin="8"))
    TerminalPhoto.objects.filter(emp_code="7").update(received_at=timezone.now() - timedelta(days=31))

    purge_photos()

    assert TerminalPhoto.objects.get().emp_code == "8"
    assert len(stored_files(files)) == 1


def send_portrait(gate: Terminal, colour: str = "red", name: str = "Ana") -> None:
    lines: list[Line] = [UserLine("7", name), PictureLine("7", "user", None, jpeg(colour))]
    store_lines(again(gate), Uploaded(lines, ()), table="OPERLOG", stamp="1")


def photo_of(ana: Employee) -> str:
    ana.refresh_from_db()
    return ana.photo


def test_a_portrait_becomes_the_photo_of_whoever_has_none(gate: Terminal, ana: Employee) -> None:
    send_portrait(gate)

    name = photo_of(ana)
    assert name.startswith("photo/")
    with default_storage.open(name) as file:
        assert SECRET not in file.read()
    send_portrait(gate, "blue")
    assert photo_of(ana) == name
    assert TerminalPhoto.objects.filter(kind="user").count() == 2


@pytest.mark.parametrize("direction", ["export", "off"])
def test_where_people_do_not_come_from_the_unit_a_portrait_stays_the_units(
    gate: Terminal, ana: Employee, direction: str
) -> None:
    Terminal.objects.update(direction=direction)

    send_portrait(gate)

    assert photo_of(ana) == ""
    assert TerminalPhoto.objects.count() == 1


def test_a_portrait_of_whoever_has_another_name_there_is_not_taken(gate: Terminal, ana: Employee) -> None:
    send_portrait(gate, name="Bruno Kessler")

    assert photo_of(ana) == ""


def test_a_portrait_that_is_not_taken_leaves_no_file_of_its_own(gate: Terminal, ana: Employee, files: Path) -> None:
    people.update_employee(ana.pk, {"photo": "photo/there.jpg"})

    send_portrait(gate)

    assert photo_of(ana) == "photo/there.jpg"
    assert [path.parent.name for path in stored_files(files)] == ["terminal_photos"]


def test_a_picture_for_comparing_faces_becomes_nobodys_photo(gate: Terminal, ana: Employee) -> None:
    lines: list[Line] = [UserLine("7", "Ana"), PictureLine("7", "bio", None, jpeg())]

    store_lines(gate, Uploaded(lines, ()), table="OPERLOG", stamp="1")

    assert photo_of(ana) == ""
    assert TerminalPhoto.objects.get().kind == TerminalPhoto.Kind.BIO
