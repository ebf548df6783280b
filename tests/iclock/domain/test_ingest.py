"""One punch is one row, whoever brings it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Sum

from iclock.domain import ingest
from iclock.domain.ingest import Counts, record_punches
from iclock.models import QuarantinedRecord, Terminal, Transaction, TransactionBlock, TransactionSuperblock
from iclock.models.transaction import BLOCK_IDS, EARLIEST, LATEST
from iclock.punch import Punch, Reject, Source
from iclock.signals import punches_recorded
from personnel.models import Department, Employee
from zkbio.clock import ClockNote

pytestmark = pytest.mark.django_db(transaction=True)

NINE = datetime(2026, 3, 2, 9, 0, 0)


def day_of_punches(count: int) -> list[Punch]:
    return [Punch(str(100 + n % 7), NINE + timedelta(seconds=n), n % 2, 1) for n in range(count)]


def total_of_counters() -> int:
    """The same on both levels."""
    levels = (TransactionBlock.objects, TransactionSuperblock.objects)
    (total,) = {level.aggregate(total=Sum("live"))["total"] or 0 for level in levels}
    return int(total)


@pytest.fixture
def announced() -> Iterator[list[int]]:
    heard: list[int] = []

    def listen(*, new: int, **_: object) -> None:
        heard.append(new)

    punches_recorded.connect(listen)
    yield heard
    punches_recorded.disconnect(listen)


@pytest.mark.parametrize("count", [1, ingest.ARRAY_ROWS, ingest.ARRAY_ROWS + 1, ingest.ROWS_PER_TURN + 1])
def test_every_punch_is_one_row(terminal: Terminal, count: int) -> None:
    counts = record_punches(terminal, day_of_punches(count), source=Source.PULL)

    assert counts == Counts(new=count)
    assert Transaction.objects.count() == total_of_counters() == count


@pytest.mark.parametrize("count", [3, 300])
def test_a_replayed_upload_adds_no_row(terminal: Terminal, count: int) -> None:
    record_punches(terminal, day_of_punches(count), source=Source.PULL)

    counts = record_punches(terminal, [*reversed(day_of_punches(count + 1))], source=Source.PUSH)

    assert counts == Counts(new=1, duplicate=count)
    assert Transaction.objects.count() == count + 1


@pytest.mark.parametrize("count", [2, 300])
def test_the_same_record_twice_in_a_batch_is_one_row(terminal: Terminal, count: int) -> None:
    counts = record_punches(terminal, day_of_punches(count) * 2, source=Source.PULL)

    assert counts == Counts(new=count, duplicate=count)


@pytest.mark.parametrize("padding", [0, 300])
def test_a_row_keeps_what_the_terminal_said_and_the_instant_beside_it(terminal: Terminal, padding: int) -> None:
    odd = Punch("\\N00 7", datetime(2026, 7, 1, 8, 30, 15), 255, 15, "W\\1")

    record_punches(terminal, [odd, *day_of_punches(padding)], source=Source.PULL)

    row = Transaction.objects.get(emp_code="\\N00 7")
    assert row.punch_time == datetime(2026, 7, 1, 8, 30, 15)
    assert row.punched_at == datetime(2026, 7, 1, 6, 30, 15, tzinfo=UTC)
    assert (row.utc_offset, row.clock_note) == (120, ClockNote.PLAIN)
    assert (row.punch_state, row.verify_type, row.work_code) == (255, 15, "W\\1")
    assert (row.terminal_sn, row.terminal_alias, row.area_alias) == ("CKJF201260077", "Gate", "Not Authorized")
    assert (row.source, row.is_attendance) == (Source.PULL, True)


def test_an_hour_that_happened_twice_is_taken_as_the_first_and_flagged(terminal: Terminal) -> None:
    record_punches(terminal, [Punch("1", datetime(2026, 10, 25, 2, 30), 0, 1)], source=Source.PULL)

    row = Transaction.objects.get()
    assert (row.utc_offset, row.clock_note) == (120, ClockNote.AMBIGUOUS)
    assert row.punched_at == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_a_punch_of_somebody_unknown_is_theirs_as_soon_as_they_exist(terminal: Terminal) -> None:
    record_punches(terminal, [Punch("0042", NINE, 0, 1)], source=Source.PULL)
    assert Transaction.objects.select_related("emp").get().emp is None

    employee = Employee.objects.create(emp_code="0042", department=Department.objects.get(id=1))

    assert Transaction.objects.select_related("emp").get().emp == employee


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Punch("", NINE, 0, 1), "the user id has 0 characters; 1 to 24 are possible"),
        (Punch("7" * 25, NINE, 0, 1), "the user id has 25 characters; 1 to 24 are possible"),
        (Punch("1\0", NINE, 0, 1), "the user id holds characters that can't be printed"),
        (Punch("1", NINE, 40_000, 1), "state 40000 or verification 1 is out of range"),
        (Punch("1", NINE, 0, 1, "w" * 21), "the work code is longer than 20 characters or can't be printed"),
        (Punch("1", NINE, 0, 1, None, 40_000), "mask 40000 is out of range"),
        (Punch("1", NINE, 0, 1, None, None, math.nan), "the temperature is no number"),
        (Punch("1", NINE, 0, 1, None, None, math.inf), "the temperature is no number"),
        (Punch("1", NINE.replace(tzinfo=UTC), 0, 1), "the time carries an offset; a wall clock has none"),
        (Punch("1", datetime(9999, 12, 31, 23, 59, 59), 0, 1), "no terminal's clock shows the year 9999"),
        (Punch("1", datetime(2200, 1, 1), 0, 1), "no terminal's clock shows the year 2200"),
        (Punch("1", datetime(1969, 12, 31, 23, 59, 59), 0, 1), "no terminal's clock shows the year 1969"),
        (Punch("1", datetime(1, 1, 1), 0, 1), "no terminal's clock shows the year 1"),
    ],
)
def test_a_punch_that_fits_no_row_is_quarantined_and_its_neighbours_stay(
    terminal: Terminal, bad: Punch, reason: str
) -> None:
    counts = record_punches(terminal, [Punch("8", NINE, 0, 1), bad, Punch("9", NINE, 0, 1)], source=Source.PULL)

    assert counts == Counts(new=2, quarantined=1)
    assert QuarantinedRecord.objects.values_list("terminal_sn", "reason").get() == (terminal.sn, reason)


def test_clocks_that_began_anew_or_run_far_ahead_are_stored_and_flagged(terminal: Terminal) -> None:
    stamps = [EARLIEST, datetime(2000, 1, 1), datetime(2099, 12, 31, 23, 59, 59), LATEST - timedelta(seconds=1)]

    record_punches(terminal, [Punch("1", stamp, 0, 1) for stamp in stamps], source=Source.PULL)

    notes = Transaction.objects.order_by("punch_time").values_list("punch_time", "clock_note")
    flags = [ClockNote.PLAIN, ClockNote.RESET, ClockNote.FUTURE, ClockNote.FUTURE]
    assert list(notes) == list(zip(stamps, flags, strict=True))


@pytest.mark.parametrize("stamp", [EARLIEST - timedelta(seconds=1), LATEST])
def test_the_database_keeps_no_year_that_cant_be_loaded(terminal: Terminal, stamp: datetime) -> None:
    record_punches(terminal, [Punch("1", NINE, 0, 1)], source=Source.PULL)

    with pytest.raises(IntegrityError, match="iclock_transaction_calendar"):
        Transaction.objects.update(punch_time=stamp)


def test_the_same_undecodable_bytes_are_kept_once_and_counted(terminal: Terminal) -> None:
    rejects = [Reject(b"\x01\x02", "31 February"), Reject(b"\x03\x04", "31 February")]

    record_punches(terminal, [], source=Source.PULL, rejects=rejects)
    counts = record_punches(terminal, [], source=Source.PULL, rejects=rejects[:1])

    assert counts == Counts(quarantined=1)
    rows = QuarantinedRecord.objects.order_by("raw").values_list("raw", "times")
    assert [(bytes(raw), times) for raw, times in rows] == [(b"\x01\x02", 2), (b"\x03\x04", 1)]


def test_the_cursor_moves_with_the_last_rows_or_not_at_all(terminal: Terminal) -> None:
    def fail() -> None:
        raise LookupError("the lease is gone")

    with pytest.raises(LookupError):
        record_punches(terminal, day_of_punches(ingest.ROWS_PER_TURN + 1), source=Source.PULL, move_cursor=fail)

    assert Transaction.objects.count() == total_of_counters() == ingest.ROWS_PER_TURN


def test_the_cursor_moves_even_when_there_is_nothing_to_store(terminal: Terminal) -> None:
    moved: list[bool] = []

    record_punches(terminal, [], source=Source.PULL, move_cursor=lambda: moved.append(connection.in_atomic_block))

    assert moved == [True]


def test_the_door_refuses_to_be_opened_inside_somebody_elses_transaction(terminal: Terminal) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="takes its own transactions"):
        record_punches(terminal, day_of_punches(1), source=Source.PULL)


def test_new_punches_are_announced_after_the_commit(terminal: Terminal, announced: list[int]) -> None:
    record_punches(terminal, day_of_punches(4), source=Source.PULL)
    record_punches(terminal, day_of_punches(4), source=Source.PULL)

    assert announced == [4]


def test_upload_time_never_falls_with_the_id_even_if_the_servers_clock_is_set_back(terminal: Terminal) -> None:
    record_punches(terminal, day_of_punches(1), source=Source.PULL)
    future = datetime(2099, 1, 1, tzinfo=UTC)
    Transaction.objects.update(upload_time=future)

    record_punches(terminal, day_of_punches(2), source=Source.PULL)

    assert list(Transaction.objects.values_list("upload_time", flat=True)) == [future, future]


def test_the_rows_of_a_batch_get_their_ids_in_the_order_of_their_times(terminal: Terminal) -> None:
    record_punches(terminal, day_of_punches(300)[::-1], source=Source.PULL)

    times = list(Transaction.objects.order_by("id").values_list("punch_time", flat=True))
    assert times == sorted(times)


def test_a_tombstone_keeps_the_row_from_coming_back_and_leaves_the_counters(terminal: Terminal) -> None:
    record_punches(terminal, day_of_punches(3), source=Source.PULL)
    Transaction.objects.filter(emp_code="101").update(deleted_at=datetime(2026, 3, 3, tzinfo=UTC))

    counts = record_punches(terminal, day_of_punches(3), source=Source.PULL)

    assert counts == Counts(duplicate=3)
    assert Transaction.objects.live().count() == total_of_counters() == 2


def test_rows_that_are_deleted_for_good_leave_the_counters_too(terminal: Terminal) -> None:
    record_punches(terminal, day_of_punches(5), source=Source.PULL)

    Transaction.objects.filter(emp_code__in=["100", "101"]).delete()

    assert total_of_counters() == 3


def test_an_emptied_table_has_empty_counters(terminal: Terminal) -> None:
    record_punches(terminal, day_of_punches(5), source=Source.PULL)

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE iclock_transaction")

    assert total_of_counters() == 0


def test_writers_of_several_statements_take_turns_by_the_superblock(terminal: Terminal) -> None:
    """One goes on to other rows of a block that another holds: it must not hold the superblock that this one wants."""
    record_punches(terminal, day_of_punches(4 * BLOCK_IDS), source=Source.PULL)
    low, *_, high = (row.block for row in TransactionBlock.objects.filter(live=BLOCK_IDS).order_by("block"))
    barrier = Barrier(2)

    def bury(firsts: list[int]) -> None:
        barrier.wait(timeout=20)
        try:
            with transaction.atomic():
                for first in firsts:
                    rows = Transaction.objects.filter(id__range=(first, first + 9))
                    rows.update(deleted_at=datetime(2026, 3, 3, tzinfo=UTC))
        finally:
            connection.close()

    for _ in range(20):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(bury, [[low * BLOCK_IDS, high * BLOCK_IDS], [high * BLOCK_IDS + 10]]))
        Transaction.objects.exclude(deleted_at=None).update(deleted_at=None)
    assert total_of_counters() == 4 * BLOCK_IDS


def test_three_merges_of_the_same_keys_in_different_order_give_each_row_once(terminal: Terminal) -> None:
    punches = day_of_punches(6_000)
    orders = [punches, punches[::-1], punches[3_000:] + punches[:3_000]]
    barrier = Barrier(3)

    def merge(order: list[Punch]) -> int:
        barrier.wait(timeout=20)
        try:
            return record_punches(terminal, order, source=Source.PULL).new
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        new = sum(pool.map(merge, orders))

    assert new == Transaction.objects.count() == total_of_counters() == 6_000
