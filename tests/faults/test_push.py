"""Rows 13, 30 and 34 to 37 of the fault matrix: what units that dial send twice, in part, or too much of."""

from __future__ import annotations

import contextlib
import gzip
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import pytest
import requests

from devices.simulator import (
    PUSH_2_2,
    PUSH_2_4,
    PUSH_3,
    CutBody,
    DuplicatePost,
    ExtraLine,
    Generation,
    LostAnswer,
    Pusher,
    PushFault,
    PushFaults,
)
from tests.faults.dialling import (
    QUICK,
    Dialler,
    assert_polite,
    assert_right,
    bring_the_rest,
    bystander,
    diallers,
    exchange_bytes,
    head,
    identities,
    in_ledgers,
    lagging,
    on_line,
    quarantined,
    stored,
)
from tests.faults.stack import TURN, Stack, Web, eventually

MEGABYTE: Final = 1 << 20
PATIENCE: Final = 4.0
BAD: Final = "1001\t2026-02-30 08:00:00\t0\t1\t0\t0\t0"
_ASK: Final = """
import sys
from iclock.domain.push_orders import ask
from iclock.models import Terminal
ask(Terminal.objects.get(sn=sys.argv[1]), "info", user=None)
"""
_RETRY: Final = """
import sys
from iclock.domain.quarantine import retry
from iclock.models import QuarantinedRecord
print(*retry(QuarantinedRecord.objects.filter(terminal_sn=sys.argv[1]), actor="test"))
"""


def test_row_13_the_same_punches_by_pull_and_push_at_one_moment_are_stored_once(stack: Stack, dialled: Web) -> None:
    with stack.units(1, punches=10) as (unit,), bystander(stack, dialled):
        assert stack.sync(unit)[0]["outcome"] == "ok"
        unit.fill_to(2_000)
        stack.elapse(1)
        dialling = Pusher(unit, f"http://127.0.0.1:{dialled.port}", habits=QUICK)
        with stack.holding("SELECT pg_advisory_xact_lock(%s)", TURN) as let_go, stack.start_sync(unit) as sync:
            assert eventually(lambda: stack.waiting_for_the_turn() == 1)
            with dialling:
                assert eventually(lambda: stack.waiting_for_the_turn() == 2), "they didn't come at one moment"
                let_go()
                said, _ = sync.communicate(timeout=60)
                assert eventually(dialling.caught_up)
        assert sync.returncode == 0, said
        assert_right(stack, [dialling])


def test_row_30_of_two_units_with_one_serial_all_is_kept_and_neither_is_told_anything(
    stack: Stack, dialled: Web
) -> None:
    (serial,) = stack.serials(1)
    twins = [
        diallers(stack, dialled, 1, serials=[serial], source=source, punches=count)[0]
        for source, count in (("127.0.1.1", 40), ("127.0.2.1", 90))
    ]
    with bystander(stack, dialled) as other:
        for _ in range(2):
            for twin in twins:
                assert twin.step().ok
        alarms = "SELECT kind FROM iclock_alarm a JOIN iclock_terminal t ON t.id = a.terminal_id WHERE t.sn = %s"
        assert stack.query(alarms + " AND a.closed_at IS NULL", serial) == [("two_places",)]
        stack.django(_ASK, serial)
        stack.django(_ASK, other.serial)
        for twin in twins:
            assert twin.step().ok
        assert eventually(lambda: bool(other.commands)), "nobody is told anything at all"
    assert [list(twin.commands) for twin in twins] == [[], []]
    assert identities(stack, serial) == in_ledgers(*twins)
    for twin in twins:
        assert_polite(twin)


