"""Who was away is visited as soon as it answers again; nobody else is asked sooner than it was."""

from __future__ import annotations

import resource
import selectors
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone
from pytest_django import Settings

from devices.domain import knocking
from devices.domain.knocking import in_turn, knock, who_accepts
from devices.domain.schedule import claim_due
from devices.domain.sync import sync_device
from devices.models import Device, SyncRun
from devices.simulator import Close, Faults, SimulatedTerminal
from iclock.models import Transaction

pytestmark = pytest.mark.django_db(transaction=True)

AddDevice = Callable[..., Device]


def visit(device: Device) -> SyncRun:
    run = sync_device(device.pk, trigger=SyncRun.Trigger.SCHEDULE)
    assert run is not None
    return run


@pytest.fixture
def away(device: Device, unit: SimulatedTerminal) -> Device:
    """Visited once; then its unit was switched off, and its back-off has become long."""
    visit(device)
    unit.stop()
    assert visit(device).error_code == "unreachable"
    Device.objects.update(failures=9, next_poll_at=timezone.now() + timedelta(hours=1))
    device.refresh_from_db()
    return device


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port of this machine at which nothing ever answers: whoever listens there has no room for anybody more."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = listening.getsockname()[1]
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def test_who_returns_is_visited_at_once(away: Device, unit: SimulatedTerminal) -> None:
    assert list(knock()) == []
    assert claim_due() == []

    unit.start()
    unit.punch("1001")

    assert list(knock()) == [away.pk]
    assert claim_due() == [away.pk]
    assert (visit(away).outcome, Transaction.objects.count()) == ("ok", 3_001)
    assert list(knock()) == []


def test_nothing_is_said_to_whoever_accepts(away: Device) -> None:
    with socket.create_server((away.host, away.port)) as listening:
        assert list(knock()) == [away.pk]
        caller, _ = listening.accept()
        with caller:
            caller.settimeout(5)
            assert caller.recv(1) == b""


def test_whoever_accepts_and_then_fails_keeps_its_back_off(device: Device, unit: SimulatedTerminal) -> None:
    unit.faults = Faults(Close(command=None, nth=1, times=None))
    assert visit(device).error_code == "broken_off"
    Device.objects.update(next_poll_at=timezone.now() + timedelta(hours=1))

    assert list(knock()) == []
    assert claim_due() == []


def test_the_last_visit_counts(away: Device, unit: SimulatedTerminal) -> None:
    unit.start()
    SyncRun.objects.create(
        device=away,
        trigger="schedule",
        started_at=timezone.now(),
        finished_at=timezone.now(),
        outcome="failed",
        error_code="comm_key",
    )

    assert list(knock()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"enabled": False},
        {"failures": 0},
        {"transport": "udp"},
        {"next_poll_at": Now() + timedelta(seconds=2)},
        {"lease_expires_at": Now() + timedelta(minutes=1)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_who_is_not_knocked_for(changes: dict[str, object], away: Device, unit: SimulatedTerminal) -> None:
    unit.start()
    Device.objects.update(**changes)

    assert list(knock()) == []


def test_quiet_hours_stay_quiet(away: Device, unit: SimulatedTerminal) -> None:
    now = timezone.now()
    begin, end = ((now + timedelta(hours=hours)).time() for hours in (-1, 1))
    Device.objects.update(quiet_from=begin, quiet_until=end)
    unit.start()

    assert list(knock()) == []

    Device.objects.update(quiet_from=end, quiet_until=begin)
    assert list(knock()) == [away.pk]


def test_an_address_that_is_not_allowed_any_more_is_not_dialled(
    away: Device, unit: SimulatedTerminal, settings: Settings
) -> None:
    unit.start()
    settings.DEVICE_NETWORKS = []

    assert list(knock()) == []


def test_an_expired_lease_is_no_visit(away: Device, unit: SimulatedTerminal) -> None:
    Device.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
    unit.start()

    assert list(knock()) == [away.pk]


def test_who_accepts_is_told_before_the_silent_ones_are_given_up(
    unit: SimulatedTerminal, silent_port: int, closed_port: int
) -> None:
    addresses = [("127.0.0.1", port) for port in (silent_port, closed_port, unit.port)]
    began = monotonic()

    accepting = who_accepts(addresses, seconds=1)

    assert next(accepting) == [("127.0.0.1", unit.port)]
    assert monotonic() - began < 0.9
    assert list(accepting) == []
    assert 0.9 < monotonic() - began < 3


@pytest.mark.parametrize("host", ["255.255.255.255", "fe80::1%nosuch"])
def test_an_address_that_can_not_be_dialled_keeps_nobody_else_away(host: str, unit: SimulatedTerminal) -> None:
    addresses = [(host, 4370), ("127.0.0.1", unit.port)]

    assert list(who_accepts(addresses, seconds=1)) == [[("127.0.0.1", unit.port)]]


def test_when_no_descriptor_is_left_the_rest_waits_and_some_are_left_to_others(
    unit: SimulatedTerminal, silent_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = max(int(each.name) for each in Path("/proc/self/fd").iterdir()) + 61
    addresses = [("127.0.0.1", unit.port), *[("127.0.0.1", silent_port)] * limit]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        with closing(who_accepts(addresses, seconds=1)) as accepting, ExitStack() as stack:
            assert next(accepting) == [("127.0.0.1", unit.port)]
            for _ in range(20):
                stack.enter_context(socket.socket())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert f"of {limit + 1} terminals: [Errno 24] Too many open files" in caplog.text


def test_no_database_connection_is_kept_while_nobody_answers(away: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bool] = []

    class Watched(selectors.PollSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            held.append(connection.connection is not None)
            return super().select(timeout)

    monkeypatch.setattr(selectors, "PollSelector", Watched)

    assert list(knock()) == []
    assert set(held) == {False}


def test_no_database_connection_is_kept_while_waiting(away: Device, unit: SimulatedTerminal, silent_port: int) -> None:
    unit.start()
    Device.objects.create(
        key="silent", name="Silent", host="127.0.0.1", port=silent_port, failures=1, next_poll_at=away.next_poll_at
    )
    SyncRun.objects.create(
        device=Device.objects.get(key="silent"),
        trigger="schedule",
        started_at=timezone.now(),
        finished_at=timezone.now(),
        outcome="failed",
        error_code="unreachable",
    )

    with closing(knock()) as answering:
        assert next(answering) == away.pk
        assert connection.connection is None


def test_all_get_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knocking, "MOST_AT_ONCE", 3)
    everybody = [Device(pk=pk) for pk in range(1, 9)]

    turns = [[device.pk for device in in_turn(everybody, turn=turn)] for turn in (300, 301, 302, 303)]

    assert turns == [[1, 4, 7], [2, 5, 8], [3, 6], [1, 4, 7]]
    assert in_turn(everybody[:3], turn=7) == everybody[:3]
    assert in_turn([], turn=7) == []
