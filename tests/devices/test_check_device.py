"""The doctor: each fault of a unit is named in a sentence with what to do; nothing is stored, nothing is changed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now
from django.test import override_settings
from django.utils import translation

from devices import protocol
from devices.domain.checkup import Target, check_unit, target_of
from devices.domain.findings import Step
from devices.domain.lease import hold
from devices.models import Device
from devices.simulator import (
    Close,
    CountOff,
    Drip,
    Fault,
    Faults,
    Garbage,
    RefuseKey,
    RowWidth,
    ShortSizes,
    Silent,
    SimPunch,
    SimulatedTerminal,
    TerminalSpec,
    bad_punch_row,
)
from iclock.models import QuarantinedRecord, Terminal, Transaction
from tests.devices.conftest import MORNING, PEOPLE, a_log
from zkbio.launcher.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]
ALL_STEPS = ["address", "connection", "comm_key", "identity", "sizes", "clock", "people", "log", "verdict"]
WELL = "All is well: it answers, and its clock, its people and its log can be read."
SPEC = TerminalSpec(serial="CKJF201260077", users=PEOPLE, punches=a_log(100), face_capacity=500)
LOG = protocol.CMD_PREPARE_BUFFER
READING = {
    protocol.CMD_CONNECT,
    protocol.CMD_AUTH,
    protocol.CMD_EXIT,
    protocol.CMD_OPTIONS_RRQ,
    protocol.CMD_GET_VERSION,
    protocol.CMD_GET_FREE_SIZES,
    protocol.CMD_GET_TIME,
    protocol.CMD_PREPARE_BUFFER,
    protocol.CMD_READ_BUFFER,
    protocol.CMD_FREE_DATA,
}


@pytest.fixture(autouse=True)
def _in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.fixture
def unit() -> Iterator[SimulatedTerminal]:
    with SimulatedTerminal(SPEC) as terminal:
        yield terminal


def steps_of(unit: SimulatedTerminal, **known: Any) -> list[Step]:
    return list(check_unit(Target(unit.host, unit.port, timeout=0.5, time_zone="UTC", **known)))


def wrong(steps: list[Step]) -> dict[str, str]:
    """The steps that found something, without the verdict."""
    return {step.name: f"{step.sentence} {step.advice}" for step in steps[:-1] if not step.ok}


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_sound_unit_is_well(unit: SimulatedTerminal) -> None:
    steps = steps_of(unit)

    assert [step.name for step in steps] == ALL_STEPS
    assert all(step.ok and not step.advice for step in steps)
    said = [step.sentence for step in steps]
    assert said[0] == "127.0.0.1 is an address that may be dialled."
    assert said[2:5] == [
        "It asks for none.",
        "It is K40/ID, serial number CKJF201260077, Ver 6.60 Apr 28 2017.",
        "It holds 30 of 3000 people, 0 of 3000 fingers, 0 of 500 faces, 100 of 100000 punches.",
    ]
    assert said[6:] == [
        "Its 30 people can be read (72 bytes each).",
        "Its log of 100 punches is whole and can be read (40 bytes each).",
        WELL,
    ]


def test_nothing_is_stored_and_nothing_on_the_unit_is_changed(unit: SimulatedTerminal) -> None:
    unit.punch_raw(bad_punch_row("impossible date"))
    before = unit.table("users"), unit.table("punches"), unit.options.copy()

    steps_of(unit)

    assert (unit.table("users"), unit.table("punches"), unit.options) == before
    assert set(unit.commands()) <= READING
    assert not any(model.objects.exists() for model in (Device, Terminal, Transaction, QuarantinedRecord))


@pytest.mark.parametrize(("users", "punches"), [(28, 16), (28, 8), (72, 40)])
@pytest.mark.parametrize("udp", [False, True])
def test_every_generation_is_well_over_both_transports(users: int, punches: int, udp: bool) -> None:
    with SimulatedTerminal(replace(SPEC, user_width=users, punch_width=punches)) as unit:
        steps = steps_of(unit, udp=udp)

        assert steps[-1] == Step("verdict", True, WELL)


def test_an_empty_unit_is_well() -> None:
    with SimulatedTerminal(TerminalSpec(serial="NEW1")) as unit:
        assert [step.sentence for step in steps_of(unit)][-3:] == ["Nobody is on it.", "Its log is empty.", WELL]


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("8.8.8.8", "outside the networks of terminals"),
        ("0177.0.0.1", "is not an IP address"),
        ("2130706433", "is not an IP address"),
        ("169.254.169.254", "never dialled"),
        ("::ffff:10.0.0.1", "never dialled"),
        ("gate.example", "is not an IP address"),
    ],
)
def test_an_address_that_may_not_be_dialled_isnt(host: str, said: str) -> None:
    steps = list(check_unit(Target(host)))

    assert [step.name for step in steps] == ["address", "verdict"]
    assert said in steps[0].sentence
    assert not steps[-1].ok


def test_a_port_on_which_nothing_listens() -> None:
    port = free_port()

    steps = list(check_unit(Target("127.0.0.1", port, timeout=0.5)))

    assert [step.name for step in steps] == ["address", "connection", "verdict"]
    assert steps[1].sentence == (
        f"127.0.0.1:{port} refuses the connection: a machine is there, but nothing listens on that port."
    )
    assert steps[-1].sentence == f"{steps[1].sentence} {steps[1].advice}"


def test_a_machine_that_never_accepts() -> None:
    """Its queue of connections is full, so that packets are dropped as by a machine that is switched off."""
    with closing(socket.socket()) as full, closing(socket.socket()) as first, closing(socket.socket()) as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())

        steps = list(check_unit(Target("127.0.0.1", full.getsockname()[1], timeout=0.3)))

        assert wrong(steps)["connection"].startswith(f"Nothing answers at 127.0.0.1:{full.getsockname()[1]}.")


DOORS: list[tuple[Fault, str, str]] = [
    (Silent(times=None), "session", "It accepts the connection and then says nothing. A unit talks to one program"),
    (Close(reset=True), "session", "It accepts the connection and breaks it off. A unit talks to one program"),
    (Close(), "session", "It accepts the connection and breaks it off. A unit talks to one program"),
    (Garbage(), "session", "What answers there is no ZKTeco terminal. Look which machine has this address"),
    (RefuseKey(), "comm_key", "It refuses the comm key. Compare it with the comm key in the terminal's menu"),
]


@pytest.mark.parametrize(("fault", "name", "said"), DOORS)
def test_what_keeps_a_session_from_coming_about(fault: Fault, name: str, said: str, unit: SimulatedTerminal) -> None:
    unit.faults = Faults(fault)

    steps = steps_of(unit)

    assert [step.name for step in steps] == ["address", "connection", name, "verdict"]
    assert [step.ok for step in steps] == [True, True, False, False]
    assert wrong(steps)[name].startswith(said)


def test_a_silent_unit_that_speaks_udp(unit: SimulatedTerminal) -> None:
    unit.faults = Faults(Silent(times=None))

    assert wrong(steps_of(unit, udp=True))["connection"].startswith(f"Nothing answers at 127.0.0.1:{unit.port}.")


def test_a_wrong_key_is_told_from_the_right_one() -> None:
    with SimulatedTerminal(replace(SPEC, comm_key=123_456)) as unit:
        assert list(wrong(steps_of(unit, comm_key=654_321))) == ["comm_key"]
        right = steps_of(unit, comm_key=123_456)
        assert right[2].sentence == "It takes the comm key."
        assert right[-1].ok


TABLES: list[tuple[Fault, str, str]] = [
    (CountOff(by=1), "log", "the terminal counts 101 rows"),
    (CountOff(by=-1), "log", "the terminal counts 99 rows"),
    (CountOff(of="users", by=1), "people", "the terminal counts 31 rows"),
    (RowWidth(width=49), "log", "which is no such number of rows"),
    (RowWidth(width=22), "log", "which is no such number of rows"),
    (Close(command=LOG, nth=2), "log", "closed the connection in the middle of an answer"),
    (Silent(command=LOG, nth=2), "log", "stopped answering"),
]


@pytest.mark.parametrize(("fault", "name", "said"), TABLES)
def test_a_table_that_isnt_whole(fault: Fault, name: str, said: str, unit: SimulatedTerminal) -> None:
    unit.faults = Faults(fault)

    steps = steps_of(unit)

    assert list(wrong(steps)) == [name]
    assert said in wrong(steps)[name]
    assert steps[-1].sentence == wrong(steps)[name]
    assert next(step for step in steps if step.name == name).advice


def test_a_unit_that_doesnt_tell_its_sizes_is_asked_for_its_clock_and_no_table(unit: SimulatedTerminal) -> None:
    unit.faults = Faults(ShortSizes())

    steps = steps_of(unit)

    assert [step.name for step in steps] == [*ALL_STEPS[:6], "verdict"]
    assert list(wrong(steps)) == ["sizes"]
    assert LOG not in unit.commands()


def test_impossible_rows_are_counted_by_what_is_wrong_with_them(unit: SimulatedTerminal) -> None:
    for kind in ("impossible date", "impossible date", "user id 0"):
        unit.punch_raw(bad_punch_row(kind))

    said = wrong(steps_of(unit))

    assert list(said) == ["log"]
    assert said["log"].startswith(
        "Of the 103 rows of its log, these can't be punches: 2 (a date that no calendar has), 1 (no user id)."
    )


@pytest.mark.parametrize(("count", "said"), [(1, "Its log of 1 punch is"), (2, "Its log of 2 punches is")])
def test_one_of_anything_is_not_many(count: int, said: str) -> None:
    with SimulatedTerminal(replace(SPEC, users=SPEC.users[:1], punches=SPEC.punches[:count])) as unit:
        told = " ".join(step.sentence for step in steps_of(unit))

    assert said in told
    assert "Its 1 person can be read" in told


def test_rows_of_nobody(unit: SimulatedTerminal) -> None:
    spec = replace(SPEC, user_width=28, punch_width=8, punches=(*SPEC.punches, SimPunch("9999", MORNING)))
    with SimulatedTerminal(spec) as old:
        assert "1 (a number that is nobody's on the unit)" in wrong(steps_of(old))["log"]


CLOCKS = [
    (
        timedelta(hours=3, minutes=30, seconds=10),
        "3 h 30 min",
        "correct the zone on the terminal's page (before it has one, by add_device --time-zone), or",
    ),
    (timedelta(hours=-1, seconds=-10), "1 h", "behind the time in UTC. It may be set for another time zone"),
    (timedelta(minutes=-10, seconds=-10), "10 min", "behind the time in UTC. Set its clock"),
    (timedelta(days=-9_000, hours=-1), "9000 days", "behind the time in UTC. Set its clock"),
]


@pytest.mark.parametrize(("error", "by", "said"), CLOCKS)
def test_a_clock_that_is_off(error: timedelta, by: str, said: str) -> None:
    with SimulatedTerminal(replace(SPEC, clock_error=error)) as unit:
        found = wrong(steps_of(unit))

    assert list(found) == ["clock"]
    assert said in found["clock"]
    assert by in found["clock"]


def test_a_clock_is_judged_in_the_terminals_zone() -> None:
    with SimulatedTerminal(replace(SPEC, utc_offset=timedelta(hours=5, minutes=45))) as unit:
        target = Target(unit.host, unit.port, timeout=0.5, time_zone="Asia/Kathmandu")
        assert list(check_unit(target))[-1].ok


@pytest.mark.parametrize(("held", "ok"), [(79, True), (80, False)])
def test_a_log_that_is_nearly_full(held: int, ok: bool) -> None:
    with SimulatedTerminal(replace(SPEC, punches=a_log(held), punch_capacity=100)) as unit:
        steps = steps_of(unit)

    assert steps[-1].ok is ok
    assert ("Nearly full: punches." in steps[-1].sentence) is not ok


def test_another_unit_than_the_registered_one_is_not_read(unit: SimulatedTerminal) -> None:
    steps = steps_of(unit, serial="OTHER1")

    assert [step.name for step in steps] == [*ALL_STEPS[:4], "verdict"]
    assert steps[3].sentence == "It is CKJF201260077, but OTHER1 belongs there."
    assert LOG not in unit.commands()


def test_who_may_not_know_of_other_units_isnt_told(unit: SimulatedTerminal) -> None:
    stranger = steps_of(unit, serial="OTHER1", discreet=True)
    outside = list(check_unit(Target("8.8.8.8", discreet=True)))

    assert "CKJF201260077" not in " ".join(step.sentence + step.advice for step in stranger)
    assert "127.0.0.0" not in outside[-1].sentence


def test_a_slow_unit_ends_with_the_conversations_time(unit: SimulatedTerminal) -> None:
    unit.faults = Faults(Drip(command=protocol.CMD_READ_BUFFER, size=20, seconds=0.05))
    with override_settings(DEVICE_SESSION_SECONDS=2):
        found = wrong(steps_of(unit))

    assert "took longer than 2 s in all" in found["people"]


# -- registered devices


def test_a_registered_devices_key_zone_and_serial_are_used(add_device: Callable[..., Device]) -> None:
    with SimulatedTerminal(replace(SPEC, comm_key=918_273)) as unit:
        device = add_device(unit, comm_key=918_273)
        device.terminal = Terminal.objects.create(sn="CKJF201260077", alias="Gate", time_zone="UTC")

        assert list(check_unit(target_of(device)))[-1].ok
        assert "918273" not in repr(target_of(device))


def test_a_blocked_terminal_isnt_talked_to(unit: SimulatedTerminal) -> None:
    assert list(wrong(steps_of(unit, blocked=True))) == ["address"]
    assert list(unit.journal) == []


def test_a_unit_that_was_left_disabled_is_named(unit: SimulatedTerminal) -> None:
    assert "may take no finger" in wrong(steps_of(unit, locked=True))["enabled"]


def test_a_key_that_cant_be_opened_is_named(unit: SimulatedTerminal, add_device: Callable[..., Device]) -> None:
    device = add_device(unit, comm_key=77)
    device.comm_key_sealed = b"k1" + bytes(40)

    assert list(wrong(list(check_unit(target_of(device))))) == ["comm_key"]


# -- the command


def command(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, on the database of the tests."""
    server = os.environ["DATABASE_URL"].rpartition("/")[0]
    return subprocess.run(
        [sys.executable, "manage.py", "check_device", *words],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": f"{server}/{connection.settings_dict['NAME']}", **environ},
        input=environ.get("TYPED", ""),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_tells_each_step_and_the_verdict(unit: SimulatedTerminal, capsys: Any) -> None:
    call_command("check_device", unit.host, port=unit.port, timeout=1.0)

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ok     address: 127.0.0.1 is an address that may be dialled."
    assert (len(lines), lines[-1]) == (len(ALL_STEPS), WELL)


def test_the_command_in_json_and_its_exit_code(unit: SimulatedTerminal, capsys: Any) -> None:
    unit.faults = Faults(RefuseKey())

    with pytest.raises(SystemExit) as left:
        call_command("check_device", unit.host, port=unit.port, json=True)

    told = json.loads(capsys.readouterr().out)
    assert (left.value.code, told["ok"]) == (1, False)
    assert [(step["name"], step["ok"]) for step in told["steps"]] == [
        ("address", True),
        ("connection", True),
        ("comm_key", False),
    ]
    assert told["verdict"].startswith("It refuses the comm key.")


def test_a_registered_device_is_checked_by_its_id_or_its_address(device: Device, capsys: Any) -> None:
    device.terminal = Terminal.objects.create(sn="OTHER1", alias="Gate")
    device.save()
    for words in ((device.key,), (device.host, f"--port={device.port}")):
        with pytest.raises(SystemExit):
            call_command("check_device", *words)
        assert "It is CKJF201260077, but OTHER1 belongs there." in capsys.readouterr().out


@override_settings(LIVE_WAIT_SECONDS=0.4)
def test_a_device_that_somebody_talks_to_is_left_alone(device: Device, unit: SimulatedTerminal) -> None:
    with hold(device.pk), pytest.raises(CommandError, match="Somebody is talking to Gate"):
        call_command("check_device", device.key)

    assert list(unit.journal) == []


def test_a_visit_that_is_going_on_is_waited_for_and_what_it_did_is_over_then(device: Device, capsys: Any) -> None:
    with ThreadPoolExecutor(1) as thread, ExitStack() as held:
        held.enter_context(hold(device.pk))
        Device.objects.update(disabled_at=Now())
        waiting = thread.submit(closing_call, "check_device", device.key)
        assert not wait_until(waiting.done, 0.5)
        Device.objects.update(disabled_at=None)
        held.close()
        waiting.result(timeout=30)

    assert capsys.readouterr().out.splitlines()[-1] == WELL


def closing_call(*words: str) -> None:
    try:
        with translation.override("en"):
            call_command(*words)
    finally:
        connection.close()


def test_an_id_that_nobody_has_is_a_sentence(db: None) -> None:
    with pytest.raises(CommandError, match=r"^There is no device 'gate'\. Write its id"):
        call_command("check_device", "gate")


@pytest.mark.parametrize("way", ["--key", "--ask-key", "environment"])
def test_the_key_is_taken_in_three_ways_and_never_shown(way: str, db: None) -> None:
    with SimulatedTerminal(replace(SPEC, comm_key=918_273)) as unit:
        words = {"--key": ["--key=918273"], "--ask-key": ["--ask-key"], "environment": []}[way]
        more = {"--ask-key": {"TYPED": "918273\n"}, "environment": {"DEVICE_COMM_KEY": "918273"}}.get(way, {})

        done = command(unit.host, "--port", str(unit.port), *words, **more)

        assert (done.returncode, done.stderr) == (0, "")
        assert "It takes the comm key." in done.stdout
        assert "918273" not in done.stdout