@pytest.mark.parametrize("generation", [PUSH_2_2, PUSH_2_4, PUSH_3], ids=lambda generation: generation.name)
@pytest.mark.parametrize("fault", [LostAnswer(), DuplicatePost()], ids=["answer lost", "posted twice"])
def test_row_34_a_post_that_is_repeated_after_its_commit_adds_nothing(
    stack: Stack, dialled: Web, generation: Generation, fault: PushFault
) -> None:
    (unit,) = diallers(stack, dialled, 1, punches=700, generation=generation)
    assert unit.step().ok
    unit.fill_to(1_400)
    unit.faults = PushFaults(fault)
    with bystander(stack, dialled):
        unit.step()
        assert stored(stack, [unit]) >= 1_200, "the first of the two posts was not committed before its answer"
        bring_the_rest([unit])
    assert_right(stack, [unit])


@pytest.mark.parametrize("after", [None, 0, 39, 38 * 5])
def test_row_35_of_a_post_that_was_cut_nothing_is_kept_until_all_of_it_comes(
    stack: Stack, dialled: Web, after: int | None
) -> None:
    """Also where the half that came ends like a whole one."""
    (unit,) = diallers(stack, dialled, 1, punches=300, generation=PUSH_2_2)
    unit.faults = PushFaults(CutBody(on="ATTLOG", after=_line_ends(unit)[4] if after == 38 * 5 else after))
    with bystander(stack, dialled):
        assert "cut" in unit.step().error
        assert stored(stack, [unit]) == 0
        bring_the_rest([unit])
    assert quarantined(stack, unit.serial) == []
    assert_right(stack, [unit])


def _line_ends(unit: Dialler) -> list[int]:
    """After how many bytes of the log's text each of its lines ends."""
    ends, at = [], 0
    for number, punch in enumerate(unit.state.ledger()):
        at += len(unit._scribe.encode(unit._scribe.punch(punch, number) + "\n"))
        ends.append(at)
    return ends


def test_row_36_one_bad_line_in_a_thousand_is_kept_aside_and_its_neighbours_are_stored(
    stack: Stack, dialled: Web
) -> None:
    (unit,) = diallers(stack, dialled, 1, punches=999, batch=1_000)
    unit.faults = PushFaults(ExtraLine(text=BAD))
    with bystander(stack, dialled):
        happened = unit.step()
    assert happened.ok
    assert b"OK: 1000" in [exchange.answer.strip() for exchange in happened.exchanges]
    ((raw, reason),) = quarantined(stack, unit.serial)
    assert raw.decode() == BAD
    assert "2026-02-30" in reason
    assert_right(stack, [unit])

    assert stack.django(_RETRY, unit.serial).split() == ["0", "1"]
    # As if what reads these lines had learnt to.
    mended = BAD.replace("02-30", "03-30").encode()
    stack.execute("UPDATE iclock_quarantinedrecord SET raw = %s WHERE terminal_sn = %s", mended, unit.serial)
    assert stack.django(_RETRY, unit.serial).split() == ["1", "0"]
    late = ("1001", datetime(2026, 3, 30, 8))
    assert identities(stack, unit.serial) == sorted([*in_ledgers(unit), late])


def memory(web: Web) -> int:
    return sum(worker.memory_info().rss for worker in web.workers().values())


BOMB: Final = gzip.compress(bytes(20 * MEGABYTE))
TOO_MUCH: Final = {
    "20 MB": (413, ["Content-Length: 20971520"], [b"1" * MEGABYTE] * 20),
    "gzip bomb": (415, ["Content-Encoding: gzip", f"Content-Length: {len(BOMB)}"], [BOMB]),
    "chunked": (411, ["Transfer-Encoding: chunked"], [b"100000\r\n" + b"1" * MEGABYTE + b"\r\n"] * 20),
}


