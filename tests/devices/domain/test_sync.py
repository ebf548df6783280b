"""A visit to a device stores every punch once, says what went wrong in words, and leaves the terminal usable."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from devices import protocol
from devices.domain import lease, memory
from devices.domain.dialling import Bounds
from devices.domain.memory import needs_download
from devices.domain.sync import read_whole_log, sync_device
from devices.driver.session import Sizes
from devices.models import Device, SyncRun
from devices.simulator import (
    Close,
    CountOff,
    Counts,
    Fault,
    Faults,
    Garbage,
    Latency,
    PunchAfter,
    ShortSizes,
    Silent,
    SimPunch,
    SimulatedTerminal,
    SimUser,
    TerminalSpec,
    bad_punch_row,
)
from iclock.models import QuarantinedRecord, Terminal, TerminalPresence, Transaction

pytestmark = pytest.mark.django_db(transaction=True)

READ = protocol.CMD_READ_BUFFER
READS_OF_TABLES = protocol.CMD_PREPARE_BUFFER


def visit(device: Device) -> SyncRun:
    run = sync_device(device.id, trigger=SyncRun.Trigger.COMMAND)
    assert run is not None
    return run


def counts(run: SyncRun) -> tuple[int, int, int, int, int]:
    return run.announced, run.known, run.new, run.duplicate, run.quarantined


def stored() -> set[tuple[str, datetime]]:
    return set(Transaction.objects.values_list("emp_code", "punch_time"))


def ledger(unit: SimulatedTerminal) -> set[tuple[str, datetime]]:
    return {(punch.user_id, punch.time) for punch in unit.ledger()}


def test_the_first_visit_brings_the_whole_log_and_the_terminal(device: Device, unit: SimulatedTerminal) -> None:
    run = visit(device)

    assert (run.outcome, run.error, counts(run)) == ("ok", "", (3_000, 0, 3_000, 0, 0))
    assert stored() == ledger(unit)
    terminal = Terminal.objects.with_state().get()
    assert (terminal.sn, terminal.alias, terminal.ip_address) == ("CKJF201260077", "Gate", "127.0.0.1")
    assert (terminal.terminal_name, terminal.fw_ver) == ("K40/ID", "Ver 6.60 Apr 28 2017")
    assert (terminal.user_count, terminal.transaction_count, terminal.state) == (30, 3_000, "1")


def test_an_unmoved_counter_downloads_nothing(device: Device, unit: SimulatedTerminal) -> None:
    visit(device)
    read = unit.commands().count(READS_OF_TABLES)

    run = visit(device)

    assert (run.outcome, counts(run)) == ("unchanged", (0, 0, 0, 0, 0))
    assert unit.commands().count(READS_OF_TABLES) == read


def test_a_known_prefix_is_not_decoded_again(device: Device, unit: SimulatedTerminal) -> None:
    visit(device)
    unit.punch("1001", at=datetime(2026, 3, 3, 8))

    assert counts(visit(device)) == (3_001, 3_000, 1, 0, 0)
    assert stored() == ledger(unit)


def test_a_log_that_was_cleared_and_refilled_to_the_same_count_is_read_within_a_day(
    device: Device, unit: SimulatedTerminal
) -> None:
    visit(device)
    unit.clear_log()
    unit.fill(SimPunch("1001", datetime(2026, 4, 1) + timedelta(minutes=n)) for n in range(3_000))
    Device.objects.update(log_read_at=timezone.now() - memory.FULL_READ_EVERY)

    assert counts(visit(device)) == (3_000, 0, 3_000, 0, 0)
    assert Transaction.objects.count() == 6_000


def test_a_full_log_that_drops_its_oldest_rows_is_read_at_every_visit(add_device: Callable[..., Device]) -> None:
    spec = TerminalSpec(serial="RING1", punch_capacity=100)
    with SimulatedTerminal(spec) as unit:
        device = add_device(unit)
        unit.fill(SimPunch("7", datetime(2026, 3, 2) + timedelta(minutes=n)) for n in range(100))
        visit(device)
        unit.fill(SimPunch("7", datetime(2026, 3, 3) + timedelta(minutes=n)) for n in range(30))

        assert counts(visit(device)) == (100, 70, 30, 0, 0)
        assert stored() == ledger(unit)


def test_a_log_that_wraps_costs_no_ids(add_device: Callable[..., Device]) -> None:
    with SimulatedTerminal(TerminalSpec(serial="RING1", punch_capacity=100)) as unit:
        device = add_device(unit)
        unit.fill(SimPunch("7", datetime(2026, 3, 2) + timedelta(minutes=n)) for n in range(100))
        visit(device)
        for n in range(5):
            unit.fill([SimPunch("7", datetime(2026, 3, 3) + timedelta(minutes=n))])
            visit(device)

    ids = list(Transaction.objects.values_list("id", flat=True))
    assert ids == list(range(ids[0], ids[0] + 105))


def test_a_recycled_uid_gives_nobody_the_punches_of_its_former_owner(add_device: Callable[..., Device]) -> None:
    """Rows of 8 bytes carry the uid alone: those read before are never translated again."""
    old, new = SimUser(1, "101", "Old"), SimUser(1, "202", "New")
    spec = TerminalSpec(serial="OLD8", user_width=28, punch_width=8, users=(old,), punch_capacity=60)
    with SimulatedTerminal(spec) as unit:
        device = add_device(unit)
        unit.fill(SimPunch("101", datetime(2026, 3, 2) + timedelta(minutes=n)) for n in range(60))
        visit(device)
        unit.delete_user(1)
        unit.add_user(new)
        unit.fill([SimPunch("202", datetime(2026, 3, 3))])
        Device.objects.update(log_read_at=timezone.now() - memory.FULL_READ_EVERY)

        assert counts(visit(device)) == (60, 59, 1, 0, 0)
        assert stored() == ledger(unit)
        assert Transaction.objects.filter(emp_code="202").count() == 1


@pytest.mark.parametrize(
    ("count", "free", "capacity", "wanted"),
    [
        (3_000, 97_000, 100_000, False),
        (3_001, 96_999, 100_000, True),
        (2_999, 97_001, 100_000, True),
        (3_000, 0, 100_000, True),
        (3_000, 5, 3_000, True),
        (3_000, 5, 0, True),
    ],
)
def test_what_the_counter_says_about_downloading(count: int, free: int, capacity: int, wanted: bool) -> None:
    now = timezone.now()
    device = Device(log_width=40, log_bytes=3_000 * 40, log_read_at=now - timedelta(hours=23))

    assert needs_download(device, Sizes(0, 0, 0, count, capacity, free), now) is wanted


def test_an_empty_terminal_is_not_asked_for_its_log(add_device: Callable[..., Device]) -> None:
    with SimulatedTerminal(TerminalSpec(serial="EMPTY1")) as unit:
        device = add_device(unit)

        assert [visit(device).outcome, visit(device).outcome] == ["ok", "unchanged"]
        assert READS_OF_TABLES not in unit.commands()


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (Silent(command=protocol.CMD_CONNECT), "timeout", "stopped answering for 1 s"),
        (Close(command=READ, after=30_000), "broken_off", "closed the connection in the middle of an answer"),
        (Close(command=READ, after=30_000, reset=True), "broken_off", "broke the connection"),
        (Close(command=protocol.CMD_GET_FREE_SIZES, after=5), "broken_off", "closed the connection in the middle"),
        (Garbage(command=protocol.CMD_GET_FREE_SIZES), "protocol", "a web server answers (HTTP)"),
        (ShortSizes(times=1), "protocol", "short answer about its sizes"),
        (CountOff(times=4), "miscount", "counts 3001 rows but delivered"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Fault) else "",
)
def test_a_fault_is_one_sentence_on_the_run_and_the_next_visit_has_everything_once(
    device: Device, unit: SimulatedTerminal, fault: Fault, code: str, words: str
) -> None:
    unit.faults = Faults(fault)

    run = visit(device)

    assert (run.outcome, run.error_code, counts(run)) == ("failed", code, (0, 0, 0, 0, 0))
    assert words in run.error
    assert "\n" not in run.error
    assert Transaction.objects.count() == 0
    unit.faults = Faults()
    assert counts(visit(device)) == (3_000, 0, 3_000, 0, 0)
    assert stored() == ledger(unit)
    assert not unit.disabled


def test_a_wrong_comm_key_is_one_try_and_a_back_off(add_device: Callable[..., Device]) -> None:
    with SimulatedTerminal(TerminalSpec(serial="KEY1", comm_key=4711)) as unit:
        device = add_device(unit, comm_key=1)

        run = visit(device)

        assert (run.outcome, run.error_code) == ("failed", "comm_key")
        assert unit.commands().count(protocol.CMD_AUTH) == 1
        device.refresh_from_db()
        assert device.failures == 1
        assert device.next_poll_at > timezone.now() + timedelta(seconds=device.interval)


def test_a_closed_port_is_one_sentence(db: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    device = Device.objects.create(key="gone", name="Gone", host="127.0.0.1", port=port)

    assert visit(device).error == (
        f"127.0.0.1:{port} can't be reached (Connection refused): is that its address, and is it on?"
    )


def test_an_address_outside_the_networks_of_terminals_is_not_dialled(db: None) -> None:
    device = Device.objects.create(key="far", name="Far", host="8.8.8.8")

    run = visit(device)

    assert (run.error_code, "outside the networks of terminals" in run.error) == ("address", True)


def test_bad_rows_are_quarantined_and_their_neighbours_stored(device: Device, unit: SimulatedTerminal) -> None:
    february_31 = bad_punch_row("impossible date", user_id="1001")
    nobody = bad_punch_row("empty user id")
    for row in (february_31, nobody):
        unit.punch_raw(row)

    run = visit(device)

    assert counts(run) == (3_002, 0, 3_000, 0, 2)
    assert {bytes(raw) for raw in QuarantinedRecord.objects.values_list("raw", flat=True)} == {february_31, nobody}
    assert stored() == ledger(unit)


def test_a_punch_during_the_read_is_read_too_or_next_time(device: Device, unit: SimulatedTerminal) -> None:
    unit.faults = Faults(PunchAfter(user_id="1001", command=READ))

    visit(device)
    visit(device)

    assert len(ledger(unit)) == 3_001
    assert stored() == ledger(unit)


def test_another_unit_at_the_address_stores_nothing(
    device: Device, unit: SimulatedTerminal, caplog: pytest.LogCaptureFixture
) -> None:
    visit(device)
    unit.options["~SerialNumber"] = "OTHER9"
    unit.punch("1001", at=datetime(2026, 3, 3))

    run = visit(device)

    assert run.error_code == "identity"
    assert "Another unit answers at 127.0.0.1, but this device is CKJF201260077: nothing was read." in run.error
    assert "The unit that answers as device gate at 127.0.0.1 is OTHER9." in caplog.messages
    assert run.error.endswith("in the list of devices, or with ./script/manage accept_unit gate.")
    assert Transaction.objects.count() == 3_000
    assert Terminal.objects.count() == 1


def test_two_devices_cannot_be_one_terminal(add_device: Callable[..., Device], unit: SimulatedTerminal) -> None:
    with SimulatedTerminal(
        TerminalSpec(serial="CKJF201260077", punches=(SimPunch("9", datetime(2026, 1, 1)),))
    ) as twin:
        visit(add_device(unit))
        run = visit(add_device(twin, key="twin"))

    assert run.error_code == "identity"
    assert "The unit that answers at 127.0.0.1 is read as another device already." in run.error
    assert Transaction.objects.count() == 3_000


def test_a_busy_device_is_left_to_whoever_has_it(device: Device, unit: SimulatedTerminal) -> None:
    with lease.hold(device.id):
        assert sync_device(device.id, trigger=SyncRun.Trigger.COMMAND) is None

    assert unit.commands() == []


def test_a_worker_that_lost_its_lease_moves_no_cursor(device: Device, unit: SimulatedTerminal) -> None:
    class TakenOver(Meanwhile):
        action = staticmethod(lambda: Device.objects.update(lease_token=99))

    unit.faults = Faults(TakenOver(command=protocol.CMD_GET_FREE_SIZES))

    with pytest.raises(lease.LeaseLostError):
        sync_device(device.id, trigger=SyncRun.Trigger.COMMAND)

    device.refresh_from_db()
    assert (device.log_bytes, device.lease_token, SyncRun.objects.count()) == (0, 99, 0)


def test_a_terminal_that_goes_and_returns_is_logged_once_each(
    device: Device, unit: SimulatedTerminal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="iclock")
    caplog.set_level(logging.INFO, logger="devices")
    visit(device)
    unit.stop()
    for _ in range(3):
        visit(device)
    unit.start()
    for _ in range(2):
        visit(device)

    lines = [record.getMessage() for record in caplog.records if "Terminal" in record.getMessage()]
    assert [line.split(":")[0] for line in lines] == [
        "Terminal CKJF201260077 (Gate) is online.",
        "Terminal CKJF201260077 (Gate) is offline",
        "Terminal CKJF201260077 (Gate) is online.",
    ]
    assert TerminalPresence.objects.get().online


def test_the_clocks_drift_is_measured_in_the_terminals_zone(
    add_device: Callable[..., Device], unit: SimulatedTerminal
) -> None:
    unit.set_clock(timezone.now().replace(tzinfo=None) + timedelta(hours=5, minutes=30, seconds=90))
    device = add_device(unit, time_zone="Asia/Kolkata")

    drift = visit(device).drift

    assert drift is not None
    assert abs(drift - 90) <= 2
    assert Terminal.objects.get().time_zone == "Asia/Kolkata"


def test_one_dead_terminal_does_not_disturb_the_others(
    add_device: Callable[..., Device], unit: SimulatedTerminal
) -> None:
    with SimulatedTerminal(TerminalSpec(serial="DEAD1")) as dead:
        dead.faults = Faults(Silent(times=None))
        bad, good = add_device(dead, key="dead"), add_device(unit)

        assert [visit(bad).outcome, visit(good).outcome] == ["failed", "ok"]


@pytest.mark.parametrize(("year", "drift"), [(2099, 2**31 - 1), (2000, None)])
def test_a_clock_that_is_decades_off_is_told_as_far_as_the_column_goes(
    device: Device, unit: SimulatedTerminal, year: int, drift: int | None
) -> None:
    unit.set_clock(datetime(year, 1, 1))

    run = visit(device)

    assert run.outcome == "ok"
    assert run.drift == drift if drift else -(2**31) < run.drift < 0
    assert stored() == ledger(unit)


def test_a_server_clock_that_was_set_back_does_not_end_the_daily_read(device: Device, unit: SimulatedTerminal) -> None:
    visit(device)
    Device.objects.update(log_read_at=timezone.now() + timedelta(days=400))

    assert counts(visit(device)) == (3_000, 3_000, 0, 0, 0)


def test_a_blocked_terminal_is_not_read(device: Device, unit: SimulatedTerminal) -> None:
    visit(device)
    Terminal.objects.update(admission=Terminal.Admission.BLOCKED)
    unit.punch("1001", at=datetime(2026, 3, 3))
    asked = len(unit.commands())

    run = visit(device)

    assert (run.error_code, len(unit.commands())) == ("blocked", asked)
    assert Transaction.objects.count() == 3_000


def test_a_blocked_terminal_stores_nothing_at_its_first_contact_either(device: Device, unit: SimulatedTerminal) -> None:
    Terminal.objects.create(sn="CKJF201260077", alias="Known", admission=Terminal.Admission.BLOCKED)

    assert visit(device).error_code == "blocked"
    assert Transaction.objects.count() == 0


class Meanwhile(Fault):
    """Somebody does something while the terminal counts its rows."""

    action: Callable[[], object]

    def counts(self, counts: Counts) -> Counts:
        type(self).action()
        connection.close()
        return counts


def test_a_device_whose_address_is_corrected_in_its_first_visit_is_not_bound_to_the_wrong_unit(
    device: Device, unit: SimulatedTerminal
) -> None:
    class Corrected(Meanwhile):
        action = staticmethod(lambda: Device.objects.update(port=1))

    unit.faults = Faults(Corrected(command=protocol.CMD_GET_FREE_SIZES))

    with pytest.raises(lease.LeaseLostError):
        sync_device(device.id, trigger=SyncRun.Trigger.COMMAND)

    device.refresh_from_db()
    assert (device.terminal, Transaction.objects.count(), Terminal.objects.count()) == (None, 0, 0)


def test_what_the_database_refuses_is_a_failed_run_in_words_and_is_tried_again(
    device: Device, unit: SimulatedTerminal
) -> None:
    visit(device)
    unit.punch("1001", at=datetime(2026, 3, 3))

    class Deleted(Meanwhile):
        action = staticmethod(lambda: Terminal.objects.all().delete())

    unit.faults = Faults(Deleted(command=protocol.CMD_GET_FREE_SIZES))

    run = visit(device)

    assert (run.outcome, run.error_code) == ("failed", "storage")
    assert run.error.startswith("Nothing was lost, but storing failed: insert or update on table")
    unit.faults = Faults()
    assert counts(visit(device)) == (3_001, 0, 1, 3_000, 0)
    assert stored() == ledger(unit)


def test_who_has_little_patience_makes_no_device_fail(device: Device, unit: SimulatedTerminal) -> None:
    visit(device)
    Device.objects.update(timeout=10)
    unit.faults = Faults(Latency(seconds=0.6))

    with lease.hold(device.pk) as held:
        error = read_whole_log(held, bounds=Bounds(1.0)).error

    assert "took longer than 1 s in all" in str(error)
    device.refresh_from_db()
    assert (device.failures, TerminalPresence.objects.get().online) == (0, True)


def test_a_visit_that_was_taken_over_marks_nobody_offline(device: Device, unit: SimulatedTerminal) -> None:
    visit(device)

    class TakenOver(Meanwhile):
        action = staticmethod(lambda: Device.objects.update(lease_token=F("lease_token") + 1))

    unit.faults = Faults(TakenOver(command=protocol.CMD_GET_FREE_SIZES), Close(command=protocol.CMD_GET_FREE_SIZES))

    with pytest.raises(lease.LeaseLostError):
        visit(device)

    assert TerminalPresence.objects.get().online is True
