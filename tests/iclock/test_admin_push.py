"""Terminals that dial, in the administration."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client, override_settings
from django.utils import timezone

from iclock.domain.push_admission import Caller, admit
from iclock.models import PushCommand, PushPosition, PushState, Terminal, TerminalEvent, TerminalPhoto
from personnel.models import Area, AreaLimit, Employee
from zkbio import crypto
from zkbio.accounts.models import AuditEntry, User

pytestmark = pytest.mark.django_db
TERMINALS = "/admin/iclock/terminal/"
ORDERS = "/admin/iclock/pushcommand/"
EVENTS = "/admin/iclock/terminalevent/"
PHOTOS = "/admin/iclock/terminalphoto/"
JPEG = b"\xff\xd8\xff\xe0 somebody's face"
HERE = "10.0.0.5"


@pytest.fixture
def unit(terminal: Terminal) -> Terminal:
    admitted = admit(Caller(terminal.sn, HERE))
    assert admitted is not None
    return admitted


@pytest.fixture
def photo(unit: Terminal, tmp_path: Path) -> Iterator[TerminalPhoto]:
    with override_settings(MEDIA_ROOT=str(tmp_path)):
        taken = TerminalPhoto(terminal=unit, emp_code="7", kind="capture", digest="d", file="terminal_photos/a.bin")
        sealed = crypto.seal(JPEG, table="iclock_terminalphoto", row=taken.uuid)
        default_storage.save(taken.file, ContentFile(sealed))
        taken.save()
        yield taken


def act(client: Client, action: str, *terminals: Terminal) -> Any:
    chosen = {"action": action, "_selected_action": [each.pk for each in terminals]}
    return client.post(TERMINALS, chosen, follow=True)


def clerk(client: Client, *codenames: str) -> User:
    user = User.objects.create_user("clerk", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames, content_type__app_label="iclock"))
    client.force_login(user)
    return user


def form_of(client: Client, unit: Terminal) -> dict[str, Any]:
    """The page as a browser would send it back."""
    page = client.get(f"{TERMINALS}{unit.pk}/change/")
    form = page.context["adminform"].form
    data = {name: form.initial.get(name) for name in form.fields if form.initial.get(name) not in (None, False)}
    for inline in page.context["inline_admin_formsets"]:
        management = inline.formset.management_form
        data |= {management.add_prefix(name): value for name, value in management.initial.items()}
        for each in inline.formset.initial_forms:
            data |= {each.add_prefix(name): each.initial.get(name, "") for name in each.fields}
            data[each.add_prefix("terminal")] = unit.pk
    return {name: "" if value is None else value for name, value in data.items()}


def save(client: Client, unit: Terminal, **typed: str) -> Any:
    return client.post(f"{TERMINALS}{unit.pk}/change/", form_of(client, unit) | typed)


def test_a_unit_that_nobody_knows_is_listed_as_not_authorised_and_let_in_once_it_is_approved(
    admin_client: Client,
) -> None:
    assert admit(Caller("NEW1", HERE)) is None
    page = admin_client.get(f"{TERMINALS}?admission__exact=pending").text
    assert "NEW1" in page
    assert "Not authorised yet" in page

    act(admin_client, "approve", Terminal.objects.get())
    assert admit(Caller("NEW1", HERE)) is not None


def test_the_page_of_a_terminal_says_what_it_told(admin_client: Client, unit: Terminal) -> None:
    PushState.objects.update(options={"PIN2Width": "14"}, address=HERE, shook_hands_at=timezone.now())
    PushPosition.objects.create(terminal=unit, lines=4711)
    page = admin_client.get(f"{TERMINALS}{unit.pk}/change/").text
    for told in ("PIN2Width = 14", "4711", HERE, "Last handshake"):
        assert told in page


def test_the_page_of_a_terminal_that_never_dialled_has_none_of_that(admin_client: Client, terminal: Terminal) -> None:
    assert "What it told of itself" not in admin_client.get(f"{TERMINALS}{terminal.pk}/change/").text
    assert save(admin_client, terminal).status_code == 302


def test_the_code_page_is_entered_and_nothing_else_of_the_row_is_written(admin_client: Client, unit: Terminal) -> None:
    typed = form_of(admin_client, unit) | {"push-0-encoding": "gb18030"}
    PushState.objects.update(told_digest="of now")
    assert admin_client.post(f"{TERMINALS}{unit.pk}/change/", typed).status_code == 302
    state = PushState.objects.get()
    assert (state.encoding, state.told_digest) == ("gb18030", "of now")


@pytest.mark.parametrize("encoding", ["klingon", "utf-16", "rot13"])
def test_a_code_page_that_is_none_is_refused(admin_client: Client, unit: Terminal, encoding: str) -> None:
    assert "code page" in save(admin_client, unit, **{"push-0-encoding": encoding}).text.lower()
    assert PushState.objects.get().encoding == "utf-8"


def test_a_comm_key_is_typed_asked_for_from_then_on_and_never_shown(admin_client: Client, unit: Terminal) -> None:
    PushState.objects.update(key_address=HERE)
    assert save(admin_client, unit, **{"push-0-comm_key": "s3cret-key"}).status_code == 302
    assert admit(Caller(unit.sn, HERE)) is None
    assert admit(Caller(unit.sn, HERE, comm_key="s3cret-key", is_handshake=True)) is not None

    page = admin_client.get(f"{TERMINALS}{unit.pk}/change/").text
    assert "One is set" in page
    assert "s3cret-key" not in page
    assert PushState.objects.get().key_digest not in page
    save(admin_client, unit)
    assert PushState.objects.get().key_digest

    save(admin_client, unit, **{"push-0-clear_comm_key": "on"})
    assert not PushState.objects.get().key_digest
    assert AuditEntry.objects.filter(action="iclock.set_push_key").count() == 2
    assert "s3cret" not in str(list(AuditEntry.objects.values()))


def test_a_comm_key_that_no_unit_can_show_is_refused(admin_client: Client, unit: Terminal) -> None:
    assert "signs of ASCII" in save(admin_client, unit, **{"push-0-comm_key": "señal"}).text
    assert not PushState.objects.get().key_digest


def test_a_secret_path_is_shown_once_with_the_whole_address(admin_client: Client, unit: Terminal) -> None:
    answer = act(admin_client, "give_path", unit)
    (secret,) = re.findall(r"http://testserver/p/([a-z2-9]{16})<", answer.text)
    assert "no-store" in answer.headers["Cache-Control"]
    assert admit(Caller(unit.sn, HERE)) is None
    assert admit(Caller(unit.sn, HERE, secret=secret)) is not None
    for address in (TERMINALS, f"{TERMINALS}{unit.pk}/change/"):
        assert secret not in admin_client.get(address).text
    assert secret not in str(list(AuditEntry.objects.values()))

    act(admin_client, "take_path_back", unit)
    assert admit(Caller(unit.sn, HERE)) is not None
    assert {entry.action for entry in AuditEntry.objects.all()} == {"iclock.give_path", "iclock.take_path_back"}


def test_where_terminals_have_a_port_of_their_own_the_address_names_it(admin_client: Client, unit: Terminal) -> None:
    with override_settings(PUSH_PORT=8081):
        assert "http://testserver:8081/p/" in act(admin_client, "give_path", unit).text


def test_a_terminal_that_has_not_dialled_yet_can_be_given_its_path_before(
    admin_client: Client, terminal: Terminal
) -> None:
    act(admin_client, "give_path", terminal)
    assert PushState.objects.get().path_digest


@pytest.mark.parametrize(
    ("action", "kind"),
    [("ask_info", "info"), ("ask_log", "log"), ("ask_check", "check"), ("ask_options", "reload_options")],
)
def test_a_unit_is_asked_and_one_that_never_dialled_is_named(
    admin_client: Client, unit: Terminal, admin_user: User, action: str, kind: str
) -> None:
    other = Terminal.objects.create(sn="OTHER", alias="Other")
    page = act(admin_client, action, unit, other).text
    assert "Asked: 1" in page
    assert "Never dialled, or not approved: 1" in page
    order = PushCommand.objects.get()
    assert (order.kind, order.terminal, order.created_by) == (kind, unit, admin_user)


def test_who_may_only_look_changes_nothing(client: Client, unit: Terminal) -> None:
    clerk(client, "view_terminal")
    page = client.get(f"{TERMINALS}{unit.pk}/change/").text
    assert "Last handshake" in page
    assert "comm_key" not in page
    for action in ("give_path", "take_path_back", "ask_info"):
        act(client, action, unit)
    assert not PushCommand.objects.exists()
    assert not PushState.objects.get().path_digest


def test_orders_are_listed_and_cancelled_as_long_as_they_wait(admin_client: Client, unit: Terminal) -> None:
    waits = PushCommand.objects.create(terminal=unit, kind="reload_options")
    sent = PushCommand.objects.create(terminal=unit, kind="update_user", emp_code="7", state="sent", sent={"card": 9})
    page = admin_client.get(ORDERS).text
    assert "Reload options" in page
    assert "Update user" in page

    chosen = {"action": "cancel", "_selected_action": [waits.pk, sent.pk]}
    assert "Cancelled: 1." in admin_client.post(ORDERS, chosen, follow=True).text
    assert [*PushCommand.objects.order_by("pk").values_list("state", flat=True)] == ["cancelled", "sent"]
    assert "card" not in admin_client.get(f"{ORDERS}{sent.pk}/change/").text


def test_who_may_not_change_terminals_cancels_no_order(client: Client, unit: Terminal) -> None:
    clerk(client, "view_pushcommand")
    waits = PushCommand.objects.create(terminal=unit, kind="info")
    client.post(ORDERS, {"action": "cancel", "_selected_action": [waits.pk]})
    assert PushCommand.objects.get().state == "queued"


def test_events_are_listed(admin_client: Client, unit: Terminal) -> None:
    TerminalEvent.objects.create(
        terminal=unit, source="menu", code=4, person="7", moment=dt.datetime(2026, 7, 1, 8), values=["0", "77"]
    )
    page = admin_client.get(EVENTS).text
    assert "2026-07-01 08:00:00" in page
    assert "0, 77" in page


def test_a_photo_is_opened_by_who_may_see_it_and_that_is_written_down(
    client: Client, unit: Terminal, photo: TerminalPhoto
) -> None:
    clerk(client, "view_terminalphoto", "see_photo")
    assert f"{PHOTOS}{photo.pk}/photo.jpg" in client.get(f"{PHOTOS}{photo.pk}/change/").text
    assert not AuditEntry.objects.exists()

    answer = client.get(f"{PHOTOS}{photo.pk}/photo.jpg")
    assert (answer.content, answer.headers["Content-Type"]) == (JPEG, "image/jpeg")
    assert answer.headers["Cache-Control"].startswith("no-store")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.detail["emp_code"]) == ("iclock.see_photo", "clerk", "7")


@pytest.mark.parametrize("codename", ["view_terminalphoto", "see_photo"])
def test_who_lacks_either_permission_sees_no_photo(client: Client, photo: TerminalPhoto, codename: str) -> None:
    clerk(client, codename)
    assert client.get(f"{PHOTOS}{photo.pk}/photo.jpg").status_code == 403
    assert "photo.jpg" not in client.get(f"{PHOTOS}{photo.pk}/change/").text
    assert not AuditEntry.objects.exists()


def test_a_photo_that_is_gone_or_was_altered_is_not_found(admin_client: Client, photo: TerminalPhoto) -> None:
    default_storage.delete(photo.file)
    assert admin_client.get(f"{PHOTOS}{photo.pk}/photo.jpg").status_code == 404
    default_storage.save(photo.file, ContentFile(b"something else"))
    assert admin_client.get(f"{PHOTOS}{photo.pk}/photo.jpg").status_code == 404
    assert not AuditEntry.objects.exists()


def test_what_lies_outside_of_a_users_limits_does_not_exist_for_them(
    client: Client, unit: Terminal, photo: TerminalPhoto
) -> None:
    user = clerk(client, "view_terminalphoto", "see_photo", "view_pushcommand", "view_terminalevent", "view_terminal")
    mine = Area.objects.create(area_code="M", area_name="Mine")
    AreaLimit.objects.create(user=user, area=mine)
    PushCommand.objects.create(terminal=unit, kind="update_user", emp_code="7")
    TerminalEvent.objects.create(terminal=unit, source="menu", code=4, person="7")

    def shown() -> list[bool]:
        lists = (client.get(address) for address in (PHOTOS, ORDERS, EVENTS))
        return [*(page.context["cl"].result_count == 1 for page in lists), _opens()]

    def _opens() -> bool:
        return client.get(f"{PHOTOS}{photo.pk}/photo.jpg").status_code == 200

    assert shown() == [False] * 4
    Terminal.objects.update(area=mine)
    assert shown() == [True] * 4
    elsewhere = Employee.objects.create(emp_code="7", department_id=1)
    elsewhere.areas.set([Area.objects.create(area_code="T", area_name="Theirs")])
    assert shown() == [False] * 4


def test_what_goes_with_a_terminal_is_said_before_it_is_deleted(admin_client: Client, unit: Terminal) -> None:
    PushCommand.objects.create(terminal=unit, kind="info")
    TerminalEvent.objects.create(terminal=unit, source="menu", code=4)
    page = admin_client.get(f"{TERMINALS}{unit.pk}/delete/").text
    assert "Orders to PUSH terminals: 1" in page
    assert "Events at terminals: 1" in page
    admin_client.post(f"{TERMINALS}{unit.pk}/delete/", {"post": "yes"})
    assert not Terminal.objects.exists()
