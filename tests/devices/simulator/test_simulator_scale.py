"""The simulated terminal is fast enough to be the other side of a load test."""

from __future__ import annotations

import resource
import struct
import threading
from datetime import datetime

from devices.simulator import SimulatedTerminal, TerminalSpec
from devices.simulator.people import hire, working_days
from tests.devices.simulator.wire_client import WireClient

START = datetime(2026, 3, 2, 8)


def test_a_full_log_of_200_000_rows_is_served_in_well_under_a_second_of_cpu() -> None:
    people = hire(100)
    with SimulatedTerminal(TerminalSpec(serial="BIG", users=people, punch_capacity=200_000)) as terminal:
        terminal.fill(working_days(people, 200_000, until=START))
        with WireClient(terminal.port) as client:
            client.connect()
            size = 4 + 200_000 * 40
            client.ask(1503, struct.pack("<bhii", 1, 13, 0, 0))
            before = cpu_seconds()
            for start in range(0, size, 0xFFC0):
                length = min(0xFFC0, size - start)
                client.tell(1504, struct.pack("<ii", start, length))
                client.exactly(24 + 16 + length + 16)
            assert cpu_seconds() - before < 1.0
    assert len(terminal.ledger()) == 200_000


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def test_fifty_terminals_in_one_process_answer_at_once_and_leave_no_thread() -> None:
    before = threading.active_count()
    terminals = [SimulatedTerminal(TerminalSpec(serial=f"SIM{number:04d}")) for number in range(50)]
    for terminal in terminals:
        terminal.start()
    clients = [WireClient(terminal.port).connect() for terminal in terminals]
    told = [client.ask(11, b"~SerialNumber\0").data for client in clients]
    for client in clients:
        client.sock.close()
    for terminal in terminals:
        terminal.stop()
    assert told == [f"~SerialNumber=SIM{number:04d}\0".encode() for number in range(50)]
    assert threading.active_count() == before
