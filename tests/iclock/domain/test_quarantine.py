"""Records that could not become punches: tried again, given to somebody, forgotten in the end."""

from __future__ import annotations

import hashlib
import struct
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.db.models import QuerySet
from django.utils import timezone

from devices import protocol
from iclock.domain import quarantine
from iclock.domain.ingest import record_punches
from iclock.domain.quarantine import Retried, assign, purge_released, retry
from iclock.models import QuarantinedRecord, Terminal, Transaction
from iclock.punch import Punch, Reject, Source, punch_to_bytes
from zkbio.accounts.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)

EIGHT = datetime(2026, 3, 2, 8)
STAMP = protocol.encode_time(EIGHT)
ROW_40 = protocol.PUNCH_40.pack(7, b"7", 1, STAMP, 0, bytes(8))
NOBODY_40 = protocol.PUNCH_40.pack(7, b"", 15, STAMP, 1, bytes(8))
ROW_16 = protocol.PUNCH_16.pack(7, STAMP, 1, 0, 0)
ROW_8 = protocol.PUNCH_8.pack(513, 1, STAMP, 0)
FEBRUARY_31 = 31 * 86_400 + 30 * 86_400
NEVER_8 = protocol.PUNCH_8.pack(513, 1, FEBRUARY_31, 0)
GOOD_LINE = b"7\t2026-03-02 08:00:00\t1\t0\t1\t0"
OPEN = QuarantinedRecord.objects.filter(released_at=None)


@pytest.fixture
def keep(terminal: Terminal) -> Any:
    """Put bytes into quarantine as if nothing had been able to read them."""

    def kept(*raws: bytes, source: Source = Source.PULL, of: Terminal | None = None) -> list[QuarantinedRecord]:
        record_punches(of or terminal, [], source=source, rejects=[Reject(raw, "not understood") for raw in raws])
        digests = [hashlib.sha256(raw).digest() for raw in raws]
        return [*QuarantinedRecord.objects.filter(digest__in=digests).order_by("id")]

    return kept


def everything() -> QuerySet[QuarantinedRecord]:
    return QuarantinedRecord.objects.all()


def stored() -> list[tuple[Any, ...]]:
    columns = ("terminal_sn", "emp_code", "punch_time", "punch_state", "verify_type", "source")
    return [*Transaction.objects.order_by("id").values_list(*columns)]


@pytest.mark.parametrize(
    ("raw", "source"),
    [
        (ROW_40, Source.PULL),
        (ROW_16, Source.PULL),
        (GOOD_LINE, Source.IMPORT),
        (b"EnNo\tMode\tIOMd\tDateTime\n07\t1\t0\t2026/03/02  08:00:00", Source.IMPORT),
        (punch_to_bytes(Punch("7", EIGHT, 0, 1)), Source.PUSH),
    ],
)
def test_what_can_be_read_by_now_becomes_a_punch_of_its_terminal_and_source(
    keep: Any, terminal: Terminal, raw: bytes, source: Source
) -> None:
    keep(raw, source=source)

    assert retry(everything(), actor="ada") == Retried(released=1, kept=0)
    assert stored() == [(terminal.sn, "7", EIGHT, 0, 1, source)]
    assert not OPEN.exists()
    assert retry(everything(), actor="ada") == Retried(released=0, kept=0)


@pytest.mark.parametrize(
    ("raw", "source", "reason"),
    [
        (
            ROW_8,
            Source.PULL,
            "it names only number 513 of its terminal, which others may have by now: say whose it was",
        ),
        (NEVER_8, Source.PULL, f"no calendar has the date of time {FEBRUARY_31}"),
        (NOBODY_40, Source.PULL, "the user id is empty, zero or no text"),
        (bytes(49), Source.PULL, "49 bytes are no row of a log; rows have 40, 16, 8"),
        (b"7\t2026-02-31 08:00:00", Source.IMPORT, "no calendar has the time 2026-02-31 08:00:00"),
        (b"\xff\xfe\0", Source.IMPORT, "fields with TABs between them: 1; an export has 2 to 8"),
        (b"7\t2026-03-02 08:00:00", Source.MANUAL, "nothing here reads records of manual"),
        (
            punch_to_bytes(Punch("7" * 25, EIGHT, 0, 1)),
            Source.PULL,
            "the user id has 25 characters; 1 to 24 are possible",
        ),
        (
            punch_to_bytes(Punch("7", EIGHT, 40_000, 1)),
            Source.PULL,
            "state 40000 or verification 1 is out of range",
        ),
    ],
)
def test_what_can_not_be_read_stays_with_the_reason_of_now(keep: Any, raw: bytes, source: Source, reason: str) -> None:
    keep(raw, source=source)

    assert retry(everything(), actor="ada") == Retried(released=0, kept=1)
    assert stored() == []
    assert OPEN.get().reason == reason


def test_what_the_door_itself_refused_is_read_again(terminal: Terminal) -> None:
    record_punches(terminal, [Punch("7\0", EIGHT, 0, 1)], source=Source.PULL)

    assert retry(everything(), actor="ada") == Retried(released=0, kept=1)
    assert OPEN.get().reason == "the user id holds characters that can't be printed"


