"""What follows from contacts with terminals that dial, and from there being none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from devices.models import Device
from iclock.domain import presence, push_contact
from iclock.domain.alarms import Kind, check_away
from iclock.domain.ingest import record_punches
from iclock.domain.push_admission import Caller, admit
from iclock.domain.push_contact import Block, digest_of, note_clock, note_heard, note_info, note_options, options_for
from iclock.lines import Info
from iclock.models import Alarm, PushCommand, PushPosition, PushState, Terminal, TerminalPresence
from iclock.punch import Punch, Source
from zkbio.launcher.processes import wait_until

SERIAL = "CKJF201260077"


@pytest.fixture
def unit(terminal: Terminal) -> Terminal:
    return come()


def come(serial: str = SERIAL) -> Terminal:
    admitted = admit(Caller(serial, "10.0.0.5"))
    assert admitted is not None
    return admitted


def earlier(table: str, column: str, seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = now() - make_interval(secs => %s)", [seconds])


def alarms() -> dict[str, bool]:
    """Which alarms there are, and whether they are open."""
    return {alarm.kind: alarm.closed_at is None for alarm in Alarm.objects.all()}


def test_a_unit_that_dials_is_online_by_its_own_doing_and_waited_for(unit: Terminal) -> None:
    note_heard(unit)
    known = TerminalPresence.objects.get()
    assert known.online
    assert known.expected
    assert known.push_time == known.last_activity is not None
    assert known.pull_time is None


def test_who_is_dialled_is_heard_by_the_pull_side(terminal: Terminal) -> None:
    presence.mark_online(terminal)
    known = TerminalPresence.objects.get()
    assert (known.pull_time, known.push_time) == (known.last_activity, None)


def test_contacts_in_quick_succession_are_written_once(unit: Terminal, django_assert_num_queries: Any) -> None:
    note_heard(unit)
    again = come()
    with django_assert_num_queries(0):
        note_heard(again)
    earlier("iclock_terminalpresence", "push_time", 28)
    again = come()
    with django_assert_num_queries(0):
        note_heard(again)
    earlier("iclock_terminalpresence", "push_time", 1)
    note_heard(come())
    assert timezone.now() - TerminalPresence.objects.get().push_time < timedelta(seconds=10)  # type: ignore[operator]


def test_of_a_unit_that_seldom_asks_each_contact_is_written(unit: Terminal) -> None:
    Terminal.objects.update(heartbeat=30)
    note_heard(come())
    before = TerminalPresence.objects.get().push_time
    note_heard(come())
    assert TerminalPresence.objects.get().push_time != before


def test_one_that_was_thought_to_be_away_is_online_with_its_next_request(unit: Terminal) -> None:
    note_heard(unit)
    TerminalPresence.objects.update(online=False)
    note_heard(come())
    assert TerminalPresence.objects.get().online


def test_a_request_from_elsewhere_is_noted_though_the_contact_is_not(unit: Terminal) -> None:
    note_heard(unit, "10.0.0.5")
    note_heard(come(), "10.0.0.6")
    assert PushState.objects.get().address == "10.0.0.6"


@pytest.mark.parametrize(
    ("heartbeat", "silent", "online"), [(10, 50, True), (10, 61, False), (60, 170, True), (60, 181, False)]
)
def test_a_unit_is_away_after_three_heartbeats_and_a_minute(
    unit: Terminal, heartbeat: int, silent: int, online: bool
) -> None:
    note_heard(unit)
    Terminal.objects.update(heartbeat=heartbeat)
    earlier("iclock_terminalpresence", "push_time", silent)
    swept = push_contact.sweep()
    assert (swept.gone, TerminalPresence.objects.get().online) == (0 if online else 1, online)


def test_who_was_dialled_since_is_not_away_because_it_does_not_dial(unit: Terminal) -> None:
    note_heard(unit)
    earlier("iclock_terminalpresence", "push_time", 3600)
    presence.mark_online(unit)
    assert push_contact.sweep().gone == 0


def test_the_alarm_of_being_away_comes_and_goes_as_with_units_that_are_dialled(unit: Terminal) -> None:
    note_heard(unit)
    earlier("iclock_terminalpresence", "push_time", 7200)
    push_contact.sweep()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE iclock_terminalpresence SET last_activity = now() - interval '2 h', since = now() - interval '2 h'"
        )
    check_away()
    assert alarms() == {"away": True}
    note_heard(come())
    check_away()
    assert alarms() == {"away": False}


def test_what_it_counts_and_which_algorithm_it_has_is_noted(unit: Terminal) -> None:
    note_info(unit, Info(firmware="Ver 8.0.4.3", users=12, fingers=7, punches=345, finger_version="10", faces=2))
    known = Terminal.objects.get()
    assert (known.fw_ver, known.user_count, known.fp_count) == ("Ver 8.0.4.3", 12, 7)
    assert (known.transaction_count, known.face_count, known.fp_version) == (345, 2, "10")


def test_what_it_tells_again_costs_nothing(unit: Terminal, django_assert_num_queries: Any) -> None:
    told = Info(firmware="Ver 8.0.4.3", users=12, fingers=7, punches=345, finger_version="10")
    note_info(unit, told)
    again = come()
    with django_assert_num_queries(0):
        note_info(again, told)


def test_how_it_is_made_is_noted_with_its_capacities_and_none_of_its_secrets(unit: Terminal) -> None:
    note_options(
        unit,
        {
            "~DeviceName": "SpeedFace-V5L",
            "FWVersion": "Ver 1.2.3",
            "PushVersion": "Ver 2.4.1",
            "~Platform": "ZAM180_TFT",
            "~MaxUserCount": "100",
            "~MaxAttLogCount": "20",
            "~MaxFingerCount": "60",
            "MaxFaceCount": "3000",
            "~ZKFPVersion": "10",
            "UserCount": "9500",
            "~PIN2Width": "14",
            "pushcommkey": "topsecret",
            "DevicePassword": "1234",
            "Odd\0": "a\0b",
        },
    )
    known = Terminal.objects.get()
    assert (known.terminal_name, known.fw_ver, known.push_ver) == ("SpeedFace-V5L", "Ver 1.2.3", "Ver 2.4.1")
    assert (known.platform, known.fp_version) == ("ZAM180_TFT", "10")
    assert (known.user_capacity, known.transaction_capacity) == (10_000, 200_000)
    assert (known.fp_capacity, known.face_capacity) == (6_000, 3_000)
    assert alarms() == {"nearly_full": True}
    kept = PushState.objects.get().options
    assert (kept["PIN2Width"], kept["Odd"]) == ("14", "ab")
    assert "topsecret" not in str(kept)
    assert "1234" not in str(kept)


def test_options_told_later_come_to_those_told_before(unit: Terminal) -> None:
    note_options(unit, {"~PIN2Width": "9", "Language": "69"})
    note_options(come(), {"~PIN2Width": "14"})
    assert PushState.objects.get().options == {"PIN2Width": "14", "Language": "69"}


def test_capacities_that_a_unit_tells_as_they_are_are_taken_as_they_are(unit: Terminal) -> None:
    note_options(unit, {"~MaxUserCount": "10000", "~MaxAttLogCount": "200000"})
    known = Terminal.objects.get()
    assert (known.user_capacity, known.transaction_capacity) == (10_000, 200_000)


def test_however_much_a_unit_tells_no_more_than_so_much_is_kept(unit: Terminal) -> None:
    note_options(unit, {f"Option{number}": "x" * 5_000 for number in range(1_000)})
    kept = PushState.objects.get().options
    assert len(kept) == 200
    assert {len(value) for value in kept.values()} == {200}


# The zone, a moment in UTC, and how many minutes east of it the terminal's clock is then.
OFFSETS = [
    ("Asia/Kolkata", "2026-07-01T00:00", 330),
    ("Asia/Kathmandu", "2026-07-01T00:00", 345),
    ("Pacific/Marquesas", "2026-07-01T00:00", -570),
    ("Pacific/Tongatapu", "2026-07-01T00:00", 780),
    ("UTC+05:30", "2026-07-01T00:00", 330),
    ("Europe/Madrid", "2026-03-29T00:59", 60),
    ("Europe/Madrid", "2026-03-29T01:00", 120),
    ("Europe/Madrid", "2026-10-25T00:59", 120),
    ("Europe/Madrid", "2026-10-25T01:00", 60),
    ("America/New_York", "2026-03-08T06:59", -300),
    ("America/New_York", "2026-03-08T07:00", -240),
    ("Australia/Lord_Howe", "2026-04-04T14:59", 660),
    ("Australia/Lord_Howe", "2026-04-04T15:00", 630),
]


@pytest.mark.parametrize(("zone_name", "moment", "minutes"), OFFSETS)
def test_a_unit_is_told_the_offset_of_its_zone_at_the_moment_of_asking(
    unit: Terminal, zone_name: str, moment: str, minutes: int
) -> None:
    unit.time_zone = zone_name
    assert block(unit, now=datetime.fromisoformat(moment).replace(tzinfo=UTC)).offset_minutes == minutes


def block(unit: Terminal, now: datetime | None = None) -> Block:
    return options_for(unit, SERIAL, "2.4.1", now=now)


def test_a_unit_is_told_how_often_to_call_and_when_to_send(unit: Terminal) -> None:
    unit.heartbeat, unit.transfer_time, unit.transfer_interval = 15, "01:00;13:00", 3
    told = block(unit)
    assert (told.delay, told.trans_times, told.trans_interval, told.push_ver) == (15, "01:00;13:00", 3, "2.4.1")


def test_a_unit_continues_where_it_was_and_sends_from_the_start_what_nobody_knows_of(unit: Terminal) -> None:
    PushPosition.objects.update_or_create({"stamps": {"ATTLOG": "82983982", "OPERLOG": "77"}}, terminal=unit)
    assert block(come()).stamps == {"ATTPHOTO": "0", "BIODATA": "0"}


def test_what_no_column_holds_does_not_come_into_one(unit: Terminal) -> None:
    push_contact.note_handshake(unit, "digest", "2.4\0.1\n")
    note_info(unit, Info(firmware="Ver\0 8", finger_version="1\0000000"))
    known = Terminal.objects.get()
    assert (known.push_ver, known.fw_ver, known.fp_version) == ("2.4.1", "Ver 8", "10000")


def test_the_code_of_the_platform_is_the_same_at_every_contact(unit: Terminal) -> None:
    code = push_contact.registry_code_of(unit)
    assert len(code) == 32
    assert push_contact.registry_code_of(come()) == code == push_contact.registry_code_of(unit)


def test_a_handshake_leaves_the_unit_where_it_was_in_its_tables(unit: Terminal) -> None:
    stamps = {"ATTLOG": "82983982", "OPERLOG": "77"}
    PushPosition.objects.update_or_create({"stamps": stamps}, terminal=unit)
    asked = come()
    push_contact.note_handshake(asked, digest_of(block(asked)), "2.4.1")
    state = PushState.objects.get()
    assert PushPosition.objects.get().stamps == stamps
    assert state.shook_hands_at is not None
    assert state.told_digest == digest_of(block(come()))
    assert Terminal.objects.get().push_ver == "2.4.1"


def test_the_digest_changes_with_the_offset_and_the_heartbeat_and_not_with_the_positions(unit: Terminal) -> None:
    summer, winter = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
    before = digest_of(block(unit, summer))
    assert digest_of(block(unit, winter)) != before
    PushPosition.objects.create(terminal=unit, stamps={"ATTLOG": "1"})
    assert digest_of(block(unit, summer)) == before
    unit.heartbeat = 11
    assert digest_of(block(unit, summer)) != before


def punched(drift: float, *, count: int = 1) -> tuple[list[Punch], datetime]:
    """Punches of now by a clock that is ahead by so many seconds in Madrid, and when they arrived."""
    arrived = datetime(2026, 7, 1, 10, tzinfo=UTC)
    wall = datetime(2026, 7, 1, 12) + timedelta(seconds=drift)
    return [Punch(str(1 + n), wall - timedelta(seconds=n), 0, 1) for n in range(count)], arrived


def tell(unit: Terminal, drift: float, *, count: int = 1) -> None:
    punches, arrived = punched(drift, count=count)
    note_clock(unit, punches, arrived=arrived)


def steady(unit: Terminal, *, since: int = 3600, heard: int = 10) -> Terminal:
    """Online for so long by the time the punches arrive, and heard of so lately."""
    note_heard(unit)
    arrived = datetime(2026, 7, 1, 10, tzinfo=UTC)
    TerminalPresence.objects.update(
        since=arrived - timedelta(seconds=since), push_time=arrived - timedelta(seconds=heard)
    )
    return come()


def test_a_clock_that_is_ahead_is_told_of_though_the_unit_came_just_now(unit: Terminal) -> None:
    tell(unit, 200)
    assert alarms() == {"clock": True}
    assert TerminalPresence.objects.get().clock_drift == 200


def test_a_clock_that_is_behind_is_told_of_when_the_unit_was_there_all_the_time(unit: Terminal) -> None:
    tell(steady(unit), -200)
    assert alarms() == {"clock": True}
    assert TerminalPresence.objects.get().clock_drift == -200


@pytest.mark.parametrize(("since", "heard"), [(300, 10), (3600, 90)])
def test_what_comes_late_after_a_break_says_nothing_of_the_clock(unit: Terminal, since: int, heard: int) -> None:
    tell(steady(unit, since=since, heard=heard), -200)
    assert alarms() == {}
    assert TerminalPresence.objects.get().clock_drift is None


def test_what_was_asked_for_again_says_nothing_of_the_clock(unit: Terminal) -> None:
    PushCommand.objects.create(terminal=unit, kind="query_attlog", state="done", sent_at=timezone.now())
    tell(steady(unit), -86_400)
    assert alarms() == {}


def test_a_post_of_many_punches_says_nothing_of_the_clock_behind_or_a_little_ahead(unit: Terminal) -> None:
    tell(steady(unit), -200, count=6)
    tell(steady(unit), 200, count=6)
    assert alarms() == {}


def test_a_clock_that_is_right_again_ends_the_alarm(unit: Terminal) -> None:
    tell(steady(unit), -200)
    tell(steady(unit), -2)
    assert alarms() == {"clock": False}


def test_a_reading_that_says_the_same_is_not_written_each_time(unit: Terminal, django_assert_num_queries: Any) -> None:
    tell(steady(unit), -1)
    again = steady(unit)
    with django_assert_num_queries(0):
        tell(again, -2)
    with django_assert_num_queries(1):
        tell(again, -9)


def test_punches_of_the_future_are_told_of_until_a_day_passed_without_any(unit: Terminal) -> None:
    tell(unit, 299, count=6)
    assert Kind.FUTURE not in alarms()
    tell(unit, 301, count=6)
    assert alarms() == {"future": True}
    earlier("iclock_pushstate", "future_at", 86_000)
    assert push_contact.sweep().ended == 0
    earlier("iclock_pushstate", "future_at", 87_000)
    assert push_contact.sweep().ended == 1
    assert alarms() == {"future": False}


def test_two_places_are_one_again_an_hour_after_the_last_move(unit: Terminal) -> None:
    for address in ("10.0.0.5", "10.9.0.5", "10.0.0.5"):
        note_heard(come(), address)
    assert alarms() == {"two_places": True}
    earlier("iclock_pushstate", "moved_at", 3500)
    assert push_contact.sweep().ended == 0
    earlier("iclock_pushstate", "moved_at", 3700)
    assert push_contact.sweep().ended == 1


@pytest.mark.django_db
def test_pending_units_that_come_no_more_are_forgotten() -> None:
    for serial in ("IDLE", "KNOCKS"):
        admit(Caller(serial, "10.0.0.5"))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE iclock_terminal SET created_at = now() - interval '8 days'")
        cursor.execute("UPDATE iclock_terminalpresence SET last_activity = now() - interval '8 days', push_time = NULL")
    admit(Caller("KNOCKS", "10.0.0.5"))
    assert push_contact.sweep().forgotten == 1
    assert Terminal.objects.get().sn == "KNOCKS"
    earlier("iclock_terminalpresence", "last_activity", 8 * 86_400)
    assert push_contact.sweep().forgotten == 1


@pytest.mark.django_db(transaction=True)
def test_no_terminal_that_is_more_than_a_pending_knock_is_ever_forgotten() -> None:
    serials = ["PUNCHED", "DIALLED", "APPROVED", "BLOCKED"]
    units = {serial: admit(Caller(serial, "10.0.0.5")) or Terminal.objects.get(sn=serial) for serial in serials}
    Terminal.objects.create(sn="ENTERED", alias="By hand", admission="pending")
    record_punches(units["PUNCHED"], [Punch("1", datetime(2026, 1, 1), 0, 1)], source=Source.PULL)
    Device.objects.create(key="gate", name="Gate", host="10.0.0.9", terminal=units["DIALLED"])
    for serial in ("APPROVED", "BLOCKED"):
        Terminal.objects.filter(sn=serial).update(admission=serial.lower())
    with connection.cursor() as cursor:
        cursor.execute("UPDATE iclock_terminal SET created_at = now() - interval '900 days'")
    earlier("iclock_terminalpresence", "last_activity", 900 * 86_400)
    with override_settings(PUSH_PENDING_DAYS=1):
        assert push_contact.sweep().forgotten == 0
    assert Terminal.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_whoever_approves_a_unit_while_it_is_about_to_be_forgotten_keeps_it() -> None:
    admit(Caller("NEW1", "10.0.0.5"))
    earlier("iclock_terminalpresence", "last_activity", 900 * 86_400)
    approving = connection.copy()
    approving.set_autocommit(False)

    def forget() -> int:
        try:
            return push_contact.sweep().forgotten
        finally:
            connection.close()

    try:
        with approving.cursor() as cursor, ThreadPoolExecutor(1) as pool:
            cursor.execute("UPDATE iclock_terminal SET admission = 'approved'")
            forgotten = pool.submit(forget)
            assert wait_until(somebody_waits_for_a_lock, 10)
            approving.commit()
            assert forgotten.result(10) == 0
    finally:
        approving.close()
    assert Terminal.objects.get().admission == "approved"


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return bool(cursor.fetchone()[0])
