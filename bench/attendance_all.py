"""The logs of fifty terminals behind slow lines in one request, against one of them, and against stock pyzk."""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from typing import Any

import orjson
from zk import ZK

from bench.measure import Row, best_of, stopwatch
from bench.readers import reader
from bench.rps import web_server
from bench.simulated import Terminals, simulated
from bench.tables import TRANSACTION, execute
from devices.domain.dialling import dial
from devices.driver.tables import decode_punches
from devices.models import Device
from iclock.domain.ingest import record_punches
from iclock.models import Terminal
from iclock.punch import Punch, Source

TERMINALS, RECORDS = 50, 2_000
LATENCY = 0.05
# Of so many the slowest is looked for; all fifty would take a minute a turn.
SAMPLE = 8
PATIENCE = 120


def run() -> list[Row]:
    with simulated(f"--log-size={RECORDS}", "--people=30", count=TERMINALS) as terminals, web_server() as web:
        devices = _register(terminals)
        one_by_one = _stock_pyzk(terminals)
        ask = _Asker(web.port)
        ask.all()
        logs = _logs(devices)
        best = best_of(
            {
                "single": lambda: max(ask.one(device) for device in devices[:SAMPLE]),
                "stored": ask.all,
                "recorded": lambda: _record(logs),
                "new": lambda: _forget() + ask.all(),
            }
        )
        return [
            Row("the slowest of single terminals", best["single"], "s"),
            Row("50 terminals at once, stored already", best["stored"], "s"),
            Row("the same, of the slowest single one", best["stored"] / best["single"], at_most=2),
            Row("storing the same rows alone", best["recorded"], "s"),
            Row(
                "50 with new rows, of twice the slowest and storing",
                best["new"] / (2 * best["single"] + best["recorded"]),
                at_most=1,
            ),
            Row("stock pyzk, one after the other", one_by_one, "s"),
            Row("the same, of 50 at once", one_by_one / best["stored"], at_least=10),
        ]


class _Asker:
    """Requests to the web server; each says how long it took, and fails when anything is missing."""

    def __init__(self, port: int) -> None:
        self._port = port
        _client, self._token = reader()

    def one(self, device: Device) -> float:
        return self._get(f"/devices/{device.key}/attendance", RECORDS)

    def all(self) -> float:
        return self._get("/attendance/all", TERMINALS * RECORDS)

    def _get(self, path: str, total: int) -> float:
        connection = http.client.HTTPConnection("localhost", self._port, timeout=PATIENCE)
        with stopwatch() as elapsed:
            connection.request("GET", path, headers={"Authorization": f"Token {self._token}"})
            body = connection.getresponse().read()
        connection.close()
        told: dict[str, Any] = orjson.loads(body)
        if not told["success"] or len(told["data"]) != total or told.get("errors"):
            raise RuntimeError(f"{path}: {body[:200]!r} … {body[-200:]!r}")
        return elapsed()


def _register(terminals: Terminals) -> list[Device]:
    Device.objects.all().delete()
    for where in terminals.addresses:
        terminals.order("fault", where["serial"], kind="Latency", seconds=LATENCY)
    return Device.objects.bulk_create(
        Device(key=where["serial"].lower(), name=where["serial"], host=where["host"], port=where["port"], enabled=False)
        for where in terminals.addresses
    )


def _stock_pyzk(terminals: Terminals) -> float:
    with stopwatch() as elapsed:
        for where in terminals.addresses:
            unit = ZK(where["host"], port=where["port"], timeout=5, ommit_ping=True)
            unit.connect()
            if len(unit.get_attendance()) != RECORDS:
                raise RuntimeError("stock pyzk did not read everything")
            unit.disconnect()
    return elapsed()


def _logs(devices: Sequence[Device]) -> list[tuple[Terminal, list[Punch]]]:
    logs = []
    for device in Device.objects.filter(pk__in=[device.pk for device in devices]).select_related("terminal__area"):
        with dial(device) as session:
            punches = decode_punches(session.punch_rows(session.sizes()), user_ids={}).punches
        assert device.terminal is not None
        logs.append((device.terminal, punches))
    return logs


def _record(logs: Sequence[tuple[Terminal, list[Punch]]]) -> float:
    execute(f"TRUNCATE {TRANSACTION}")
    with stopwatch() as elapsed:
        for terminal, punches in logs:
            record_punches(terminal, punches, source=Source.PULL)
    return elapsed()


def _forget() -> float:
    """As if nothing of these logs was ever read; takes no time that counts."""
    execute(f"TRUNCATE {TRANSACTION}")
    Device.objects.update(log_bytes=0, log_width=0, log_digest=b"", log_tail=b"", log_read_at=None)
    return 0.0
