"""``python -m devices.simulator`` as a process: it says where it listens, obeys orders, and leaves when told to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from devices.protocol import scramble_comm_key
from tests.devices.simulator.wire_client import WireClient

ROOT = Path(__file__).parents[3]


class Process:
    """The simulator in a process of its own, spoken to in JSON lines."""

    def __init__(self, *options: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "devices.simulator", "--port", "0", *options],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def hear(self) -> dict[str, Any]:
        assert self.popen.stdout is not None
        return dict(json.loads(self.popen.stdout.readline()))

    def order(self, **order: dict[str, Any]) -> dict[str, Any]:
        assert self.popen.stdin is not None
        self.popen.stdin.write(json.dumps(order) + "\n")
        self.popen.stdin.flush()
        return self.hear()


@contextmanager
def simulator(*options: str) -> Iterator[Process]:
    process = Process(*options)
    try:
        yield process
    finally:
        process.popen.kill()
        process.popen.communicate(timeout=10)


def test_terminals_say_where_they_listen_and_serve() -> None:
    with simulator(
        "--count", "3", "--serial", "LAB009", "--comm-key", "55", "--people", "12", "--log-size", "70"
    ) as lab:
        told = [lab.hear() for _ in range(3)]
        with WireClient(told[1]["port"]) as client:
            client.session = client.ask(1000).session
            assert client.ask(1102, scramble_comm_key(55, client.session)).command == 2000
            assert client.ask(11, b"~SerialNumber\0").data == b"~SerialNumber=LAB010\0"
            assert (len(client.table(9, 5)), len(client.table(13, 0))) == (4 + 12 * 72, 4 + 70 * 40)
    assert [one["serial"] for one in told] == ["LAB009", "LAB010", "LAB011"]
    assert {(one["host"], one["comm_key"]) for one in told} == {("127.0.0.1", 55)}


def test_the_same_seed_gives_the_same_people() -> None:
    tables = []
    for seed in ("4", "4", "5"):
        with simulator("--seed", seed) as process, WireClient(process.hear()["port"]) as client:
            tables.append(client.connect().table(9, 5))
    assert tables[0] == tables[1]
    assert tables[0] != tables[2]


def test_orders_from_outside_punch_spoil_heal_and_tell() -> None:
    with simulator("--control") as process:
        port = process.hear()["port"]
        unit = {"serial": "SIM0001"}
        punched = process.order(punch={**unit, "user_id": "1001", "at": "2026-03-02T08:00:01", "state": 1})
        once = process.order(fault={**unit, "kind": "CountOff", "by": 5, "times": 1})
        with WireClient(port) as client:
            assert client.connect().ask(50).data[32:36] == b"\6\0\0\0"
        spoiled = process.order(fault={**unit, "kind": "ShortSizes", "length": 36})
        with WireClient(port) as client:
            assert client.connect().ask(50).data[32:] == b"\1\0\0\0"
            process.order(fault={**unit, "kind": "CountOff", "by": 3})
            assert client.ask(50).data[32:] == b"\4\0\0\0"
            healed = process.order(heal=unit)
            assert len(client.ask(50).data) == 92
        shifted = process.order(clock={**unit, "shift_seconds": -7200})
        process.order(reboot=unit)
        state = process.order(state=unit)
    assert punched == {"ok": True, "punched": True, "at": "2026-03-02T08:00:01"}
    assert (once, spoiled, healed) == ({"ok": True}, {"ok": True}, {"ok": True})
    assert shifted["ok"] is True
    assert (state["punches"], state["ledger"], state["reboots"]) == (1, [["1001", "2026-03-02T08:00:01"]], 1)
    assert (state["commands"], state["clearings"], state["disabled"]) == ([1000, 50, 1000, 50, 50, 50], [], False)


@pytest.mark.parametrize("line", ["nonsense", "[]", '{"punch": {"serial": "?"}}', '{"dance": {"serial": "SIM0001"}}'])
def test_a_wrong_order_is_answered_and_the_next_one_obeyed(line: str) -> None:
    with simulator("--control") as process:
        process.hear()
        assert process.popen.stdin is not None
        process.popen.stdin.write(line + "\n")
        process.popen.stdin.flush()
        refused = process.hear()
        assert refused["ok"] is False
        assert refused["error"]
        assert process.order(state={"serial": "SIM0001"})["ok"] is True


def test_people_keep_punching_by_the_units_clock() -> None:
    with simulator("--control", "--people", "1", "--punch-every", "0.02", "--utc-offset", "180") as process:
        port = process.hear()["port"]
        deadline = time.monotonic() + 10
        while (state := process.order(state={"serial": "SIM0001"}))["punches"] < 5:
            assert time.monotonic() < deadline
        assert state["ledger"][-1][1] <= state["now"]
        with WireClient(port) as client:
            states = client.connect().table(13, 0)[4 + 31 :: 40]
        assert states[:5] == bytes((0, 1, 0, 1, 0))
    local = datetime.fromisoformat(state["now"]) - datetime.now(UTC).replace(tzinfo=None)
    assert timedelta(minutes=179) < local < timedelta(minutes=181)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(number: signal.Signals) -> None:
    with simulator("--punch-every", "0.01") as process:
        port = process.hear()["port"]
        with WireClient(port) as client:
            client.connect()
            process.popen.send_signal(number)
            assert process.popen.wait(timeout=10) == 0


def test_the_end_of_its_orders_stops_it() -> None:
    with simulator("--control") as process:
        process.hear()
        assert process.popen.stdin is not None
        process.popen.stdin.close()
        process.popen.stdin = None
        assert process.popen.wait(timeout=10) == 0
