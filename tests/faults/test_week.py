"""A week in the life of ten terminals: what goes wrong is told once, and every punch is here in the end.

People punch every hour. Two workers visit what is due, the sweeps run, and mails go out, all by a clock that passes an
hour at a time: from Tuesday to Tuesday, with the end of summer time in Madrid on the Sunday between.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pytest

from devices.domain.identity import accept_unit
from devices.domain.schedule import claim_due
from devices.domain.sync import sync_device
from devices.models import Device, SyncRun
from devices.simulator import Close, Faults, SimulatedTerminal
from iclock.domain.alarm_mail import mail_alarms
from iclock.domain.alarms import check_away
from iclock.domain.commands import queue_commands
from iclock.models import Alarm, Terminal, TerminalCommand, TerminalPresence, Transaction
from tests.post import Inbox, mail_server
from zkbio.accounts.models import User
from zkbio.clock import ClockNote
from zkbio.mail import one_line

from .compressed import CompressedTime, compressed_time
from .visits import READ, a_device, a_spec, assert_left_usable, closing, ledger, stored

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

TUESDAY: Final = datetime(2035, 10, 23, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
HOURS: Final = 7 * 24
MADRID, KATHMANDU = "Europe/Madrid", "Asia/Kathmandu"
SUMMER, NEPAL = timedelta(hours=2), timedelta(hours=5, minutes=45)
Kind = Alarm.Kind


class Site:
    """One device and the unit at its address, which may become another one."""

    def __init__(self, unit: SimulatedTerminal, device: Device) -> None:
        self.unit = unit
        self.device = device
        self.units = [unit]

    @property
    def terminal(self) -> Terminal:
        return Terminal.objects.get(sn=self.unit.spec.serial)

    def people_punch(self) -> None:
        if self.unit.running:
            for code in ("1001", "1002", "1003"):
                self.unit.punch(code)

    def replace_unit(self, serial: str) -> None:
        self.unit.stop()
        spec = a_spec(serial, punches=5, utc_offset=SUMMER)
        self.unit = SimulatedTerminal(spec, port=self.unit.port)
        self.unit.start()
        self.units.append(self.unit)

    def set_clock_right(self, zone: str) -> None:
        self.unit.set_clock(datetime.now(ZoneInfo(zone)).replace(tzinfo=None))


class Week:
    """The ten sites, by their names."""

    def __init__(self, stack: ExitStack, clock: CompressedTime) -> None:
        self._stack = stack
        self._clock = clock
        self.sites = {
            "corrected": self._site("corrected"),
            "stubborn": self._site("stubborn", corrects_clock=False),
            "outage": self._site("outage"),
            "kathmandu": self._site("kathmandu", zone=KATHMANDU, offset=NEPAL),
            "full": self._site("full", punches=300, punch_capacity=400),
            "deleted": self._site("deleted"),
            "swapped": self._site("swapped"),
            "battery": self._site("battery", zone=KATHMANDU, offset=NEPAL, corrects_clock=False),
            "flaky": self._site("flaky", away_minutes=600),
            "night": self._site("night", quiet_from=time(22), quiet_until=time(6)),
        }

    def _site(
        self,
        serial: str,
        *,
        zone: str = MADRID,
        offset: timedelta = SUMMER,
        punches: int = 50,
        punch_capacity: int = 100_000,
        quiet_from: time | None = None,
        quiet_until: time | None = None,
        **terminal: object,
    ) -> Site:
        spec = a_spec(serial, punches=punches, punch_capacity=punch_capacity, utc_offset=offset)
        unit = self._stack.enter_context(SimulatedTerminal(spec))
        device = a_device(unit, interval=7_200, time_zone=zone, quiet_from=quiet_from, quiet_until=quiet_until)
        Terminal.objects.create(sn=serial, alias=serial, time_zone=zone, **{"corrects_clock": True, **terminal})
        return Site(unit, device)

    def live(self, hour: int) -> None:
        """An hour passes: people punch, what is due is visited, and whoever must be told is told."""
        self._clock.pass_by(HOUR)
        for site in self.sites.values():
            site.people_punch()
        for deed in DEEDS.get(hour, ()):
            deed(self.sites)
        self.poll()
        check_away()
        mail_alarms()

    def poll(self) -> None:
        with ThreadPoolExecutor(2) as workers:
            visits = [
                workers.submit(closing, sync_device, due, trigger=SyncRun.Trigger.SCHEDULE) for due in claim_due()
            ]
        for visit in visits:
            visit.result()


Sites = dict[str, Site]


def begin_outage(sites: Sites) -> None:
    sites["outage"].unit.stop()


def end_outage(sites: Sites) -> None:
    sites["outage"].unit.start()


def swap_unit(sites: Sites) -> None:
    """Right after a visit: what nobody read of the old unit went with it."""
    sync_device(sites["swapped"].device.pk, trigger=SyncRun.Trigger.COMMAND)
    sites["swapped"].replace_unit("newcomer")


def accept_new_unit(sites: Sites) -> None:
    device = sites["swapped"].device
    device.refresh_from_db()
    accept_unit(device, actor="the administrator")


def delete_log(sites: Sites) -> None:
    """At the unit's own menu, right after a visit, so that nothing is lost."""
    site = sites["deleted"]
    sync_device(site.device.pk, trigger=SyncRun.Trigger.COMMAND)
    site.unit.clear_log()


