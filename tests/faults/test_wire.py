"""Faults of the wire (rows 1 to 12, 14) and what concerns reading of identity, keys and locks (29 to 31, 33, 40 to 43).

Each test plays a fault, sees it end in a sentence, and wants after one good visit the rows to be the terminal's ledger.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Barrier

import psycopg2
import pytest
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.functions import Now
from django.test import override_settings

from devices import protocol
from devices.domain.disabling import check_locked
from devices.domain.identity import accept_unit
from devices.domain.lease import LeaseLostError
from devices.domain.schedule import claim_due
from devices.models import Device
from devices.simulator import (
    Close,
    CountOff,
    Drip,
    Fault,
    Faults,
    ForeignReply,
    ForeignSession,
    Garbage,
    HugeFrame,
    LateReply,
    Reboot,
    RefuseKey,
    RowWidth,
    ShortSizes,
    Silent,
    SimPunch,
    SimulatedTerminal,
    SimUser,
    bad_punch_row,
)
from devices.simulator.rows import BadRow
from devices.simulator.state import Table
from iclock.domain.ingest import record_punches
from iclock.models import Alarm, QuarantinedRecord, Terminal, Transaction
from iclock.punch import Punch, Source

from .visits import (
    GENERATIONS,
    READ,
    SIZES,
    Gate,
    a_device,
    a_log,
    a_spec,
    assert_a_sentence,
    assert_left_usable,
    assert_one_good_cycle_brings_all,
    closing,
    database_url,
    ledger,
    polled,
    stored,
    visit,
)

pytestmark = pytest.mark.django_db(transaction=True)

PAUSE = ExpressionWrapper(F("next_poll_at") - Now(), output_field=DurationField())
MORNINGS = [datetime(2026, 4, 1 + n, 8) for n in range(5)]

both_transports = pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
all_generations = pytest.mark.parametrize("widths", GENERATIONS, ids=lambda widths: f"{widths[0]}-{widths[1]}")


class Announces(Fault):
    """The answer to the request for a table announces almost 4 GB."""

    def packets(self, packets: list[protocol.Packet]) -> list[protocol.Packet]:
        return [packet._replace(data=b"\0" + b"\xf0\xff\xff\xff" * 2 + bytes(4)) for packet in packets]


class DropsLastRow(Fault):
    """A table comes with one row less than the terminal counts."""

    def table(self, name: Table, rows: bytes, width: int) -> bytes:
        return rows[:-width]


def fails_and_heals(fault: Fault, code: str, *, udp: bool = False, widths: tuple[int, int] = (72, 40)) -> None:
    with polled(a_spec(widths=widths), udp=udp) as (device, unit):
        unit.faults = Faults(fault)

        assert_a_sentence(visit(device), code)

        assert stored(unit) == []
        assert assert_one_good_cycle_brings_all(device, unit).new == 3_000


@all_generations
def test_row_1_a_fin_in_mid_chunk(widths: tuple[int, int]) -> None:
    fails_and_heals(Close(command=READ, after=10_000), "broken_off", widths=widths)


@all_generations
def test_row_2_a_reset_in_mid_chunk(widths: tuple[int, int]) -> None:
    fails_and_heals(Close(command=READ, after=10_000, reset=True), "broken_off", widths=widths)


@both_transports
@pytest.mark.parametrize("command", [protocol.CMD_CONNECT, SIZES, READ])
def test_row_3_it_accepts_and_never_answers(udp: bool, command: int) -> None:
    fails_and_heals(Silent(command=command, times=None), "timeout", udp=udp)


@override_settings(DEVICE_SESSION_SECONDS=2)
def test_row_4_it_drips() -> None:
    began = time.monotonic()
    fails_and_heals(Drip(command=READ, size=1024, seconds=0.2), "timeout")
    assert time.monotonic() - began < 15  # 24 s is what the drip alone would take


@both_transports
@pytest.mark.parametrize("command", [protocol.CMD_CONNECT, SIZES, READ])
def test_row_5_garbage_for_a_frame(udp: bool, command: int) -> None:
    with polled(udp=udp) as (device, unit):
        unit.faults = Faults(Garbage(command=command))

        assert_a_sentence(visit(device))

        assert_one_good_cycle_brings_all(device, unit)


@pytest.mark.parametrize(
    "fault",
    [HugeFrame(command=SIZES), HugeFrame(command=READ), Announces(command=protocol.CMD_PREPARE_BUFFER)],
    ids=["frame", "chunk", "table"],
)
def test_row_6_four_gigabytes_are_refused_before_memory_is_taken(fault: Fault) -> None:
    with polled() as (device, unit):
        unit.faults = Faults(fault)
        tracemalloc.start()
        try:
            run = visit(device)
            _now, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert_a_sentence(run)
        assert most < 20_000_000
        assert_one_good_cycle_brings_all(device, unit)


@both_transports
@pytest.mark.parametrize(
    "fault",
    [
        CountOff(by=1),
        CountOff(by=-1),
        DropsLastRow(command=protocol.CMD_PREPARE_BUFFER, times=None),
        RowWidth(width=49),
        RowWidth(width=22),
    ],
    ids=["one more counted", "one less counted", "one less delivered", "49 bytes", "22 bytes"],
)
def test_row_7_announced_is_not_delivered(udp: bool, fault: Fault) -> None:
    with polled(udp=udp) as (device, unit):
        unit.faults = Faults(fault)

        assert_a_sentence(visit(device), "miscount")

        assert unit.commands().count(protocol.CMD_PREPARE_BUFFER) == 2, "a miscount is read again once"
        assert stored(unit) == []
        assert_one_good_cycle_brings_all(device, unit)


def test_row_7_a_short_answer_about_the_sizes_is_not_an_empty_log() -> None:
    fails_and_heals(ShortSizes(), "protocol")


def test_row_8_one_impossible_date_in_100_000() -> None:
    bad = bad_punch_row("impossible date", user_id="1001")
    with polled(a_spec(punches=50_000), timeout=10) as (device, unit):
        unit.spec = replace(unit.spec, punch_capacity=200_000)
        unit.punch_raw(bad)
        unit.fill(a_log(49_999, start=datetime(2026, 4, 2)))

        run = assert_one_good_cycle_brings_all(device, unit)

        assert (run.announced, run.new, run.quarantined) == (100_000, 99_999, 1)
        record = QuarantinedRecord.objects.get()
        assert (bytes(record.raw), "no calendar" in record.reason) == (bad, True)


@both_transports
@pytest.mark.parametrize("widths", GENERATIONS[1:], ids=["16", "8"])
def test_row_8_an_impossible_date_in_old_generations(widths: tuple[int, int], udp: bool) -> None:
    with polled(a_spec(widths=widths), udp=udp) as (device, unit):
        unit.punch_raw(bad_punch_row("impossible date", user_id="1001", uid=1, width=widths[1]))

        assert assert_one_good_cycle_brings_all(device, unit).quarantined == 1


@both_transports
@pytest.mark.parametrize("kind", ["empty user id", "user id 0", "nul user id", "invalid utf-8"])
def test_row_9_a_user_id_that_is_none(kind: BadRow, udp: bool) -> None:
    with polled(udp=udp) as (device, unit):
        unit.punch_raw(row := bad_punch_row(kind))

        assert assert_one_good_cycle_brings_all(device, unit).quarantined == 1

        assert bytes(QuarantinedRecord.objects.get().raw) == row


@pytest.mark.parametrize("widths", GENERATIONS[1:], ids=["16", "8"])
def test_row_9_user_id_0_in_old_generations(widths: tuple[int, int]) -> None:
    with polled(a_spec(widths=widths)) as (device, unit):
        unit.punch_raw(bad_punch_row("user id 0", width=widths[1]))

        assert assert_one_good_cycle_brings_all(device, unit).quarantined == 1


def test_row_9_a_user_id_of_all_24_bytes_is_a_person() -> None:
    with polled() as (device, unit):
        unit.fill([SimPunch("123456789012345678901234", datetime(2026, 5, 1, 9))])

        assert assert_one_good_cycle_brings_all(device, unit).quarantined == 0


@both_transports
@all_generations
def test_row_10_the_same_record_twice_in_a_download(widths: tuple[int, int], udp: bool) -> None:
    with polled(a_spec(widths=widths), udp=udp) as (device, unit):
        unit.fill(a_log(500))

        run = assert_one_good_cycle_brings_all(device, unit)

        assert (run.announced, run.new, run.duplicate) == (3_500, 3_000, 500)


@all_generations
def test_row_11_the_whole_log_again(widths: tuple[int, int]) -> None:
    with polled(a_spec(widths=widths)) as (device, unit):
        visit(device)
        ids = list(Transaction.objects.order_by("id").values_list("id", flat=True))
        unit.clear_log()
        unit.fill(reversed(a_log(3_000)))
        Device.objects.update(log_read_at=None)

        assert assert_one_good_cycle_brings_all(device, unit).new == 0

        assert list(Transaction.objects.order_by("id").values_list("id", flat=True)) == ids


@both_transports
@pytest.mark.parametrize("command", [SIZES, READ])
@pytest.mark.parametrize("kind", [ForeignSession, ForeignReply, LateReply])
def test_row_12_an_answer_to_somebody_else(kind: type[Fault], command: int, udp: bool) -> None:
    fails_and_heals(kind(command=command), "timeout", udp=udp)


def test_row_14_three_merges_of_the_same_keys_in_different_order() -> None:
    """Three pollers on one terminal at once: leases are politeness. The device's address is moved under their feet."""
    everybody_has_read = Barrier(3)

    class Together(Fault):
        def packets(self, packets: list[protocol.Packet]) -> list[protocol.Packet]:
            everybody_has_read.wait(timeout=30)
            return packets

    log = a_log(6_000)
    orders = [log, log[::-1], log[3_000:] + log[:3_000]]
    with ExitStack() as running, ThreadPoolExecutor(3) as pool:
        units = [running.enter_context(SimulatedTerminal(a_spec(punches=0))) for _ in orders]
        device = a_device(units[0], timeout=30)
        visits = []
        for unit, order in zip(units, orders, strict=True):
            unit.fill(order)
            unit.faults = Faults(Together(command=protocol.CMD_FREE_DATA))
            Device.objects.update(port=unit.port, lease_expires_at=None)
            visits.append(pool.submit(closing, visit, device))
            until_asked(unit, READ)
        errors = [each.exception(timeout=60) for each in visits]

        assert [type(error) for error in errors] == [LeaseLostError, LeaseLostError, type(None)]
        assert stored(units[0]) == ledger(units[2])
        assert_one_good_cycle_brings_all(device, units[2])


