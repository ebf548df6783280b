"""One request at a time per terminal, over threads and processes; others go on meanwhile; who hangs up makes room."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from devices.domain import live
from devices.domain.dialling import Bounds
from devices.domain.lease import Lease, hold
from devices.domain.live import CallerGoneError, OccupiedError, talk, visit, visit_each
from devices.driver.errors import StoppedError
from devices.driver.session import TerminalSession
from devices.models import Device
from devices.simulator import Latency, Silent, SimulatedTerminal, TerminalSpec
from tests.devices.api.conftest import Ask
from tests.devices.api.web_process import web_process
from zkbio.accounts.domain.tokens import issue_token
from zkbio.accounts.models import User
from zkbio.launcher.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[3]


def clock(_device: Device, session: TerminalSession) -> Any:
    return session.clock()


def stays() -> bool:
    return False


@pytest.fixture
def units(add_device: Callable[..., Device]) -> Iterator[list[SimulatedTerminal]]:
    """Two terminals that turn away whoever comes while somebody else has the session."""
    with ExitStack() as stack:
        units = [
            stack.enter_context(SimulatedTerminal(TerminalSpec(serial=f"CKJF20126007{n}", second_connection="refuse")))
            for n in range(2)
        ]
        for unit, key in zip(units, ("gate", "yard"), strict=True):
            add_device(unit, key=key)
        yield units


def in_parallel(ask: Ask, paths: list[str]) -> list[tuple[int, Any]]:
    start = Barrier(len(paths))

    def one(path: str) -> tuple[int, Any]:
        start.wait(timeout=20)
        try:
            return ask("GET", path)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(paths)) as threads:
        return list(threads.map(one, paths))


def test_requests_to_one_device_wait_their_turn(ask: Ask, units: list[SimulatedTerminal]) -> None:
    answers = in_parallel(ask, ["/devices/gate/info"] * 8)

    assert [status for status, _ in answers] == [200] * 8
    assert len(units[0].journal) == 8


def test_a_request_waits_until_the_worker_has_done_with_the_device(ask: Ask, units: list[SimulatedTerminal]) -> None:
    held, answers = Device.objects.get(key="gate"), []

    with hold(held.pk):
        waiting = threading.Thread(target=lambda: answers.extend(in_parallel(ask, ["/devices/gate/time"])))
        waiting.start()
        waiting.join(timeout=0.5)
        assert (waiting.is_alive(), list(units[0].journal)) == (True, [])
    waiting.join(timeout=20)

    assert answers[0][0] == 200


def test_another_device_answers_while_one_is_busy(ask: Ask, units: list[SimulatedTerminal]) -> None:
    with ThreadPoolExecutor(8) as threads:
        with hold(Device.objects.get(key="gate").pk):
            waiting = [threads.submit(in_parallel, ask, ["/devices/gate/time"]) for _ in range(8)]
            assert ask("GET", "/devices/yard/time")[0] == 200
            assert not any(each.done() for each in waiting)
        assert [each.result()[0][0] for each in waiting] == [200] * 8


def test_different_devices_are_asked_in_parallel(ask: Ask, units: list[SimulatedTerminal]) -> None:
    for unit in units:
        unit.faults.add(Latency(seconds=0.1, times=None))
    began = time.monotonic()
    ask("GET", "/devices/gate/info")
    alone = time.monotonic() - began

    began = time.monotonic()
    in_parallel(ask, ["/devices/gate/info", "/devices/yard/info"])

    assert time.monotonic() - began < 1.7 * alone


def test_who_waits_for_a_device_too_long_is_told_that_it_is_busy(units: list[SimulatedTerminal], settings: Any) -> None:
    settings.LIVE_WAIT_SECONDS = 0.3
    gate = Device.objects.get(key="gate")

    with hold(gate.pk), pytest.raises(OccupiedError):
        visit(gate, talk(clock), gone=stays)


def test_there_are_never_more_conversations_than_places(
    units: list[SimulatedTerminal], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_places", threading.BoundedSemaphore(1))
    settings.LIVE_WAIT_SECONDS = 10
    together, most, guard = 0, 0, threading.Lock()

    def count(_device: Device, session: TerminalSession) -> None:
        nonlocal together, most
        with guard:
            together += 1
            most = max(most, together)
        session.clock()
        with guard:
            together -= 1

    outcomes = list(visit_each(list(Device.objects.all()), talk(count), gone=stays))

    assert ([outcome for _, outcome in outcomes], most) == ([None, None], 1)


def test_all_places_taken_means_busy(
    units: list[SimulatedTerminal], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_places", threading.BoundedSemaphore(1))
    settings.LIVE_WAIT_SECONDS = 0.2
    live._places.acquire()

    with pytest.raises(OccupiedError):
        visit(Device.objects.get(key="gate"), talk(clock), gone=stays)


def test_a_terminal_that_drips_is_given_up_when_the_requests_time_is_over(
    units: list[SimulatedTerminal], settings: Any
) -> None:
    settings.LIVE_SECONDS = 1
    Device.objects.update(timeout=60)
    units[0].faults.add(Silent(times=None))
    began = time.monotonic()

    ((_, outcome),) = visit_each([Device.objects.get(key="gate")], talk(clock), gone=stays)

    assert (type(outcome).__name__, time.monotonic() - began < 5) == ("TimedOutError", True)


def test_a_conversation_whose_caller_hung_up_ends_and_frees_the_device(units: list[SimulatedTerminal]) -> None:
    Device.objects.update(timeout=60)
    units[0].faults.add(Silent(times=None))
    gate = Device.objects.get(key="gate")
    ended: list[Exception] = []

    def listen(_device: Device, session: TerminalSession) -> None:
        try:
            session.clock()
        except StoppedError as error:
            ended.append(error)
            raise

    with pytest.raises(CallerGoneError):
        visit(gate, talk(listen), gone=lambda: bool(units[0].journal))

    assert wait_until(lambda: not Device.objects.filter(lease_expires_at__isnull=False).exists(), 5)
    units[0].faults = type(units[0].faults)()
    assert visit(gate, talk(clock), gone=stays) is not None


def test_a_caller_who_hung_up_while_waiting_waits_no_longer(units: list[SimulatedTerminal]) -> None:
    gate, asked = Device.objects.get(key="gate"), iter([False, False, True])

    with hold(gate.pk), pytest.raises(CallerGoneError):
        visit(gate, talk(clock), gone=lambda: next(asked))


def test_a_request_stands_in_no_queue_of_a_device_that_it_has_done_with(
    units: list[SimulatedTerminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MOST_WAITING", 1)
    gate, yard = Device.objects.get(key="gate"), Device.objects.get(key="yard")

    with hold(gate.pk), closing(visit_each([gate, yard], talk(clock), gone=stays)) as visits:
        assert next(visits)[0] == yard
        assert visit(yard, talk(clock), gone=stays) is not None
    assert not any(live._waiting.values())


def test_a_request_stands_in_no_queue_of_a_device_that_it_gave_up(
    units: list[SimulatedTerminal], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(live, "MOST_WAITING", 1)
    settings.LIVE_WAIT_SECONDS = 0.3
    Device.objects.update(timeout=60)
    units[1].faults.add(Silent(times=None))
    gate, yard = Device.objects.get(key="gate"), Device.objects.get(key="yard")

    with closing(visit_each([gate, yard], talk(clock), gone=stays)) as visits:
        with hold(gate.pk):
            device, outcome = next(visits)
        assert (device, type(outcome)) == (gate, OccupiedError)
        assert visit(gate, talk(clock), gone=stays) is not None
    assert not any(live._waiting.values())


def test_what_takes_longer_than_a_request_may_is_given_up_by_it_and_goes_on(
    units: list[SimulatedTerminal], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(live, "_GRACE", 0.1)
    settings.LIVE_SECONDS = 1
    stored, done = threading.Event(), threading.Event()

    def store(_lease: Lease, _bounds: Bounds) -> None:
        stored.wait(20)
        done.set()

    gate = Device.objects.get(key="gate")
    ((_, outcome),) = visit_each([gate], store, gone=stays)

    assert (type(outcome), done.is_set(), held()) == (OccupiedError, False, True)
    stored.set()
    assert wait_until(lambda: done.is_set() and not held(), 5)


# Over two web processes, as the platform is started.


def held() -> bool:
    return Device.objects.filter(key="gate", lease_expires_at__isnull=False).exists()


def test_over_two_web_processes_a_terminal_has_one_session_and_a_caller_who_hangs_up_frees_it(
    admin: User, units: list[SimulatedTerminal]
) -> None:
    token = issue_token(admin)
    with web_process(workers=2) as web:
        with ThreadPoolExecutor(12) as threads:
            answers = list(threads.map(lambda _: web.get("/devices/gate/info", token), range(12)))
        assert [status for status, _ in answers] == [200] * 12
        assert len(units[0].journal) == 12
        assert web.get("/attendance/all", token)[1]["errors"] == {}

        Device.objects.update(timeout=60)
        units[0].faults.add(Silent(times=None))
        with socket.create_connection(("127.0.0.1", web.port)) as client:
            head = f"GET /devices/gate/time HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token {token}\r\n\r\n"
            client.sendall(head.encode())
            assert wait_until(held, 10)
        assert wait_until(lambda: not held(), 5)


def test_what_waits_for_the_places_of_its_own_request_is_not_given_up(
    units: list[SimulatedTerminal], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(live, "MOST_OF_ONE", 1)
    settings.LIVE_WAIT_SECONDS = 0.1
    for unit in units:
        unit.faults.add(Latency(seconds=0.1))

    outcomes = [outcome for _device, outcome in visit_each(list(Device.objects.all()), talk(clock), gone=stays)]

    assert [type(outcome).__name__ for outcome in outcomes] == ["datetime", "datetime"]


def test_a_crowd_before_one_device_is_sent_away_at_once(
    units: list[SimulatedTerminal], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(live, "MOST_WAITING", 1)
    settings.LIVE_WAIT_SECONDS = 20
    gate, yard = Device.objects.get(key="gate"), Device.objects.get(key="yard")
    asked = threading.Event()
    leave = threading.Event()

    def gone() -> bool:
        asked.set()
        return leave.is_set()

    with hold(gate.pk), ThreadPoolExecutor(1) as pool:
        first = pool.submit(visit, gate, talk(clock), gone=gone)
        assert asked.wait(10)
        with pytest.raises(OccupiedError):
            visit(gate, talk(clock), gone=stays)
        assert visit(yard, talk(clock), gone=stays) is not None
        leave.set()
        with pytest.raises(CallerGoneError):
            first.result(10)
    assert visit(gate, talk(clock), gone=stays) is not None
