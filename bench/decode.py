"""Our decoding of a punch log against stock pyzk's parsing of the same buffer."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from zk import ZK

from bench.measure import Row, best_of, stopwatch
from devices.driver.tables import PUNCH_WIDTHS, decode_punches, split_rows
from devices.protocol import PUNCH_40, encode_time

RECORDS = 100_000


def run() -> list[Row]:
    table = _table()
    best = best_of({"pyzk": lambda: _pyzk(table), "ours": lambda: _ours(table)})
    return [
        Row("pyzk, 100 000 records", best["pyzk"], "s"),
        Row("ours, 100 000 records", best["ours"], "s"),
        Row("ours faster than pyzk", best["pyzk"] / best["ours"], at_least=20),
    ]


def _table() -> bytes:
    start = datetime(2026, 1, 5, 8)
    rows = b"".join(
        PUNCH_40.pack(
            n % 500, str(1000 + n % 500).encode(), 1, encode_time(start + timedelta(seconds=11 * n)), n % 2, b""
        )
        for n in range(RECORDS)
    )
    return len(rows).to_bytes(4, "little") + rows


def _ours(table: bytes) -> float:
    with stopwatch() as elapsed:
        log = decode_punches(split_rows(table, widths=PUNCH_WIDTHS, between=(RECORDS, RECORDS)), user_ids={})
    assert len(log.punches) == RECORDS
    return elapsed()


def _pyzk(table: bytes) -> float:
    class Offline(ZK):  # type: ignore[misc]
        """pyzk with a terminal's answers at hand: only its parsing is left to do."""

        def read_sizes(self) -> None:
            self.records = RECORDS

        def get_users(self) -> list[Any]:
            return []

        def read_with_buffer(self, _command: int, _fct: int = 0, _ext: int = 0) -> tuple[bytes, int]:
            return table, len(table)

    offline = Offline("127.0.0.1", ommit_ping=True)
    with stopwatch() as elapsed:
        log = offline.get_attendance()
    assert len(log) == RECORDS
    return elapsed()