def test_row_14_three_sources_bring_the_same_keys_at_once() -> None:
    terminal = Terminal.objects.create(sn="ROW14", alias="Door")
    log = [Punch(punch.user_id, punch.time, 0, 1) for punch in a_log(6_000)]
    orders = {Source.PULL: log, Source.PUSH: log[::-1], Source.IMPORT: log[3_000:] + log[:3_000]}
    together = Barrier(3)

    def merge(source: Source) -> int:
        together.wait(timeout=30)
        return record_punches(terminal, orders[source], source=source).new

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(lambda source: closing(merge, source), orders)) == 6_000

    rows = Transaction.objects.values_list("emp_code", "punch_time")
    assert sorted(rows) == sorted((punch.emp_code, punch.punch_time) for punch in log)


def until_asked(unit: SimulatedTerminal, command: int) -> None:
    deadline = time.monotonic() + 30
    while command not in unit.commands():
        assert time.monotonic() < deadline


@both_transports
def test_row_29_another_unit_at_the_address(udp: bool) -> None:
    with polled(udp=udp) as (device, unit):
        visit(device)
        unit.stop()
        with SimulatedTerminal(a_spec("OTHER9", punches=50), port=unit.port) as other:
            for _ in range(3):
                assert_a_sentence(visit(device), "identity")
            assert_left_usable(other)
            assert protocol.CMD_PREPARE_BUFFER not in other.commands()
            assert alarms(unit) == [("wrong_unit", True)]
        assert stored(other) == []
        assert Terminal.objects.count() == 1
        unit.start()
        unit.punch("1001", at=datetime(2026, 4, 1))

        assert_one_good_cycle_brings_all(device, unit)

        assert alarms(unit) == [("wrong_unit", False)]


