"""Every administration page renders, keeps its secrets, escapes what terminals say and asks few questions."""

from __future__ import annotations

import base64
import datetime as dt
import re
from html import unescape

import pytest
from django.contrib import admin
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from devices.models import Device, SyncRun
from iclock.models import (
    Alarm,
    Biodata,
    Enrolment,
    PersonIntent,
    PushCommand,
    PushState,
    QuarantinedRecord,
    Terminal,
    TerminalCommand,
    TerminalEvent,
    TerminalPerson,
    TerminalPhoto,
    TerminalPresence,
    Transaction,
)
from iclock.punch import Source
from personnel.models import Area, AttributeDefinition, Department, Employee, Position, Resignation, StaffToken
from zkbio.accounts.domain.audit import record
from zkbio.accounts.domain.tokens import issue_token, live_token, read_token
from zkbio.accounts.models import ApiToken, User

HOSTILE = "<script>x</script>{{7}}"
COMM_KEY, PIN = 3_141_592_653, "27182818"
TEMPLATE = b"ridges and minutiae"
HELD_DIGEST = "3141592653589793238462643383279502884197"
KEY_DIGEST = "2718281828459045235360287471352662497757"

pytestmark = pytest.mark.django_db

MODELS = {model._meta.label: model for model in admin.site._registry}
everywhere = pytest.mark.parametrize("label", sorted(MODELS))


def make_row_of_everything(number: int) -> dict[str, str]:
    """One row of every model, named as a hostile terminal would; gives the secrets that went in."""
    tag, now = f"{HOSTILE}{number}", timezone.now()
    user = User.objects.create_user(f"login{number}", first_name=tag, password="Tr0ub4dor&3")
    Group.objects.create(name=tag)
    token = issue_token(user)
    record(actor=tag, action="rename", subject=tag, detail={"name": tag})
    department = Department.objects.create(dept_code=f"d{number}", dept_name=tag)
    area = Area.objects.create(area_code=f"a{number}", area_name=tag)
    position = Position.objects.create(position_code=f"p{number}", position_name=tag)
    definition = AttributeDefinition.objects.create(name=tag)
    person = Employee(emp_code=str(number), first_name=tag[:25], department=department, position=position)
    person.device_password, person.self_password = PIN, make_password("correct horse")
    person.attributes = {str(definition.pk): tag}
    person.save()
    person.areas.set([area])
    Resignation.objects.create(employee=person, resign_date=dt.date(2024, 6, 26), reason=tag)
    staff_token = live_token(StaffToken, employee=person)
    terminal = Terminal.objects.create(sn=f"SN{number}", alias=tag, area=area, fw_ver=tag)
    TerminalPresence.objects.create(terminal=terminal, online=True, since=now, last_activity=now)
    push = PushState(terminal=terminal, path_digest=f"{number}" * 64, key_digest=KEY_DIGEST, options={tag: tag})
    push.save()
    order = PushCommand(terminal=terminal, kind="update_user", emp_code=tag[:24], result=tag, created_by=user)
    order.sent = {"password": HELD_DIGEST}
    order.save()
    TerminalEvent.objects.create(terminal=terminal, source="menu", code=4, person=tag[:24], values=[tag])
    TerminalPhoto.objects.create(terminal=terminal, kind="capture", emp_code=tag[:24], file="photo.bin", digest=tag)
    Alarm.objects.create(terminal=terminal, kind="away", sentence=tag, opened_at=now)
    TerminalCommand.objects.create(terminal=terminal, kind="reboot", result=tag, created_by=user)
    held = {"name": tag, "card": 7, "privilege": 0, "password": HELD_DIGEST, "disabled": False}
    there = TerminalPerson(terminal=terminal, emp_code=f"9{number}", held=True, held_fields=held, refusal=tag)
    there.held_fingers = there.agreed_fingers = {"3": HELD_DIGEST}
    there.save()
    PersonIntent.objects.create(terminal=terminal, emp_code=tag[:24], kind="add", done=False, sentence=tag)
    template = Biodata(employee=person, bio_type=1, bio_no=number, major_ver="10", sn=tag)
    template.template = TEMPLATE
    template.save()
    Enrolment.objects.create(terminal=terminal, employee=person, finger=6, sentence=tag, created_by=user)
    punch_times = {"punch_time": dt.datetime(2024, 6, 26, 15, 46, 45), "punched_at": now, "upload_time": now}
    Transaction.objects.create(
        terminal_sn=terminal.sn,
        terminal_alias=tag,
        emp_code=person.emp_code,
        **punch_times,
        utc_offset=0,
        punch_state=0,
        verify_type=1,
        source=Source.PULL,
        is_attendance=True,
    )
    QuarantinedRecord.objects.create(
        terminal_sn=terminal.sn,
        source=Source.PULL,
        raw=HOSTILE.encode(),
        digest=bytes([number]) * 32,
        reason=tag,
        first_seen_at=now,
        last_seen_at=now,
    )
    device = Device(key=f"k{number}", name=tag, host=f"10.0.0.{number}", terminal=terminal)
    device.comm_key = COMM_KEY
    device.save()
    SyncRun.objects.create(
        device=device, trigger="schedule", started_at=now, finished_at=now, outcome="failed", error=tag
    )
    sealed = {
        "comm key": device.comm_key_sealed,
        "PIN": person.device_password_sealed,
        "token": ApiToken.objects.get(user=user).sealed,
        "staff token": staff_token.sealed,
        "template": template.sealed,
    }
    written = {
        f"{name} in {how}": spell(bytes(value))
        for name, value in sealed.items()
        for how, spell in (("hex", bytes.hex), ("base64", lambda raw: base64.b64encode(raw).decode()[:24]))
    }
    digest = ApiToken.objects.get(user=user).digest
    hashes = {
        "path's digest": push.path_digest,
        "key's digest": KEY_DIGEST,
        "hash": person.self_password,
        "hash's end": person.self_password[-16:],
        "token digest": digest,
    }
    secrets = {"token": token, "staff token": read_token(staff_token)}
    secrets["template"], secrets["digest on a terminal"] = TEMPLATE.decode(), HELD_DIGEST
    return {**secrets, "comm key": str(COMM_KEY), "PIN": PIN, **written, **hashes}


