"""Punches from a USB stick: through the same door, with line numbers for what can't be one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from iclock.domain import usb
from iclock.domain.ingest import Counts, record_punches
from iclock.domain.usb import import_attlog, serial_in
from iclock.models import QuarantinedRecord, Terminal, Transaction
from iclock.punch import Punch, Source
from zkbio.accounts.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)

SN = "CKJF201260077"
EIGHT = datetime(2026, 3, 2, 8)
BAD = b"7\t2026-02-31 08:00:00\t1\t0\t1\t0\r\n"


def export(*punches: Punch) -> bytes:
    return b"".join(
        f"{p.emp_code:>9}\t{p.punch_time}\t1\t{p.punch_state}\t{p.verify_type}\t0\r\n".encode() for p in punches
    )


def day(count: int) -> list[Punch]:
    return [Punch(str(1 + n % 9), EIGHT + timedelta(seconds=n), n % 2, 1) for n in range(count)]


@pytest.fixture
def run(tmp_path: Path, terminal: Terminal) -> Any:
    """Import a file with this content; gives what was said, and whether it ended well."""

    def imported(content: bytes, *, name: str = f"{SN}_attlog.dat", **options: Any) -> tuple[str, str]:
        file, out = tmp_path / name, StringIO()
        file.write_bytes(content)
        try:
            call_command("import_attlog", str(file), stdout=out, stderr=out, **options)
        except CommandError as error:
            return out.getvalue(), str(error)
        return out.getvalue(), ""

    return imported


def test_a_file_named_after_its_terminal_is_imported_once(run: Any) -> None:
    content = export(*day(2_500))

    first, again = run(content), run(content)

    assert first == ("Imported: 2500 lines: 2500 new, 0 already here, 0 quarantined.\n", "")
    assert again == ("Imported: 2500 lines: 0 new, 2500 already here, 0 quarantined.\n", "")
    row = Transaction.objects.order_by("id").values_list("terminal_sn", "emp_code", "punch_time", "source")[0]
    assert row == (SN, "1", EIGHT, Source.IMPORT)


def test_what_was_pulled_before_is_already_here(run: Any, terminal: Terminal) -> None:
    record_punches(terminal, day(2), source=Source.PULL)

    assert run(export(*day(3)))[0] == "Imported: 3 lines: 1 new, 2 already here, 0 quarantined.\n"
    assert [*Transaction.objects.order_by("id").values_list("source", flat=True)] == [1, 1, 0]


def test_bad_lines_are_quarantined_with_their_numbers_and_their_neighbours_stored(run: Any) -> None:
    too_long = b"1" * 25 + b"\t2026-03-02 08:00:00\t1\t0\t1\t0\r\n"

    said, error = run(export(*day(1)) + BAD + too_long + export(*day(2)))

    assert said.splitlines() == [
        "line 2: no calendar has the time 2026-02-31 08:00:00",
        "line 3: the user id has 25 characters; 1 to 24 are possible",
        "Imported: 5 lines: 2 new, 1 already here, 2 quarantined.",
    ]
    assert error == "Bad lines can be looked at and tried again in the quarantine."
    kept = QuarantinedRecord.objects.order_by("id").values_list("terminal_sn", "source", "raw", "reason")
    assert {(sn, source, bytes(raw), reason) for sn, source, raw, reason in kept} == {
        (SN, Source.IMPORT, BAD.strip(), "no calendar has the time 2026-02-31 08:00:00"),
        (SN, Source.IMPORT, too_long.strip(), "the user id has 25 characters; 1 to 24 are possible"),
    }


def test_the_first_bad_lines_are_told_and_the_others_counted(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usb, "LINES_AT_ONCE", 3)

    said = run(export(*day(1)) + BAD * 23)[0].splitlines()

    assert [line.partition(":")[0] for line in said[:20]] == [f"line {number}" for number in range(2, 22)]
    assert said[20:] == ["... and 3 more", "Imported: 24 lines: 1 new, 0 already here, 23 quarantined."]


def test_a_dry_run_counts_the_same_and_stores_nothing(
    run: Any, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usb, "LINES_AT_ONCE", 4)
    record_punches(terminal, day(2), source=Source.PULL)
    content = export(*day(9)) + BAD + export(*day(3))

    said, error = run(content, dry_run=True)

    assert said.splitlines()[-1] == "Would be imported: 13 lines: 7 new, 5 already here, 1 quarantined."
    assert error == "Bad lines would be put into the quarantine."
    assert (Transaction.objects.count(), QuarantinedRecord.objects.count(), AuditEntry.objects.count()) == (2, 0, 0)
    assert run(content)[0].splitlines()[-1] == "Imported: 13 lines: 7 new, 5 already here, 1 quarantined."


def test_a_machine_number_is_no_serial_number(run: Any) -> None:
    Terminal.objects.create(sn="1", alias="Not this one")

    _, error = run(export(*day(1)), name="1_attlog.dat")

    assert error == "The name 1_attlog.dat holds no serial number; say whose file it is with --terminal SN."
    assert run(export(*day(1)), name="1_attlog.dat", terminal=SN)[1] == ""
    assert Transaction.objects.get().terminal_sn == SN


@pytest.mark.parametrize(
    ("name", "serial"),
    [
        ("CKJF201260077_attlog.dat", "CKJF201260077"),
        ("3399184200077_ATTLOG.DAT", "3399184200077"),
        ("1_attlog.dat", ""),
        ("254_attlog.dat", ""),
        ("attlog.dat", ""),
        ("_attlog.dat", ""),
        ("AGL_0001.TXT", ""),
        ("1_user.dat", ""),
    ],
)
def test_a_serial_number_is_found_in_the_name_of_a_file(name: str, serial: str) -> None:
    assert serial_in(name) == serial


def test_a_terminal_that_nobody_knows_is_refused(run: Any) -> None:
    error = run(export(*day(1)), terminal="ELSEWHERE")[1]

    assert error == "There is no terminal with the serial number ELSEWHERE; add it first, or use --terminal."


def test_another_file_is_refused_and_nothing_is_stored(run: Any) -> None:
    said, error = run(bytes(range(256)) * 100)

    assert said == ""
    assert error.startswith(f"{SN}_attlog.dat: This is no export of a terminal's punches: ")
    assert error.endswith(" Nothing was stored.")
    assert (QuarantinedRecord.objects.count(), AuditEntry.objects.count()) == (0, 0)


def test_a_file_that_is_not_there_is_told_in_a_sentence(terminal: Terminal) -> None:
    with pytest.raises(CommandError, match=r"^gone\.dat can't be read: No such file or directory\.$"):
        call_command("import_attlog", "/nowhere/gone.dat", terminal=SN)


def test_an_import_is_in_the_audit_trail(run: Any) -> None:
    run(export(*day(2)) + BAD)

    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.subject) == ("import_attlog", "iclock.import_attlog", f"terminal {SN}")
    assert entry.detail == {"file": f"{SN}_attlog.dat", "lines": 3, "new": 2, "duplicate": 0, "quarantined": 1}


def test_a_day_that_is_imported_and_pulled_at_one_moment_is_there_once(tmp_path: Path, terminal: Terminal) -> None:
    punches = day(6_000)
    file = tmp_path / "day.dat"
    file.write_bytes(export(*punches[::-1]))
    barrier = Barrier(3)

    def pull() -> Counts:
        barrier.wait(timeout=20)
        try:
            return record_punches(terminal, punches, source=Source.PULL)
        finally:
            connection.close()

    def bring() -> Counts:
        barrier.wait(timeout=20)
        try:
            with file.open("rb") as content:
                return import_attlog(terminal, content, actor="test", name=file.name).counts
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        counts = [done.result(60) for done in [pool.submit(pull), pool.submit(bring), pool.submit(bring)]]

    assert [sum(count) for count in counts] == [6_000] * 3
    assert sum(count.new for count in counts) == 6_000
    stored = Transaction.objects.values_list("emp_code", "punch_time")
    assert sorted(stored) == sorted((p.emp_code, p.punch_time) for p in punches)