def alarms(unit: SimulatedTerminal) -> list[tuple[str, bool]]:
    """The kinds of all alarms there ever were of the unit, and whether they are open."""
    of_unit = Alarm.objects.filter(terminal__sn=unit.spec.serial).exclude(kind="nearly_full").order_by("id")
    return [(alarm.kind, alarm.closed_at is None) for alarm in of_unit]


@both_transports
def test_row_29_the_unit_was_replaced_and_the_new_one_is_accepted(udp: bool) -> None:
    with polled(udp=udp) as (device, unit):
        visit(device)
        unit.stop()
        with SimulatedTerminal(a_spec("OTHER9", punches=50), port=unit.port) as other:
            visit(device)
            accept_unit(Device.objects.get(), actor="somebody")

            assert_one_good_cycle_brings_all(device, other)

        assert (len(stored(unit)), len(stored(other))) == (3_000, 50)
        assert alarms(unit) == [("wrong_unit", False)]


@both_transports
def test_row_30_two_units_with_one_serial(udp: bool) -> None:
    """Only the one that was there first is read; which is the second is said once."""
    with polled(udp=udp) as (device, unit), SimulatedTerminal(a_spec(punches=0)) as twin:
        visit(device)
        twin.fill([SimPunch("9999", MORNINGS[1])])
        second = a_device(twin, udp=udp, key="second")

        for _ in range(3):
            assert_a_sentence(visit(second), "identity")
            unit.punch("1001")
            assert_one_good_cycle_brings_all(device, unit)

        assert alarms(unit) == [("twin", True)]
        assert_left_usable(twin)
        second.delete()
        assert alarms(unit) == [("twin", False)]


