"""Terminals and punches in the administration: read quickly however many there are, and outliving their terminal."""

from __future__ import annotations

import datetime as dt

import pytest
from django.core.paginator import EmptyPage
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from iclock.admin.punches import PunchPaginator
from iclock.models import QuarantinedRecord, Terminal, TerminalPresence, Transaction, TransactionBlock
from personnel.models import Employee

pytestmark = pytest.mark.django_db

LIST = "/admin/iclock/transaction/"


def punch(emp_code: str, wall: dt.datetime, **facts: object) -> Transaction:
    now = timezone.now()
    typed = {"terminal_sn": "SN1", "punched_at": now, "upload_time": now, "utc_offset": 0, "punch_state": 0}
    rest = {"verify_type": 1, "source": 1, "is_attendance": True}
    return Transaction.objects.create(emp_code=emp_code, punch_time=wall, **{**typed, **rest, **facts})


def listed(client, **query: str) -> list[int]:
    return [row.pk for row in client.get(LIST, query).context["cl"].result_list]


def test_punches_are_listed_newest_first_with_the_terminals_own_time(admin_client):
    Employee.objects.create(emp_code="7", first_name="Ada", department_id=1)
    first, second = (punch("7", dt.datetime(2024, 6, 26, 15, 46, second)) for second in (45, 46))
    assert listed(admin_client) == [second.pk, first.pk]
    html = admin_client.get(LIST).text
    assert "2024-06-26 15:46:45" in html
    assert "Ada" in html


def test_tombstones_are_not_listed(admin_client):
    punch("7", dt.datetime(2024, 6, 26), deleted_at=timezone.now())
    assert listed(admin_client) == []


def test_punches_are_found_by_whole_codes_and_serials_only(admin_client):
    of_7, of_77 = punch("7", dt.datetime(2024, 6, 26)), punch("77", dt.datetime(2024, 6, 26), terminal_sn="SN2")
    assert listed(admin_client, q="7") == [of_7.pk]
    assert listed(admin_client, q="SN2") == [of_77.pk]
    assert listed(admin_client, q="SN") == []


def test_codes_are_shown_in_the_apis_words(admin_client):
    punch("7", dt.datetime(2024, 6, 26), punch_state=1, verify_type=1, source=2)
    punch("7", dt.datetime(2024, 6, 27), punch_state=77, verify_type=88, source=0)
    rows = [[strip_tags(str(cell)) for cell in row] for row in admin_client.get(LIST).context["results"]]
    assert [row[5:8] for row in rows] == [
        ["77", "88", "Import"],
        ["Check Out", "Fingerprint", "Terminal, by PUSH"],
    ]
    assert "punches" in admin_client.get(LIST).text


def test_a_day_is_found_by_the_wall_clock(admin_client):
    day = dt.datetime(2024, 6, 26)
    last, first = (punch("7", day + dt.timedelta(seconds=second)) for second in (86_399, 0))
    for beside in (-1, 86_400):
        punch("7", day + dt.timedelta(seconds=beside))
    assert listed(admin_client, q="2024-06-26") == [first.pk, last.pk]
    assert listed(admin_client, q="2024-06-31") == []


def test_punches_are_filtered_by_a_terminals_name(admin_client):
    Terminal.objects.create(sn="SN2", alias="Gate")
    of_gate, _ = punch("7", dt.datetime(2024, 6, 26), terminal_sn="SN2"), punch("7", dt.datetime(2024, 6, 26))
    assert '?terminal=SN2">Gate</a>' in " ".join(admin_client.get(LIST).text.split())
    assert listed(admin_client, terminal="SN2") == [of_gate.pk]


def test_many_terminals_are_searched_and_not_listed(admin_client, monkeypatch):
    monkeypatch.setattr("iclock.admin.punches.FILTERED_TERMINALS", 1)
    for number in range(2):
        Terminal.objects.create(sn=f"SN{number}", alias="Gate")
    assert "terminal=SN" not in admin_client.get(LIST).text


def test_the_days_of_the_filter_are_the_wall_clocks(admin_client):
    today = dt.datetime.combine(timezone.localdate(), dt.time())
    midnight, noon = punch("1", today), punch("1", today + dt.timedelta(hours=12))
    before, month_ago = punch("1", today - dt.timedelta(seconds=1)), punch("1", today - dt.timedelta(days=31))
    tomorrow = punch("1", today + dt.timedelta(days=1))
    assert listed(admin_client, punched="today") == [noon.pk, midnight.pk]
    assert listed(admin_client, punched="yesterday") == [before.pk]
    assert listed(admin_client, punched="7 days") == [before.pk, noon.pk, midnight.pk]
    assert listed(admin_client, punched="31 days") == [before.pk, noon.pk, midnight.pk]
    assert listed(admin_client, punched="future") == [tomorrow.pk]
    assert listed(admin_client, punched="never") == [tomorrow.pk, month_ago.pk, before.pk, noon.pk, midnight.pk]