def pages(label: str) -> list[str]:
    """The addresses of a model's list, its form for a new row and its last row."""
    opts = MODELS[label]._meta
    name = f"admin:{opts.app_label}_{opts.model_name}"
    row = MODELS[label]._default_manager.order_by("pk").last()
    return [reverse(f"{name}_changelist"), reverse(f"{name}_add"), reverse(f"{name}_change", args=[row.pk])]


def staff(*permissions: str) -> Client:
    user = User.objects.create_user("clerk", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def test_every_model_that_people_care_for_has_pages():
    assert sorted(MODELS) == [
        "accounts.ApiToken",
        "accounts.AuditEntry",
        "accounts.User",
        "auth.Group",
        "devices.Device",
        "devices.SyncRun",
        "iclock.Alarm",
        "iclock.Biodata",
        "iclock.Enrolment",
        "iclock.PersonIntent",
        "iclock.PushCommand",
        "iclock.QuarantinedRecord",
        "iclock.Terminal",
        "iclock.TerminalCommand",
        "iclock.TerminalEvent",
        "iclock.TerminalPerson",
        "iclock.TerminalPhoto",
        "iclock.Transaction",
        "personnel.Area",
        "personnel.AttributeDefinition",
        "personnel.Department",
        "personnel.Employee",
        "personnel.Position",
        "personnel.Resignation",
        "personnel.StaffToken",
    ]


READ_ONLY = {
    "accounts.ApiToken",
    "accounts.AuditEntry",
    "devices.SyncRun",
    "iclock.Alarm",
    "iclock.Biodata",
    "iclock.Enrolment",
    "iclock.PersonIntent",
    "iclock.PushCommand",
    "iclock.QuarantinedRecord",
    "iclock.TerminalCommand",
    "iclock.TerminalEvent",
    "iclock.TerminalPerson",
    "iclock.TerminalPhoto",
    "iclock.Transaction",
    "personnel.StaffToken",
}
# Who adds one asks a terminal for a finger.
ASKED_FOR = {"iclock.Enrolment"}


@everywhere
def test_every_page_renders(label, admin_client):
    make_row_of_everything(1)
    form = 403 if label in READ_ONLY - ASKED_FOR else 200
    assert [admin_client.get(page).status_code for page in pages(label)] == [200, form, 200]


@everywhere
def test_every_list_can_be_searched(label, admin_client):
    make_row_of_everything(1)
    assert admin_client.get(pages(label)[0], {"q": "1 x"}).status_code == 200


@pytest.mark.parametrize("label", sorted(READ_ONLY))
def test_what_no_hand_writes_can_be_neither_changed_nor_deleted(label, admin_client):
    make_row_of_everything(1)
    change = pages(label)[2]
    delete = change.replace("/change/", "/delete/")
    assert [admin_client.post(page, {"post": "yes"}).status_code for page in (change, delete)] == [403, 403]
    assert MODELS[label]._default_manager.count() == 1


@everywhere
def test_staff_without_rights_see_nothing(label):
    make_row_of_everything(1)
    client = staff()
    assert [client.get(page).status_code for page in pages(label)] == [403, 403, 403]


@everywhere
def test_strangers_are_sent_to_the_login(label, client):
    make_row_of_everything(1)
    assert {client.get(page).url.split("?")[0] for page in pages(label)} == {"/admin/login/"}


@everywhere
def test_no_page_gives_a_secret_away(label, admin_client):
    secrets = make_row_of_everything(1)
    model = MODELS[label]._meta.model_name
    onlooker = staff(f"view_{model}")
    html = [admin_client.get(page).text for page in pages(label)]
    html += [onlooker.get(page).text for page in pages(label)]
    assert [name for name, secret in secrets.items() if any(secret in page for page in html)] == []


@everywhere
def test_hostile_names_are_text(label, admin_client):
    make_row_of_everything(1)
    delete, history = (pages(label)[2].replace("/change/", f"/{page}/") for page in ("delete", "history"))
    html = "".join(admin_client.get(page).text for page in (*pages(label), delete, history, reverse("admin:index")))
    assert "<script>x" not in html


@pytest.mark.parametrize("label", sorted(MODELS.keys() - {"accounts.ApiToken"}))
def test_hostile_names_are_shown_as_they_are(label, admin_client):
    make_row_of_everything(1)
    html = "".join(admin_client.get(page).text for page in pages(label))
    assert "&lt;script&gt;x&lt;/script&gt;{{7}}" in html


@everywhere
def test_pages_load_nothing_from_elsewhere(label, admin_client):
    make_row_of_everything(1)
    html = "".join(admin_client.get(page).text for page in (*pages(label), reverse("admin:index")))
    loaded = re.findall(r"""<(?:script|link|img|iframe|form)[^>]*?(?:src|href|action)=["']?([^"'\s>]+)""", html)
    assert loaded != []
    assert [url for url in loaded if "//" in url] == []


@everywhere
def test_a_list_asks_as_many_questions_for_three_rows_as_for_one(label, admin_client):
    make_row_of_everything(1)
    one = questions(admin_client, pages(label)[0])
    make_row_of_everything(2)
    make_row_of_everything(3)
    assert questions(admin_client, pages(label)[0]) == one


def questions(client: Client, page: str) -> int:
    client.get(page)  # content types are remembered from the first time on
    with CaptureQueriesContext(
        connection,
    ) as asked:
        client.get(page)
    return len(asked)


def test_the_site_has_a_name_of_its_own(admin_client):
    html = admin_client.get(reverse("admin:index")).text
    assert "Django administration" not in html
    assert "Terminals, people and punches" in html


SECRETS = [
    ("personnel.Employee", "self_password"),
    ("personnel.Employee", "device_password_sealed"),
    ("devices.Device", "comm_key_sealed"),
    ("devices.SyncRun", "device__comm_key_sealed"),
    ("accounts.User", "password"),
    ("accounts.ApiToken", "digest"),
    ("personnel.StaffToken", "digest"),
    ("personnel.StaffToken", "employee__self_password"),
    ("accounts.ApiToken", "user__password"),
    ("auth.Group", "user__password"),
    ("personnel.Area", "employees__self_password"),
    ("personnel.Department", "employees__self_password"),
    ("personnel.Position", "employees__self_password"),
    ("iclock.Terminal", "device__comm_key_sealed"),
    ("iclock.Transaction", "emp__self_password"),
    ("iclock.QuarantinedRecord", "raw"),
    ("iclock.TerminalPerson", "held_fields__password"),
    ("iclock.TerminalPerson", "held_fingers"),
    ("iclock.TerminalPerson", "terminal__device__comm_key_sealed"),
]


@pytest.mark.parametrize(("label", "column"), SECRETS)
@pytest.mark.parametrize("asked", ["{}", "{}__startswith", "{}__exact", "{}__regex", "{}__gte", "{}__isnull"])
def test_no_list_says_what_a_secret_begins_with(label, column, asked, admin_client):
    assert admin_client.get(list_of(label), {asked.format(column): "a"}).status_code == 400


@everywhere
def test_a_list_answers_to_no_column_that_it_doesnt_declare(label, admin_client):
    model_admin = admin.site._registry[MODELS[label]]
    declared = " ".join(map(str, [*model_admin.list_filter, *model_admin.search_fields]))
    plain = [field.name for field in MODELS[label]._meta.concrete_fields if not field.is_relation]
    undeclared = [name for name in plain if name not in declared]
    answers = {name: admin_client.get(list_of(label), {f"{name}__gte": "1"}).status_code for name in undeclared}
    assert answers == dict.fromkeys(undeclared, 400)


def list_of(label: str) -> str:
    opts = MODELS[label]._meta
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")


@everywhere
def test_every_filter_that_a_list_offers_works(label, admin_client):
    make_row_of_everything(1)
    page = list_of(label)
    offered = re.findall(r'href="(\?[^"]+)"', admin_client.get(page).text)
    assert {admin_client.get(page + unescape(link)).status_code for link in offered} <= {200}


def test_all_runs_of_a_device_are_a_list(admin_client):
    make_row_of_everything(1)
    device = Device.objects.get()
    assert admin_client.get(f"/admin/devices/syncrun/?device__id__exact={device.pk}").status_code == 200


def test_a_failed_login_says_which_of_both_is_case_sensitive(client):
    html = client.post("/admin/login/", {"username": "nobody", "password": "x"}).text
    assert "Capital letters matter in the password only." in html
