"""Photos: decoded, stripped, re-encoded, named by us, and shown to those who may see the person."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from personnel.models import AreaLimit, Employee
from tests.personnel.api.conftest import Api, Caller, user_with

PATH = "/personnel/api/employees/"


@pytest.fixture(autouse=True)
def media(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = str(tmp_path)
    return tmp_path


def image(kind: str, size: tuple[int, int] = (40, 20), mode: str = "RGB", **options: Any) -> bytes:
    made = BytesIO()
    Image.new(mode, size).save(made, kind, **options)
    return made.getvalue()


def upload(content: bytes, name: str = "../../me.png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, content_type="image/png")


def stored(media: Path) -> list[Path]:
    return sorted(each for each in media.rglob("*") if each.is_file())


def send(api: Api, employee: Employee, content: bytes) -> Any:
    return api("PATCH", f"{PATH}{employee.pk}/", {"photo": upload(content)}, format="multipart")


@pytest.mark.django_db(transaction=True)
def test_a_photo_is_shown_where_the_row_says(api: Api, person: Caller, media: Path) -> None:
    employee = person("7")
    assert send(api, employee, image("PNG", mode="RGBA")).status_code == 200
    path = api.get(f"{PATH}{employee.pk}/")["photo"]
    answer = api.client.get(path)
    content = b"".join(answer.streaming_content)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/jpeg")
    assert answer.headers["Cache-Control"].startswith("private")
    assert Image.open(BytesIO(content)).format == "JPEG"
    assert [f"/files/{each.relative_to(media)}" for each in stored(media)] == [path]


@pytest.mark.django_db(transaction=True)
def test_another_photo_takes_its_place_and_deletion_leaves_none(api: Api, person: Caller, media: Path) -> None:
    employee = person("7")
    send(api, employee, image("JPEG"))
    first = stored(media)
    send(api, employee, image("WEBP"))
    assert (len(stored(media)), stored(media) != first) == (1, True)
    api.patch(f"{PATH}{employee.pk}/", {"photo": ""})
    assert (stored(media), api.get(f"{PATH}{employee.pk}/")["photo"]) == ([], "")
    send(api, employee, image("JPEG"))
    api.delete(f"{PATH}{employee.pk}/")
    assert stored(media) == []


@pytest.mark.django_db
def test_it_is_upright_and_without_metadata(api: Api, person: Caller, media: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "where I live"
    send(api, person("7"), image("JPEG", (40, 20), exif=exif, comment=b"a comment"))
    [file] = stored(media)
    shown = Image.open(file)
    assert (shown.size, dict(shown.getexif()), "comment" in shown.info) == ((20, 40), {}, False)
    assert b"where I live" not in file.read_bytes()


def bomb() -> bytes:
    """A PNG of 60 000 by 60 000 pixels in a few bytes."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.django_db
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GIF89a",
        image("GIF"),
        image("BMP"),
        image("PNG")[:40],
        bomb(),
        b"<svg/>",
        b"\xff\xd8\xff\xe0" + bytes(100),
        image("PNG") + bytes(5 * 1024 * 1024),
    ],
    ids=["nothing", "a head", "gif", "bmp", "cut", "bomb", "svg", "no jpeg", "too long"],
)
def test_what_is_no_photo_is_refused_and_nothing_is_kept(api: Api, person: Caller, media: Path, content: bytes) -> None:
    employee = person("7")
    answer = send(api, employee, content)
    assert (answer.status_code, list(answer.json())) == (400, ["photo"])
    assert (stored(media), Employee.objects.get().photo) == ([], "")


@pytest.mark.django_db
def test_without_the_row_there_is_no_file(api: Api, person: Caller, media: Path) -> None:
    employee = person("7")
    body = {"photo": upload(image("PNG")), "emp_code": "8", "department": 1, "area": 1, "card_no": "1"}
    Employee.objects.filter(pk=employee.pk).update(card_no="1")
    assert api("POST", PATH, body, format="multipart").status_code == 400
    assert stored(media) == []


@pytest.mark.django_db
def test_only_who_may_see_the_person_sees_the_photo(api: Api, person: Caller, places: Any) -> None:
    employee = person("7", 3)
    send(api, employee, image("PNG"))
    path = api.get(f"{PATH}{employee.pk}/")["photo"]
    elsewhere = user_with("view_employee", name="elsewhere")
    AreaLimit.objects.create(user=elsewhere, area=places[2])
    callers = (Api(None), Api(user_with(name="fresh")), Api(elsewhere))
    assert [caller("GET", path).status_code for caller in callers] == [401, 403, 404]


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["0" * 32 + ".jpg", "../photo/x.jpg", "%2e%2e/settings.py", "x.jpg", ""])
def test_other_names_are_not_found(api: Api, person: Caller, name: str) -> None:
    send(api, person("7"), image("PNG"))
    assert api("GET", f"/files/photo/{name}").status_code == 404