def test_a_record_whose_punch_is_here_already_is_released(keep: Any, terminal: Terminal) -> None:
    record_punches(terminal, [Punch("7", EIGHT, 0, 1)], source=Source.PUSH)
    keep(ROW_40)

    assert retry(everything(), actor="ada") == Retried(released=1, kept=0)
    assert stored() == [(terminal.sn, "7", EIGHT, 0, 1, Source.PUSH)]


def test_many_records_of_several_terminals_go_in_batches(
    keep: Any, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "_AT_ONCE", 3)
    other = Terminal.objects.create(sn="OTHER", alias="Other")
    rows = [struct.pack("<H24sBIB8s", n, str(n).encode(), 1, STAMP, 0, bytes(8)) for n in range(1, 6)]
    for of in (terminal, other):
        keep(*rows, of=of)
    keep(ROW_8)

    assert retry(everything(), actor="ada") == Retried(released=10, kept=1)
    assert sorted({(sn, code) for sn, code, *_ in stored()}) == [
        (sn, str(n)) for sn in ("CKJF201260077", "OTHER") for n in range(1, 6)
    ]


def test_a_record_waits_until_its_terminal_is_back(keep: Any, terminal: Terminal) -> None:
    keep(ROW_40)
    Terminal.objects.all().delete()

    assert retry(everything(), actor="ada") == Retried(released=0, kept=1)
    assert OPEN.get().reason == "it can be read now, but its terminal is gone: add it again, then try again"
    Terminal.objects.create(sn=terminal.sn, alias="Gate")
    assert retry(everything(), actor="ada") == Retried(released=1, kept=0)


def test_the_same_bytes_read_again_stay_released(keep: Any) -> None:
    keep(ROW_40)
    retry(everything(), actor="ada")

    (record,) = keep(ROW_40)

    assert (record.times, record.released_at is None) == (2, False)


def test_the_trail_keeps_who_tried_which_records_again(keep: Any, terminal: Terminal) -> None:
    (record,) = keep(ROW_40)

    retry(everything(), actor="ada")
    retry(everything(), actor="ben")

    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.subject) == ("ada", "iclock.retry_quarantined", f"terminal {terminal.sn}")
    assert entry.detail == {"records": [record.pk]}


def test_a_punch_whose_record_can_not_be_released_is_not_stored(keep: Any) -> None:
    keep(ROW_40)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE iclock_quarantinedrecord ADD CONSTRAINT sealed CHECK (released_at IS NULL)")
        try:
            with pytest.raises(IntegrityError, match="sealed"):
                retry(everything(), actor="ada")
        finally:
            cursor.execute("ALTER TABLE iclock_quarantinedrecord DROP CONSTRAINT sealed")

    assert (stored(), OPEN.count()) == ([], 1)


def test_a_record_of_nobody_is_given_to_whom_a_human_names(keep: Any, terminal: Terminal) -> None:
    first, second = keep(ROW_8, NOBODY_40)

    assert assign(everything(), "42", actor="ada") == Retried(released=2, kept=0)
    assert sorted(stored()) == [(terminal.sn, "42", EIGHT, 0, 1, Source.PULL)]
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.subject) == ("ada", "iclock.assign_quarantined", f"terminal {terminal.sn}")
    assert entry.detail == {"emp_code": "42", "records": [first.pk, second.pk]}


@pytest.mark.parametrize("raw", [ROW_40, NEVER_8, bytes(9), punch_to_bytes(Punch("", EIGHT, 40_000, 1))])
def test_a_record_that_tells_its_person_or_no_time_is_given_to_nobody(keep: Any, raw: bytes) -> None:
    keep(raw)

    assert assign(everything(), "42", actor="ada") == Retried(released=0, kept=1)
    assert (stored(), OPEN.count(), AuditEntry.objects.count()) == ([], 1, 0)


def test_a_record_that_two_give_away_at_one_moment_is_given_once(keep: Any) -> None:
    keep(*(protocol.PUNCH_8.pack(n, 1, STAMP + n, 0) for n in range(300)))
    barrier = Barrier(2)

    def give(emp_code: str) -> Retried:
        barrier.wait(timeout=20)
        try:
            return assign(everything(), emp_code, actor=emp_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        done = [*pool.map(give, ["1", "2"])]

    assert sum(one.released for one in done) == 300 == Transaction.objects.count()
    assert len({code for _, code, *_ in stored()}) == 1


def test_released_records_are_forgotten_with_the_history_and_open_ones_never(
    keep: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "_ROWS_PER_TURN", 2)
    keep(*(bytes([n]) for n in range(6)))
    now = timezone.now()
    old, young = now - timedelta(days=31), now - timedelta(days=29)
    pks = [*everything().order_by("id").values_list("pk", flat=True)]
    times = [(None, old), (young, old), (old, young), *[(old, old)] * 3]
    for pk, (released, seen) in zip(pks, times, strict=True):
        QuarantinedRecord.objects.filter(pk=pk).update(released_at=released, last_seen_at=seen)

    assert purge_released() == 3
    assert [*everything().order_by("id").values_list("pk", flat=True)] == pks[:3]
    assert purge_released() == 0
