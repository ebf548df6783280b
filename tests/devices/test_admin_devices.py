"""Devices in the administration: entered, checked, polled, read now; their comm key goes in and never comes out."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from devices.domain.registry import register_device
from devices.models import Device, SyncRun
from iclock.domain.alarms import raise_alarm
from iclock.domain.completeness import move_complete_until
from iclock.models import Alarm, Terminal, TerminalPresence
from personnel.models import Area, AreaLimit
from zkbio.accounts.models import AuditEntry, User

pytestmark = pytest.mark.django_db

LIST, ADD = "/admin/devices/device/", "/admin/devices/device/add/"


def form(**changes: object) -> dict[str, object]:
    typed = {"name": "Door", "key": "Main Door", "host": "10.0.0.5", "port": 4370, "transport": "tcp"}
    return {**typed, "interval": 60, "timeout": 5, "encoding": "UTF-8", "time_zone": "", "enabled": "on", **changes}


def change(device: Device) -> str:
    return reverse("admin:devices_device_change", args=[device.pk])


def do(client: Client, action: str, *devices: Device) -> str:
    chosen = {"action": action, "_selected_action": [device.pk for device in devices]}
    return client.post(LIST, chosen, follow=True).text


def run(device: Device, outcome: str, **facts: object) -> SyncRun:
    now = timezone.now()
    return SyncRun.objects.create(
        device=device, trigger="schedule", outcome=outcome, started_at=now, finished_at=now, **facts
    )


@pytest.fixture
def device() -> Device:
    return register_device(key="door", name="Door", host="10.0.0.5", comm_key=123_456)


def test_a_device_is_added_by_its_form(admin_client):
    answer = admin_client.post(ADD, form(new_comm_key="654321"))
    assert (answer.status_code, answer.url) == (302, LIST)
    device = Device.objects.get()
    assert (device.key, device.name, device.host, device.comm_key) == ("main_door", "Door", "10.0.0.5", 654_321)


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("host", "localhost", "is not an IP address; write the terminal"),
        ("host", "10.0.0.5 ", "is not an IP address; write the terminal"),
        ("host", "169.254.169.254", "169.254.169.254 is a link-local address and never dialled"),
        ("host", "::ffff:10.0.0.5", "is an IPv4 address in IPv6 clothing and never dialled"),
        ("host", "8.8.8.8", "8.8.8.8 is outside the networks of terminals"),
        ("host", "", "This field is required."),
        ("port", "70000", "less than or equal to 65535"),
        ("key", "a/b", "Enter a valid"),
        ("encoding", "klingon", "is no code page for names"),
        ("time_zone", "Mars", "is neither an IANA time zone nor an offset"),
        ("new_comm_key", "hello", "A comm key is a number from 0 to 4294967295."),
    ],
)
def test_what_cannot_work_is_refused_with_its_sentence(admin_client, field, typed, sentence):
    answer = admin_client.post(ADD, form(**{field: typed}))
    assert list(answer.context["adminform"].form.errors) == [field]
    assert sentence in answer.text
    assert Device.objects.count() == 0


def test_an_address_that_is_there_already_is_refused(admin_client, device):
    answer = admin_client.post(ADD, form(key="other"))
    assert answer.status_code == 200
    assert Device.objects.get() == device


def test_an_empty_comm_key_keeps_the_stored_one(admin_client, device):
    admin_client.post(change(device), form(name="Renamed", new_comm_key=""))
    device.refresh_from_db()
    assert (device.name, device.comm_key) == ("Renamed", 123_456)


def test_a_typed_comm_key_replaces_the_stored_one(admin_client, device):
    admin_client.post(change(device), form(new_comm_key="42"))
    device.refresh_from_db()
    assert device.comm_key == 42


@pytest.mark.parametrize("typed", [{"clear_comm_key": "on"}, {"new_comm_key": "0"}])
def test_a_comm_key_is_removed_on_request(admin_client, device, typed):
    admin_client.post(change(device), form(**typed))
    device.refresh_from_db()
    assert (device.comm_key, device.comm_key_sealed) == (0, None)


def test_a_form_with_an_error_does_not_repeat_the_comm_key(admin_client):
    answer = admin_client.post(ADD, form(host="nowhere", new_comm_key="777888999"))
    assert "777888999" not in answer.text


def test_the_form_says_whether_a_comm_key_is_set(admin_client, device):
    assert "One is set; leave this empty to keep it." in admin_client.get(change(device)).text
    assert "None is set." in admin_client.get(ADD).text


def test_what_is_being_added_has_no_key_to_remove_and_no_status(admin_client, device):
    adding, changing = admin_client.get(ADD).text, admin_client.get(change(device)).text
    assert [word in adding for word in ("clear_comm_key", "Last success", "back_door")] == [False, False, True]
    assert [word in changing for word in ("clear_comm_key", "Last success", "back_door")] == [True, True, True]


def test_mending_how_a_device_is_dialled_makes_it_due(admin_client, device):
    later = timezone.now() + timedelta(hours=1)
    Device.objects.update(next_poll_at=later)
    admin_client.post(change(device), form(name="Renamed"))
    assert Device.objects.get().next_poll_at == later
    admin_client.post(change(device), form(host="10.0.0.6"))
    assert Device.objects.get().next_poll_at < timezone.now() + timedelta(seconds=1)


def test_saving_the_form_writes_nothing_that_workers_write(admin_client, device):
    with CaptureQueriesContext(connection) as asked:
        admin_client.post(change(device), form(name="Renamed"))
    updates = [query["sql"] for query in asked if query["sql"].startswith('UPDATE "devices_device"')]
    assert len(updates) == 1
    assert '"name" = ' in updates[0]
    assert [column for column in ("lease_", "log_", "next_poll_at", "failures") if column in updates[0]] == []


def test_the_list_tells_the_last_runs_sentence_and_the_state(admin_client, device):
    run(device, "ok")
    run(device, "failed", error_code="timeout", error="10.0.0.5 did not answer within 5 s.")
    Device.objects.update(failures=3)
    html = admin_client.get(LIST).text
    assert "timeout: 10.0.0.5 did not answer within 5 s." in html
    assert "Failing, 3 in a row" in html


def test_a_device_that_is_being_read_says_so(admin_client, device):
    assert "Waiting for its first reading" in admin_client.get(LIST).text
    Device.objects.update(lease_expires_at=timezone.now() + timedelta(minutes=1))
    assert "Being read" in admin_client.get(LIST).text


def test_a_devices_page_shows_its_last_ten_runs(admin_client, device):
    for number in range(12):
        run(device, "failed", error=f"error number {number:02}.")
    html = admin_client.get(change(device)).text
    assert [f"error number {number:02}." in html for number in (0, 1, 2, 11)] == [False, False, True, True]
    assert f"/admin/devices/syncrun/?device__id__exact={device.pk}" in html


def test_the_link_to_all_runs_shows_those_of_the_device(admin_client, device):
    other = register_device(key="other", name="Other", host="10.0.0.6")
    for number, each in enumerate((device, other)):
        run(each, "failed", error=f"error number {number}.")
    html = admin_client.get(f"/admin/devices/syncrun/?device__id__exact={device.pk}").text
    assert ("error number 0." in html, "error number 1." in html) == (True, False)


def test_the_runs_tell_their_counts_in_one_cell_and_an_error_after_its_code(admin_client, device):
    run(device, "ok", announced=3010, known=7, new=3000, quarantined=3)
    run(device, "ok", announced=5, known=5)
    run(device, "failed", error_code="unreachable", error="Nobody answers.")
    rows = admin_client.get("/admin/devices/syncrun/").context["results"]
    cells = [[strip_tags(str(cell)) for cell in row] for row in rows]
    assert [row[2:5] for row in cells] == [
        ["Failed", "unreachable: Nobody answers.", "-"],
        ["Read", "-", "0 new, 5 known"],
        ["Read", "-", "3000 new, 7 known, 3 quarantined"],
    ]


def test_sync_now_makes_the_chosen_devices_due(admin_client, device):
    other = register_device(key="other", name="Other", host="10.0.0.6", interval=900)
    later = timezone.now() + timedelta(hours=1)
    Device.objects.update(next_poll_at=later)
    assert "To be read within seconds: 1." in do(admin_client, "sync_now", device)
    device.refresh_from_db()
    other.refresh_from_db()
    assert device.next_poll_at < timezone.now() + timedelta(seconds=1)
    assert other.next_poll_at == later


def test_sync_now_says_which_it_leaves_out(admin_client, device):
    Device.objects.update(enabled=False)
    assert "Not polled, so not read: 1." in do(admin_client, "sync_now", device)


def test_polling_is_switched_off_and_on(admin_client, device):
    assert "No longer polled: 1." in do(admin_client, "disable_polling", device)
    assert Device.objects.get().enabled is False
    assert "Polled from now on: 1." in do(admin_client, "enable_polling", device)
    assert Device.objects.get().enabled is True


@pytest.mark.parametrize("action", ["sync_now", "enable_polling", "disable_polling"])
def test_who_may_only_look_can_start_nothing(device, action):
    onlooker = User.objects.create_user("onlooker", password="x", is_staff=True)
    onlooker.user_permissions.set(Permission.objects.filter(codename="view_device"))
    client = Client()
    client.force_login(onlooker)
    due = device.next_poll_at
    Device.objects.update(enabled=action != "enable_polling")
    do(client, action, device)
    device.refresh_from_db()
    assert (device.enabled, device.next_poll_at) == (action != "enable_polling", due)


def test_deleting_a_device_keeps_its_terminal_and_takes_its_runs(admin_client, device):
    terminal = Terminal.objects.create(sn="SN1", alias="Door")
    Device.objects.update(terminal=terminal)
    run(device, "ok")
    admin_client.post(reverse("admin:devices_device_delete", args=[device.pk]), {"post": "yes"})
    assert (Device.objects.count(), SyncRun.objects.count(), Terminal.objects.count()) == (0, 0, 1)


def test_quiet_hours_are_entered_shown_and_heeded_at_once(admin_client, device):
    Device.objects.update(next_poll_at=timezone.now(), time_zone="UTC")
    there = timezone.now()
    hours = {"quiet_from": f"{there - timedelta(hours=1):%H:%M}", "quiet_until": f"{there + timedelta(hours=1):%H:%M}"}
    assert admin_client.post(change(device), form(time_zone="UTC", **hours)).status_code == 302
    device.refresh_from_db()
    assert {name: f"{getattr(device, name):%H:%M}" for name in hours} == hours
    assert timedelta(minutes=58) < device.next_poll_at - there < timedelta(minutes=61)
    assert "To be read within seconds: 1." in do(admin_client, "sync_now", device)
    device.refresh_from_db()
    assert device.next_poll_at <= timezone.now()


def test_quiet_hours_of_no_length_are_an_error_at_their_end(admin_client, device):
    answer = admin_client.post(change(device), form(quiet_from="04:00", quiet_until="04:00"))
    assert answer.context["adminform"].form.errors == {
        "quiet_until": ["Quiet hours that end when they begin are none: give another end, or leave both empty."]
    }


def test_the_list_says_which_devices_are_in_their_quiet_hours(admin_client, device):
    run(device, "ok")
    there = timezone.now()
    hours = {"quiet_from": (there - timedelta(hours=1)).time(), "quiet_until": (there + timedelta(hours=1)).time()}
    Device.objects.update(time_zone="UTC", **hours)
    assert f"Quiet until {hours['quiet_until']:%H:%M}" in admin_client.get(LIST).text
    Device.objects.update(enabled=False)
    assert "Quiet until" not in admin_client.get(LIST).text


def test_the_list_shows_the_ids_that_commands_ask_for(admin_client, device):
    assert '<td class="field-key">door</td>' in admin_client.get(LIST).text


def test_a_device_and_its_terminal_lead_to_each_other(admin_client, swapped):
    terminal = reverse("admin:iclock_terminal_change", args=[swapped.terminal.pk])
    assert f'<a href="{terminal}">' in admin_client.get(change(swapped)).text
    assert f'<a href="{change(swapped)}">Door (10.0.0.5:4370)</a>' in admin_client.get(terminal).text


@pytest.mark.parametrize(("given", "missing"), [("quiet_from", "quiet_until"), ("quiet_until", "quiet_from")])
def test_quiet_hours_without_an_end_or_a_beginning_are_an_error_at_that_field(admin_client, device, given, missing):
    answer = admin_client.post(change(device), form(**{given: "22:00"}))
    assert answer.context["adminform"].form.errors == {
        missing: ["Quiet hours have a beginning and an end: give both, or none."]
    }


@pytest.fixture
def swapped(device: Device) -> Device:
    """Another unit answers than the one that is known there."""
    device.terminal = Terminal.objects.create(sn="OLD1", alias="Door")
    device.stranger_sn = "NEW1"
    device.save()
    run(device, "failed", error_code="identity", error="10.0.0.5 answers as NEW1.")
    raise_alarm(device.terminal, "wrong_unit", "10.0.0.5 answers as NEW1.")
    return device


def test_a_page_shows_who_answers_what_is_locked_and_how_the_clock_is(admin_client, swapped):
    Device.objects.update(disabled_at=timezone.now())
    move_complete_until(swapped.terminal, timezone.now())
    TerminalPresence.objects.update(clock_drift=-125, clock_read_at=timezone.now())
    html = admin_client.get(change(swapped)).text
    told = ("NEW1", "2 min 5 s behind", "Another unit answers: 10.0.0.5 answers as NEW1.", "disabled since")
    assert [words.lower() in html.lower() for words in told] == [True] * 4
    assert "Another unit answers: NEW1" in admin_client.get(LIST).text


@pytest.mark.parametrize(("area_of_it", "shown"), [("in", "NEW1"), ("out", "one of another area"), (None, "NEW1")])
def test_whoever_has_limits_reads_no_serial_number_of_another_area(swapped, django_user_model, area_of_it, shown):
    areas = {name: Area.objects.create(area_code=name, area_name=name) for name in ("in", "out")}
    Terminal.objects.update(area=areas["in"])
    if area_of_it:
        Terminal.objects.create(sn="NEW1", alias="", area=areas[area_of_it])
    clerk = django_user_model.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_device"))
    AreaLimit.objects.create(user=clerk, area=areas["in"])
    client = Client()
    client.force_login(clerk)
    SyncRun.objects.all().delete()
    Alarm.objects.all().delete()

    for page in (client.get(LIST).text, client.get(change(swapped)).text):
        assert ("NEW1" in page, "one of another area" in page) == (shown == "NEW1", shown != "NEW1")


def test_the_unit_that_answers_is_accepted_by_an_action(admin_client, swapped):
    assert "Door is the unit NEW1 from now on." in do(admin_client, "accept_units", swapped)
    swapped.refresh_from_db()
    assert (swapped.terminal.sn, swapped.stranger_sn) == ("NEW1", "")
    entry = AuditEntry.objects.get(action="devices.accept_unit")
    assert (entry.actor, entry.detail["former_sn"]) == ("admin", "OLD1")
    assert "there is none to accept" in do(admin_client, "accept_units", swapped)


def test_who_may_only_look_accepts_nothing(client, swapped):
    looker = User.objects.create_user("looker", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_device"))
    client.force_login(looker)
    do(client, "accept_units", swapped)
    swapped.refresh_from_db()
    assert swapped.stranger_sn == "NEW1"
