"""The quarantine in the administration: open records first, tried again, given to somebody, exported."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client, override_settings
from django.utils import timezone

from devices import protocol
from iclock.admin import quarantine as pages
from iclock.domain.ingest import record_punches
from iclock.models import QuarantinedRecord, Terminal, Transaction
from iclock.punch import Reject, Source
from personnel.models import Area, AreaLimit, Employee
from zkbio.accounts.models import AuditEntry, User

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/iclock/quarantinedrecord/"
EIGHT = datetime(2026, 3, 2, 8)
ROW_8 = protocol.PUNCH_8.pack(513, 1, protocol.encode_time(EIGHT), 0)
GOOD_LINE = b"7\t2026-03-02 08:00:00\t1\t0\t1\t0"
ACTIONS = {"try_again", "assign_to_employee", "export"}


@pytest.fixture
def kept(terminal: Terminal) -> Any:
    def put(*raws: bytes, source: Source = Source.PULL, of: Terminal | None = None) -> list[int]:
        record_punches(of or terminal, [], source=source, rejects=[Reject(raw, "=not understood") for raw in raws])
        by_bytes = {bytes(record.raw): record.pk for record in QuarantinedRecord.objects.all()}
        return [by_bytes[raw] for raw in raws]

    return put


def listed(client: Client, **query: str) -> list[int]:
    return [row.pk for row in client.get(LIST, query).context["cl"].result_list]


def act(client: Client, action: str, *pks: int, **fields: str) -> Any:
    return client.post(LIST, {"action": action, "_selected_action": pks, **fields}, follow=True)


def said(page: Any) -> list[str]:
    return [str(message) for message in page.context["messages"]]


def officer(*permissions: str) -> Client:
    user = User.objects.create_user("officer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def test_open_records_are_listed_unless_others_are_asked_for(admin_client: Client, kept: Any) -> None:
    first, second = sorted(kept(b"1", b"2"))
    QuarantinedRecord.objects.filter(pk=first).update(released_at=timezone.now())

    assert listed(admin_client) == [second]
    assert listed(admin_client, state="released") == [first]
    assert listed(admin_client, state="all") == [second, first]
    links = [
        *admin_client.get(LIST, {"state": "released"})
        .context["cl"]
        .filter_specs[0]
        .choices(admin_client.get(LIST, {"state": "released"}).context["cl"])
    ]
    assert [(link["display"], link["selected"], link["query_string"]) for link in links] == [
        ("Open", False, "?"),
        ("Released", True, "?state=released"),
        ("All", False, "?state=all"),
    ]


def test_chosen_records_are_tried_again(admin_client: Client, kept: Any) -> None:
    good, bad, other = kept(GOOD_LINE, b"7\t2026-02-31 08:00:00", GOOD_LINE.replace(b"7", b"8"), source=Source.IMPORT)

    assert said(act(admin_client, "try_again", good, bad)) == ["Punches now: 1. Kept: 1, and each says why."]
    assert Transaction.objects.get().emp_code == "7"
    assert sorted(listed(admin_client)) == sorted([other, bad])


def test_no_more_are_tried_at_once_than_a_request_has_time_for(
    admin_client: Client, kept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST_RETRIED", 2)
    pks = sorted(kept(*(GOOD_LINE.replace(b"7", b"%d" % n) for n in range(1, 4)), source=Source.IMPORT))

    assert said(act(admin_client, "try_again", *pks)) == [
        "Punches now: 2. Kept: 0.",
        "No more than 2 are tried at once.",
    ]
    assert listed(admin_client) == pks[2:]


def test_what_a_record_says_by_now_is_shown_beside_its_bytes(admin_client: Client, kept: Any) -> None:
    pks = [*kept(ROW_8), *kept(GOOD_LINE, b"x", source=Source.IMPORT)]

    texts = [admin_client.get(f"{LIST}{pk}/change/").text for pk in pks]

    assert "2026-03-02 08:00:00, state 0, verified by 1, nobody (it names only number 513" in texts[0]
    assert "2026-03-02 08:00:00, state 0, verified by 1, employee 7" in texts[1]
    assert "fields with TABs between them: 1" in texts[2]


def test_a_record_of_nobody_is_assigned_after_a_page_that_asks_whose_it_was(admin_client: Client, kept: Any) -> None:
    Employee.objects.create(emp_code="42", department_id=1)
    (row,), (line,) = kept(ROW_8), kept(GOOD_LINE, source=Source.IMPORT)

    page = act(admin_client, "assign_to_employee", row, line)
    assert "verified by 1, nobody" in page.text
    assert "Left out, because more than the person is missing: 1." in page.text
    assert f'name="_selected_action" value="{row}"' in page.text
    assert f'name="_selected_action" value="{line}"' not in page.text
    assert "There is no employee with this code." in act(admin_client, "assign_to_employee", row, emp_code="9").text
    assert not Transaction.objects.exists()

    assert said(act(admin_client, "assign_to_employee", row, emp_code="42")) == ["Punches of 42 now: 1."]
    assert Transaction.objects.values_list("emp_code", "punch_time").get() == ("42", EIGHT)
    assert AuditEntry.objects.values_list("actor", "action").get() == ("admin", "iclock.assign_quarantined")


def test_what_tells_its_person_is_not_for_anybody_to_assign(admin_client: Client, kept: Any) -> None:
    pks = kept(GOOD_LINE, b"x", source=Source.IMPORT)

    assert said(act(admin_client, "assign_to_employee", *pks)) == [
        "Only open records of a terminal that is here, of which the person alone is missing, can be given to somebody."
    ]


def test_few_records_are_assigned_at_once(admin_client: Client, kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_ASSIGNED", 1)
    pks = kept(ROW_8, protocol.PUNCH_8.pack(514, 1, 0, 0))

    assert said(act(admin_client, "assign_to_employee", *pks)) == [
        "No more than 1 records are given to a person at once."
    ]


def test_records_are_exported_with_their_bytes_and_without_formulas(admin_client: Client, kept: Any) -> None:
    pks = kept(b"=1+1", b"\x00\xff")
    QuarantinedRecord.objects.filter(pk=pks[1]).update(released_at=timezone.now(), times=3)

    answer = admin_client.post(f"{LIST}?state=all", {"action": "export", "_selected_action": pks})
    rows = [*csv.reader(io.StringIO(answer.getvalue().decode()))]

    assert answer["Content-Disposition"] == 'attachment; filename="quarantine.csv"'
    assert tuple(rows[0]) == pages.EXPORTED
    second, first = sorted(rows[1:], key=lambda row: row[-1])
    moment = f"{timezone.localtime():%Y-%m-%d}"
    assert [first[:4], first[6:]] == [["CKJF201260077", "'=not understood", "pull", "1"], ["", "3d 31 2b 31"]]
    assert [second[3], second[7]] == ["3", "00 ff"]
    assert [cell[:10] for cell in (*first[4:6], *second[4:7])] == [moment] * 5


@override_settings(MAX_EXPORT_ROWS=1)
def test_more_records_than_a_file_may_have_are_refused(admin_client: Client, kept: Any) -> None:
    assert said(act(admin_client, "export", *kept(b"1", b"2"))) == [
        "More than 1 records don't fit into a file; choose fewer."
    ]


@pytest.mark.parametrize(
    ("permissions", "offered"),
    [
        (["view_quarantinedrecord"], {"export"}),
        (["view_quarantinedrecord", "change_quarantinedrecord"], ACTIONS),
    ],
)
def test_actions_need_their_permission(kept: Any, permissions: list[str], offered: set[str]) -> None:
    (pk,) = kept(GOOD_LINE, source=Source.IMPORT)
    client = officer(*permissions)

    form = client.get(LIST).context["action_form"]

    assert {name for name, _ in form.fields["action"].choices if name} == offered
    act(client, "try_again", pk)
    assert Transaction.objects.exists() == ("try_again" in offered)


def test_who_has_limits_neither_sees_nor_releases_nor_names_what_lies_outside(kept: Any, terminal: Terminal) -> None:
    area = Area.objects.create(area_code="in", area_name="in")
    inside = Terminal.objects.create(sn="INSIDE", alias="Inside", area=area)
    Employee.objects.create(emp_code="42", department_id=1)
    both = [*kept(GOOD_LINE, source=Source.IMPORT), *kept(ROW_8, of=inside)]
    client = officer("view_quarantinedrecord", "change_quarantinedrecord")
    AreaLimit.objects.create(user=User.objects.get(username="officer"), area=area)

    assert listed(client) == both[1:]
    act(client, "try_again", *both)
    assert "There is no employee with this code." in act(client, "assign_to_employee", *both, emp_code="42").text
    assert not Transaction.objects.exists()
