"""Clearing a terminal's punch log: who asked for it, what is here of it, and what came of it, all in the trail.

Nothing here speaks to a terminal. Whoever does clears only what :func:`what_is_missing` finds nothing missing of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from itertools import islice
from typing import Any, Final

from django.db import connection, transaction

from iclock.domain.commands import Kind, finish_command, queue_commands
from iclock.domain.ingest import fault_of
from iclock.models import QuarantinedRecord, Terminal, TerminalCommand, Transaction
from iclock.punch import Punch, Reject
from zkbio.accounts.domain.audit import record

PERMISSION: Final = "iclock.clear_log"

_BATCH: Final = 5_000
# Deleted punches are among the stored: their rows stay, so nothing is lost of them.
_STORED: Final = """
SELECT count(*) FROM unnest(%s::text[], %s::timestamp[]) AS asked (emp_code, punch_time)
JOIN iclock_transaction AS punch USING (emp_code, punch_time) WHERE punch.terminal_sn = %s"""


def ask_to_clear(terminals: Collection[Terminal], *, user: Any, actor: object) -> None:
    """Ask for these logs to be cleared by the next visit to each. ``actor`` is the user, or their request."""
    with transaction.atomic():
        queue_commands(terminals, Kind.CLEAR_LOG, user=user)
        for terminal in sorted(terminals, key=lambda each: each.pk):
            record(actor=actor, action="iclock.ask_to_clear_log", subject=str(terminal), detail={"sn": terminal.sn})


def finish_clearing(command: TerminalCommand, *, ok: bool, sentence: str) -> bool:
    """Say what came of a claimed command, in the trail too; False when it is over already."""
    with transaction.atomic():
        if not finish_command(command, ok=ok, sentence=sentence):
            return False
        terminal, asked_by = command.terminal, str(command.created_by or "")
        action = "iclock.clear_log" if ok else "iclock.refuse_to_clear_log"
        detail = {"sn": terminal.sn, "command": command.pk, "asked_by": asked_by, "result": sentence}
        record(actor="sync", action=action, subject=str(terminal), detail=detail)
    return True


def count_stored_of(terminal_sn: str) -> int:
    """How many punches of a terminal are stored, whatever it still holds of them."""
    return Transaction.objects.live().filter(terminal_sn=terminal_sn).count()


def what_is_missing(terminal_sn: str, punches: Sequence[Punch], rejects: Sequence[Reject]) -> int:
    """How many of these are neither stored nor, if they can't be punches, in quarantine with their bytes."""
    wanted = {(punch.emp_code, punch.punch_time) for punch in punches if not fault_of(punch)}
    digests = {hashlib.sha256(reject.raw).digest() for reject in rejects}
    kept = QuarantinedRecord.objects.filter(terminal_sn=terminal_sn, digest__in=digests).count() if digests else 0
    return len(wanted) - _count_stored(terminal_sn, wanted) + len(digests) - kept


def _count_stored(terminal_sn: str, identities: Collection[tuple[str, object]]) -> int:
    left, found = iter(identities), 0
    with connection.cursor() as cursor:
        while batch := list(islice(left, _BATCH)):
            codes, moments = zip(*batch, strict=True)
            cursor.execute(_STORED, [list(codes), list(moments), terminal_sn])
            found += cursor.fetchone()[0]
    return found