@all_generations
def test_row_31_a_log_that_rolled_over_deletes_no_row(widths: tuple[int, int]) -> None:
    with polled(a_spec(widths=widths, punch_capacity=3_000)) as (device, unit):
        for start in (MORNINGS[1], MORNINGS[2], MORNINGS[3]):
            visit(device)
            unit.fill(a_log(2_000, start=start))

        assert_one_good_cycle_brings_all(device, unit)

        assert (unit.counts().punches, len(stored(unit))) == (3_000, 9_000)
        assert alarms(unit) == [], "each visit found some of what the last one had read"


@all_generations
def test_row_31_a_log_that_overran_deletes_no_row_and_is_told_once(widths: tuple[int, int]) -> None:
    with polled(a_spec(widths=widths, punch_capacity=3_000)) as (device, unit):
        visit(device)
        unit.fill(a_log(4_000, start=MORNINGS[1]))
        for _ in range(3):
            visit(device)

        assert (len(stored(unit)), alarms(unit)) == (6_000, [("log_overrun", False)])
        alarm = Alarm.objects.get(kind="log_overrun")
        assert "none of its 3000 punches" in alarm.sentence


@all_generations
def test_row_31_a_log_that_was_cleared_elsewhere_deletes_no_row_and_is_told_once(widths: tuple[int, int]) -> None:
    with polled(a_spec(widths=widths)) as (device, unit):
        visit(device)
        unit.clear_log()
        unit.fill(a_log(10, start=MORNINGS[1]))
        for _ in range(3):
            visit(device)

        assert (len(stored(unit)), alarms(unit)) == (3_010, [("log_cleared", False)])
        assert "held 3000 punches when it was read last and now holds 10" in Alarm.objects.get().sentence
        assert_one_good_cycle_brings_all(device, unit)