def ask_for_clearing(sites: Sites) -> None:
    administrator = User.objects.create_superuser("administrator")
    queue_commands([sites["full"].terminal], TerminalCommand.Kind.CLEAR_LOG, user=administrator)


def break_battery(sites: Sites) -> None:
    sites["battery"].unit.set_clock(datetime(2000, 1, 1))


def mend_battery(sites: Sites) -> None:
    sites["battery"].set_clock_right(KATHMANDU)


def stumble(sites: Sites) -> None:
    sites["flaky"].unit.faults = Faults(Close(command=READ, after=5, reset=True), Close(command=None, nth=9))


def set_stubborn_clock(sites: Sites) -> None:
    sites["stubborn"].set_clock_right(MADRID)


DEEDS: Final[dict[int, tuple[Callable[[Sites], None], ...]]] = {
    10: (stumble,),
    30: (begin_outage, stumble),
    41: (end_outage,),
    50: (swap_unit,),
    60: (delete_log, stumble),
    75: (accept_new_unit,),
    80: (break_battery,),
    91: (mend_battery,),
    110: (ask_for_clearing, stumble),
    140: (set_stubborn_clock,),
}
# In the order in which they begin: whose, what, and whether it is over at the end.
ALARMS: Final = [
    ("full", Kind.NEARLY_FULL, True),
    ("outage", Kind.AWAY, True),
    ("swapped", Kind.WRONG_UNIT, True),
    ("deleted", Kind.LOG_CLEARED, True),
    ("battery", Kind.CLOCK, True),
    ("stubborn", Kind.CLOCK, True),
]


def test_a_week_ends_with_every_punch_and_each_alarm_once() -> None:
    inbox = Inbox()
    with compressed_time(TUESDAY) as clock, mail_server(inbox), ExitStack() as stack:
        week = Week(stack, clock)
        for hour in range(HOURS):
            week.live(hour)
        week.poll()

        assert_every_punch_is_here(week)
        assert_each_alarm_came_once()
        assert_everybody_was_told_once(inbox)
        assert_nobody_is_called_absent_too_soon(week, clock.now())
        assert_odd_times_are_flagged(week)
        assert_the_night_was_quiet(week)


def assert_every_punch_is_here(week: Week) -> None:
    Device.objects.update(next_poll_at="2035-01-01T00:00Z")
    week.poll()
    for site in week.sites.values():
        for unit in site.units:
            assert (unit.spec.serial, stored(unit)) == (unit.spec.serial, ledger(unit))
        assert not site.unit.disabled
    assert_left_usable(week.sites["flaky"].unit)


def assert_each_alarm_came_once() -> None:
    told = Alarm.objects.order_by("id").values_list("terminal__sn", "kind", "closed_at")
    assert [(sn, kind, closed is not None) for sn, kind, closed in told] == ALARMS


def assert_everybody_was_told_once(inbox: Inbox) -> None:
    lines = [line for message in inbox.mails for line in message.get_content().splitlines()]
    for alarm in Alarm.objects.all():
        for end in filter(None, (one_line(alarm.sentence), one_line(alarm.ending))):
            of_it = [line for line in lines if end in line and f"({alarm.terminal.sn})" in line]
            assert len(of_it) == 1, end


def assert_nobody_is_called_absent_too_soon(week: Week, now: datetime) -> None:
    known = TerminalPresence.objects.values_list("terminal__sn", "complete_until")
    until = {sn: moment for sn, moment in known if moment is not None}
    assert len(until) == len(week.sites) + 1
    former = until.pop("swapped")
    assert TUESDAY + 51 * HOUR <= former < TUESDAY + 52 * HOUR  # when it was read last
    for sn, moment in until.items():
        assert now - timedelta(minutes=5) < moment <= now, sn


def assert_odd_times_are_flagged(week: Week) -> None:
    flagged = Transaction.objects.filter(terminal_sn="battery", clock_note=ClockNote.RESET)
    assert flagged.count() == sum(punch.time.year == 2000 for punch in week.sites["battery"].unit.ledger()) > 10
    doubtful = Transaction.objects.filter(terminal_sn="stubborn", clock_note=ClockNote.OFF)
    assert doubtful.count() > 10
    assert not Transaction.objects.filter(terminal_sn="kathmandu").exclude(clock_note=ClockNote.PLAIN).exists()


def assert_the_night_was_quiet(week: Week) -> None:
    """Only the first contact and the last, which was asked for, were at night; what is due by 22:00 comes in that hour
    here, where an hour passes at a time."""
    runs = SyncRun.objects.filter(device=week.sites["night"].device).order_by("id")
    by_day = [run.started_at.astimezone(ZoneInfo(MADRID)).hour for run in runs][1:-1]
    assert len(by_day) > 40
    assert set(by_day) <= set(range(6, 23))