@pytest.mark.parametrize("what", TOO_MUCH)
def test_row_37_what_is_too_much_is_refused_by_its_head_and_costs_no_memory(
    stack: Stack, dialled: Web, what: str
) -> None:
    status, fields, body = TOO_MUCH[what]
    (unit,) = diallers(stack, dialled, 1, punches=100)
    with bystander(stack, dialled):
        before = memory(dialled)
        for _ in range(10):
            assert exchange_bytes(dialled.port, head(unit.serial, *fields))[0] == status
        with ThreadPoolExecutor(3) as clients:  # these go on to send it
            told = list(
                clients.map(
                    lambda _: exchange_bytes(dialled.port, head(unit.serial, *fields), *body)[0],
                    range(3),
                )
            )
        assert set(told) <= {status, 0}, "an answer may be lost where the server hung up meanwhile"
        assert memory(dialled) - before < 20 * MEGABYTE
        assert unit.step().ok
    assert_right(stack, [unit])


def test_row_37_a_line_of_seven_megabytes_is_kept_aside_by_its_beginning(stack: Stack, dialled: Web) -> None:
    units = diallers(stack, dialled, 4, punches=100)
    line = b"1001\t2026-03-02 08:00:00\t" + b"1" * (7 * MEGABYTE) + b"\n"
    with bystander(stack, dialled), ThreadPoolExecutor(4) as clients:
        before = memory(dialled)
        for _ in range(2):
            answers = list(clients.map(lambda unit: _post(dialled, unit, line), units))
            assert answers == [(200, b"OK: 1")] * 4
        assert memory(dialled) - before < 100 * MEGABYTE
        bring_the_rest(units)
    for unit in units:
        ((raw, reason),) = quarantined(stack, unit.serial)
        assert len(raw) < 10_000
        assert reason
    assert_right(stack, units)


def test_row_37_units_are_answered_promptly_beside_those_who_send_as_much_as_they_may(
    stack: Stack, dialled: Web
) -> None:
    greedy, modest = diallers(stack, dialled, 2, batch=15_000, punches=15_000), diallers(stack, dialled, 10, punches=5)
    slowest = 0.0
    with on_line(greedy), ThreadPoolExecutor(10) as clients:
        while lagging(greedy):
            slowest = max(slowest, *clients.map(_seconds_of_a_round, modest))
    assert slowest < PATIENCE
    assert_right(stack, [*greedy, *modest])


def _seconds_of_a_round(unit: Dialler) -> float:
    began = time.monotonic()
    happened = unit.step()
    assert happened.ok, happened.error
    return time.monotonic() - began


def _post(web: Web, unit: Dialler, body: bytes) -> tuple[int, bytes]:
    status, told = exchange_bytes(web.port, head(unit.serial, f"Content-Length: {len(body)}"), body)
    return status, told.strip()


def test_row_37_strangers_cannot_have_the_server_keep_what_they_send(stack: Stack, dialled: Web) -> None:
    """Who isn't admitted is refused by the head, whatever they announce; six of them never finish their bodies."""
    body = b"1" * (8 * MEGABYTE - 1)
    with bystander(stack, dialled), ExitStack() as lines:
        before = memory(dialled)
        for number in range(6):
            line = lines.enter_context(socket.create_connection(("127.0.0.1", dialled.port), timeout=10))
            with contextlib.suppress(ConnectionError):
                line.sendall(head(f"STRANGE{number:02}", f"Content-Length: {8 * MEGABYTE}") + body)
        assert memory(dialled) - before < 20 * MEGABYTE


def test_the_date_of_an_answer_is_the_moment_by_greenwich_because_units_set_their_clocks_by_it(
    stack: Stack, dialled: Web
) -> None:
    (serial,) = stack.serials(1)
    url = f"http://127.0.0.1:{dialled.port}/iclock/cdata?SN={serial}&options=all&pushver=2.4.1"
    answer = requests.get(url, headers={"User-Agent": "iClock Proxy/1.09"}, timeout=10)

    said = parsedate_to_datetime(answer.headers["Date"])
    assert answer.text.startswith(f"GET OPTION FROM: {serial}\n")
    assert abs(datetime.now(UTC) - said) < timedelta(seconds=3)
    assert (answer.headers["Content-Type"], answer.headers["Content-Length"]) == (
        "text/plain",
        str(len(answer.content)),
    )