def test_row_31_what_could_not_be_stored_of_a_cleared_log_is_told_with_it_not_before() -> None:
    with polled() as (device, unit):
        visit(device)
        unit.clear_log()
        unit.fill(a_log(10, start=MORNINGS[1]))
        unit.faults = Faults(Close(command=protocol.CMD_PREPARE_BUFFER))
        visit(device)
        assert alarms(unit) == []
        unit.faults = Faults()
        visit(device)

        assert alarms(unit) == [("log_cleared", False)]


@all_generations
def test_row_31_a_factory_reset_deletes_no_row(widths: tuple[int, int]) -> None:
    with polled(a_spec(widths=widths)) as (device, unit):
        visit(device)
        unit.clear_data()
        assert_one_good_cycle_brings_all(device, unit)
        unit.add_user(SimUser(1, "2001", "Somebody else with the same uid"))
        unit.fill(SimPunch("2001", MORNINGS[1] + timedelta(seconds=n)) for n in range(100))

        assert assert_one_good_cycle_brings_all(device, unit).new == 100

        assert len(stored(unit)) == 3_100
        assert alarms(unit) == [("log_cleared", False)]


def test_row_33_a_process_that_is_killed_while_a_unit_is_disabled_leaves_word() -> None:
    """The next contact enables the unit; when it comes late, somebody is told."""
    with polled() as (device, unit):
        visit(device)
        unit.faults = Faults(gate := Gate(command=protocol.CMD_USER_WRQ))
        doomed = subprocess.Popen(
            [sys.executable, "-c", CREATES_A_USER, str(device.pk)],
            cwd=settings.BASE_DIR,
            env={**os.environ, "DATABASE_URL": database_url()},
        )
        try:
            assert gate.reached.wait(timeout=60)
            doomed.send_signal(signal.SIGKILL)
            doomed.wait(timeout=30)
        finally:
            doomed.kill()
            doomed.wait()
            gate.opened.set()
        assert unit.disabled
        assert Device.objects.filter(disabled_at__lte=Now()).count() == 1
        Device.objects.update(lease_expires_at=Now(), disabled_at=Now() - timedelta(minutes=3))
        check_locked()
        assert alarms(unit) == [("locked", True)]
        unit.faults = Faults()

        assert visit(device).error == ""
        assert not unit.disabled
        check_locked()
        assert alarms(unit) == [("locked", False)]
        assert unit.punch("1001") is not None


CREATES_A_USER = """
import sys

import django

django.setup()

from devices.domain import lease, live_changes
from devices.domain.dialling import Bounds
from devices.driver.users import UserFields

with lease.hold(int(sys.argv[1])) as held:
    live_changes.create_user("77", UserFields(name="Ana"), actor="test")(held, Bounds(60))
"""


@pytest.mark.parametrize(
    "fault", [Close(), Close(reset=True), Close(after=5), Reboot()], ids=["fin", "reset", "mid-frame", "reboot"]
)
def test_row_33_a_fault_at_any_command_leaves_the_terminal_usable(fault: Fault) -> None:
    with polled(a_spec(widths=(28, 8))) as (device, unit):
        for nth in range(1, 60):
            unit.faults = Faults(replace(fault, nth=nth))
            before = len(unit.commands())
            visit(device)
            assert_left_usable(unit)
            assert set(stored(unit)) <= set(ledger(unit))
            unit.punch("1001", at=MORNINGS[1] + timedelta(minutes=nth))
            if len(unit.commands()) - before < nth:
                break
        else:
            pytest.fail("the visit never came to its end")

        assert nth > 8
        assert_one_good_cycle_brings_all(device, unit)