def test_the_list_never_counts_punches(admin_client):
    punch("7", dt.datetime(2024, 6, 26))
    with CaptureQueriesContext(connection) as asked:
        assert admin_client.get(LIST).context["cl"].result_count == 1
    counts = [query["sql"] for query in asked if "COUNT(" in query["sql"]]
    assert [sql for sql in counts if "iclock_transaction" in sql] == []


def test_the_total_comes_from_the_counters_and_pages_end_where_they_get_slow():
    TransactionBlock.objects.create(block=9, live=10_000_000)
    pages = PunchPaginator(Transaction.objects.live().order_by("-id"), 100)
    assert (pages.count, pages.num_pages) == (10_000_000, 1000)
    with pytest.raises(EmptyPage):
        pages.page(1001)


def test_a_filtered_list_is_counted_up_to_a_bound(monkeypatch):
    monkeypatch.setattr("iclock.admin.punches.COUNTED_ROWS", 2)
    TransactionBlock.objects.create(block=9, live=10_000_000)
    for second in range(3):
        punch("7", dt.datetime(2024, 6, 26, 15, 46, second))
    assert PunchPaginator(Transaction.objects.live().filter(emp_code="7"), 100).count == 2
    assert PunchPaginator(Transaction.objects.live().filter(emp_code="8"), 100).count == 0


def test_deleting_a_terminal_keeps_its_punches(admin_client):
    terminal = Terminal.objects.create(sn="SN1", alias="Door")
    TerminalPresence.objects.create(terminal=terminal, since=timezone.now())
    kept = punch("7", dt.datetime(2024, 6, 26))
    admin_client.post(reverse("admin:iclock_terminal_delete", args=[terminal.pk]), {"post": "yes"})
    assert Terminal.objects.count() == 0
    assert listed(admin_client) == [kept.pk]


def test_a_terminal_keeps_its_serial_number(admin_client):
    terminal = Terminal.objects.create(sn="SN1", alias="Door")
    typed = {"sn": "SN2", "alias": "Gate", "area": 1, "time_zone": "UTC+05:30", "admission": "approved"}
    page = reverse("admin:iclock_terminal_change", args=[terminal.pk])
    typed |= {"heartbeat": 10, "transfer_time": "00:00", "transfer_interval": 1}
    admin_client.post(page, {**typed, "direction": "both", "strangers": "kept"})
    terminal.refresh_from_db()
    assert (terminal.sn, terminal.alias, terminal.time_zone) == ("SN1", "Gate", "UTC+05:30")


def test_what_a_unit_reports_is_not_typed(admin_client):
    terminal = Terminal.objects.create(sn="SN1", alias="Door", ip_address="10.0.0.5", fp_count=12)
    page = admin_client.get(reverse("admin:iclock_terminal_change", args=[terminal.pk]))
    typed = ["alias", "area", "time_zone", "admission", "is_attendance", "corrects_clock", "away_minutes"]
    typed += ["direction", "strangers", "remove_people", "heartbeat", "transfer_time", "transfer_interval"]
    assert sorted(page.context["adminform"].form.fields) == sorted(typed)
    assert [label in page.text for label in ("IP address:", "Fingerprints:", "10.0.0.5")] == [True, True, True]
    assert "Fingerprints:" not in admin_client.get("/admin/iclock/terminal/add/").text


def test_terminals_are_filtered_by_their_state(admin_client):
    online, silent = (Terminal.objects.create(sn=sn, alias=sn) for sn in ("SN1", "SN2"))
    TerminalPresence.objects.create(terminal=online, online=True, since=timezone.now(), last_activity=timezone.now())
    pages = {state: admin_client.get("/admin/iclock/terminal/", {"state": state}) for state in "014"}
    assert {state: list(page.context["cl"].result_list) for state, page in pages.items()} == {
        "0": [],
        "1": [online],
        "4": [silent],
    }


def test_quarantined_bytes_are_shown_in_hex_and_bounded(admin_client):
    now = timezone.now()
    seen = {"first_seen_at": now, "last_seen_at": now, "source": 1, "reason": "month 13"}
    raw = b"\xff\x00<" + b"\xaa" * 100_000
    record = QuarantinedRecord.objects.create(terminal_sn="SN1", raw=raw, digest=b"\x01" * 32, **seen)
    html = admin_client.get(reverse("admin:iclock_quarantinedrecord_change", args=[record.pk])).text
    assert f"ff 00 3c {'aa ' * 252}aa … (100003 bytes)" in html
