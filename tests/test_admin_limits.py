"""The administration keeps a user's limits, as the API does: what lies outside of them doesn't exist there."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from devices.models import Device, SyncRun
from iclock.domain.alarms import raise_alarm
from iclock.models import (
    Alarm,
    Biodata,
    PersonIntent,
    PushCommand,
    QuarantinedRecord,
    Terminal,
    TerminalCommand,
    TerminalEvent,
    TerminalPerson,
    TerminalPhoto,
    Transaction,
)
from iclock.punch import Source
from personnel.models import Area, AreaLimit, Department, Employee, Resignation, StaffToken
from zkbio.accounts.domain.tokens import live_token
from zkbio.accounts.models import User

pytestmark = pytest.mark.django_db

LIMITED = [Area, Employee, Resignation, StaffToken, Terminal, TerminalCommand, Transaction, Biodata, QuarantinedRecord]
LIMITED += [Alarm, Device, SyncRun, TerminalPerson, PersonIntent, PushCommand, TerminalEvent, TerminalPhoto]
SITES = [f"admin:{model._meta.app_label}_{model._meta.model_name}" for model in LIMITED]


class Site(NamedTuple):
    area: Area
    person: Employee
    terminal: Terminal


def make_site(name: str) -> Site:
    """An area with one of everything; all of it can be told by ``name``."""
    area = Area.objects.create(area_code=name, area_name=name)
    person = Employee.objects.create(emp_code=name, first_name=name, department_id=1)
    person.areas.set([area])
    Resignation.objects.create(employee=person, resign_date=dt.date(2024, 6, 26), reason=name)
    live_token(StaffToken, employee=person)
    terminal = Terminal.objects.create(sn=name, alias=name, area=area)
    TerminalCommand.objects.create(terminal=terminal, kind="reboot", result=name)
    raise_alarm(terminal, Alarm.Kind.AWAY, name)
    TerminalPerson.objects.create(terminal=terminal, emp_code=f"9{name}", held=True, held_fields={"name": name})
    PersonIntent.objects.create(terminal=terminal, emp_code=name, kind="add", done=True)
    PushCommand.objects.create(terminal=terminal, kind="info", result=name)
    TerminalEvent.objects.create(terminal=terminal, source="menu", code=4, person=name)
    TerminalPhoto.objects.create(terminal=terminal, kind="capture", emp_code=name, file=f"{name}.bin", digest=name)
    template = Biodata(employee=person, bio_type=1, bio_no=0, major_ver="10", sn=name)
    template.template = b"ridges"
    template.save()
    now = timezone.now()
    QuarantinedRecord.objects.create(
        terminal_sn=name,
        source=Source.PULL,
        raw=b"?",
        digest=name.encode(),
        reason=name,
        first_seen_at=now,
        last_seen_at=now,
    )
    Transaction.objects.create(
        terminal_sn=name,
        terminal_alias=name,
        emp_code=name,
        punch_time=dt.datetime(2024, 6, 26, 8),
        punched_at=now,
        utc_offset=0,
        punch_state=0,
        verify_type=1,
        source=Source.PULL,
        is_attendance=True,
        upload_time=now,
    )
    device = Device.objects.create(key=name, name=name, host=f"10.0.0.{len(name)}", terminal=terminal)
    SyncRun.objects.create(device=device, trigger="schedule", started_at=now, finished_at=now, outcome="ok")
    return Site(area, person, terminal)


@pytest.fixture
def inside() -> Site:
    return make_site("inside")


@pytest.fixture
def outside() -> Site:
    return make_site("outlying")


@pytest.fixture
def limited(inside: Site, outside: Site, client: Client) -> Client:
    """Logged in with every permission there is, and one area."""
    user = User.objects.create_user("officer", is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    AreaLimit.objects.create(user=user, area=inside.area)
    client.force_login(user)
    return client


@pytest.mark.parametrize("site", SITES)
def test_lists_show_what_lies_inside(site: str, limited: Client) -> None:
    page = limited.get(reverse(f"{site}_changelist")).content.decode()

    assert ("inside" in page, "outlying" in page) == (True, False)


@pytest.mark.parametrize("label", sorted(model._meta.label for model in admin.site._registry))
def test_no_list_names_what_lies_outside(label: str, limited: Client) -> None:
    page = limited.get(reverse(f"admin:{label.lower().replace('.', '_')}_changelist"))

    assert (page.status_code, "outlying" in page.content.decode()) == (200, False)


@pytest.mark.parametrize("model", LIMITED, ids=SITES)
def test_a_page_of_what_lies_outside_does_not_exist(model: type[Employee], limited: Client) -> None:
    rows = model._default_manager.values_list("pk", flat=True)
    site = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"

    answers = [limited.get(reverse(site, args=[pk])).status_code for pk in rows]

    assert set(answers) == {200, 302}


def test_what_can_be_chosen_lies_inside(limited: Client) -> None:
    asked = {"app_label": "personnel", "model_name": "employee", "field_name": "areas", "term": ""}
    found = limited.get(reverse("admin:autocomplete"), asked).json()

    assert [each["text"] for each in found["results"]] == ["inside inside"]


def test_an_id_from_outside_can_not_be_chosen(inside: Site, outside: Site, limited: Client) -> None:
    address = reverse("admin:iclock_terminal_change", args=[inside.terminal.pk])
    typed = {
        "alias": "moved",
        "area": outside.area.pk,
        "time_zone": "UTC",
        "admission": "approved",
        "heartbeat": 10,
        "transfer_time": "00:00",
        "transfer_interval": 1,
        "direction": "both",
        "strangers": "kept",
    }

    page = limited.post(address, typed)

    assert page.context["errors"] == [["Select a valid choice. That choice is not one of the available choices."]]


def test_a_save_keeps_the_areas_outside(inside: Site, outside: Site, limited: Client) -> None:
    inside.person.areas.add(outside.area)
    other = Area.objects.create(area_code="annexe", area_name="annexe", parent_area=inside.area)
    typed = {
        "first_name": "inside",
        "mobile": "1",
        "department": 1,
        "areas": [other.pk],
        "dev_privilege": 0,
        "verify_mode": -1,
        "app_status": 0,
        "app_role": 1,
        "enable_attendance": "on",
    }

    limited.post(reverse("admin:personnel_employee_change", args=[inside.person.pk]), typed)

    inside.person.refresh_from_db()
    areas = set(inside.person.areas.values_list("area_code", flat=True))
    assert (inside.person.mobile, areas) == ("1", {"annexe", "outlying"})


def test_nobody_is_deleted_who_is_elsewhere_too(inside: Site, outside: Site, limited: Client) -> None:
    inside.person.areas.add(outside.area)

    answer = limited.post(reverse("admin:personnel_employee_delete", args=[inside.person.pk]), {"post": "yes"})

    assert (answer.status_code, Employee.objects.filter(pk=inside.person.pk).count()) == (403, 1)


def test_an_area_is_not_moved_to_the_top(inside: Site, limited: Client) -> None:
    annexe = Area.objects.create(area_code="annexe", area_name="annexe", parent_area=inside.area)
    typed = {"area_code": "annexe", "area_name": "free", "parent_area": ""}

    page = limited.post(reverse("admin:personnel_area_change", args=[annexe.pk]), typed)

    annexe.refresh_from_db()
    assert (page.context["errors"], annexe.area_name) == ([["Choose a parent within your limits."]], "annexe")


def test_a_limit_by_department_hides_other_departments(client: Client) -> None:
    shown = Department.objects.create(dept_code="shown", dept_name="shown")
    user = User.objects.create_user("officer", is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    user.department_limits.create(department=shown)
    client.force_login(user)

    page = client.get(reverse("admin:personnel_department_changelist")).content.decode()

    assert ("shown" in page, ">Department<" in page) == (True, False)