@both_transports
def test_row_40_a_wrong_key_is_tried_once_per_back_off(udp: bool) -> None:
    with polled(a_spec(comm_key=4711), udp=udp, comm_key=4711, interval=60) as (device, unit):
        visit(device)
        unit.punch("1001", at=MORNINGS[1])
        unit.spec = replace(unit.spec, comm_key=815)
        tried = unit.commands().count(protocol.CMD_AUTH)
        for failures in range(1, 5):
            Device.objects.update(next_poll_at=Now())
            for device_id in claim_due():
                assert_a_sentence(visit(Device.objects.get(id=device_id)), "comm_key")
            assert claim_due() == []
            assert unit.commands().count(protocol.CMD_AUTH) == tried + failures
            pause = Device.objects.annotate(pause=PAUSE).get().pause
            assert pause > timedelta(seconds=60 * 2**failures * 0.85)
        unit.spec = replace(unit.spec, comm_key=4711)

        assert_one_good_cycle_brings_all(device, unit)


def test_row_40_a_unit_that_suddenly_wants_a_key() -> None:
    with polled() as (device, unit):
        unit.faults = Faults(RefuseKey())

        assert_a_sentence(visit(device), "comm_key")

        assert unit.commands().count(protocol.CMD_AUTH) == 1
        assert_one_good_cycle_brings_all(device, unit)


def test_row_41_a_tenth_that_is_dead_delays_nobody() -> None:
    """With fewer threads than dead terminals the healthy are all done while the dead are still waited for."""
    with ExitStack() as running, ThreadPoolExecutor(3) as pool:
        units = [running.enter_context(SimulatedTerminal(a_spec(f"ROW41-{n}", punches=20))) for n in range(40)]
        dead, healthy = units[::10], [unit for n, unit in enumerate(units) if n % 10]
        devices = {a_device(unit, timeout=60).id: unit for unit in units}
        for unit in dead:
            unit.faults = Faults(Silent(times=None))
        Device.objects.filter(key__in=[unit.spec.serial.lower() for unit in dead]).update(failures=1)

        visits = {id_: pool.submit(closing, visit, Device.objects.get(id=id_)) for id_ in claim_due()}
        done = [visits[id_] for id_, unit in devices.items() if unit in healthy]
        hanging = [visits[id_] for id_, unit in devices.items() if unit in dead]

        assert wait(done, timeout=40).not_done == set()
        assert [each.done() for each in hanging] == [False] * 4
        assert [each.result().outcome for each in done] == ["ok"] * 36
        for unit in dead:
            unit.stop()
        for each in hanging:
            assert_a_sentence(each.result(timeout=40))
        for unit in dead:
            unit.start()
            assert_one_good_cycle_brings_all(Device.objects.get(port=unit.port), unit)


@contextmanager
def locked(table: str) -> Iterator[psycopg2.extensions.connection]:
    """The table in another session's hands."""
    facts = connection.get_connection_params()
    holder = psycopg2.connect(
        **{name: facts[name] for name in ("dbname", "user", "password", "host", "port") if name in facts}
    )
    try:
        holder.cursor().execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield holder
    finally:
        holder.close()


def test_row_43_a_locked_table_is_waited_for() -> None:
    with polled() as (device, unit), ThreadPoolExecutor(1) as pool:
        with locked("iclock_transaction") as holder:
            run = pool.submit(closing, visit, device)
            until_blocked(holder)
            assert not run.done()
        assert run.result(timeout=30).new == 3_000

        assert_one_good_cycle_brings_all(device, unit)


def until_blocked(holder: psycopg2.extensions.connection) -> None:
    deadline = time.monotonic() + 30
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            pid = holder.info.backend_pid
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))", [pid])
            if cursor.fetchone()[0]:
                return
    pytest.fail("nobody wanted the table")


def test_row_43_a_table_locked_for_too_long_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    options = connection.settings_dict["OPTIONS"]
    with polled() as (device, unit), ThreadPoolExecutor(1) as pool:
        monkeypatch.setitem(options, "options", "-c lock_timeout=300ms")
        with locked("iclock_transaction"):
            run = pool.submit(closing, visit, device)
            try:
                words = run.result(timeout=30).error
            except DatabaseError as error:
                words = str(error)
        monkeypatch.undo()

        assert "lock timeout" in words
        assert stored(unit) == []
        assert_one_good_cycle_brings_all(device, unit)
