"""What terminals are asked to do, carried out by whoever dials them: reading the log at once, and a restart."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from django.db import connection

from devices.domain.dialling import dial
from devices.domain.lease import Lease
from devices.driver.errors import TerminalError
from devices.driver.session import TerminalSession
from devices.models import Device
from iclock.domain.commands import READS, Kind, claim_commands, finish_command
from iclock.domain.ingest import Counts
from iclock.models import Terminal, TerminalCommand

PULLED: Final = (*READS, Kind.REBOOT, Kind.CLEAR_LOG)

_log = logging.getLogger(__name__)


class Errands(NamedTuple):
    """What waits for a device's terminal."""

    ids: frozenset[int]
    reads: bool
    restart: bool
    clear: bool = False


def errands_of(device_id: int) -> Errands:
    waiting = TerminalCommand.objects.open().filter(terminal__device=device_id, kind__in=PULLED)
    kinds = dict(waiting.values_list("pk", "kind"))
    asked = set(kinds.values())
    return Errands(
        frozenset(kinds), reads=not asked.isdisjoint(READS), restart=Kind.REBOOT in asked, clear=Kind.CLEAR_LOG in asked
    )


def claim(terminal: Terminal, kinds: Iterable[str], lease: Lease) -> list[TerminalCommand]:
    """In the middle of a conversation, so no connection is kept."""
    try:
        return claim_commands(terminal.pk, kinds, since=lease.taken_at)
    finally:
        connection.close()


def finish_reads(reads: Collection[TerminalCommand], *, rows: int, counts: Counts) -> None:
    """The log is read and stored."""
    punches = "1 punch" if rows == 1 else f"{rows} punches"
    for command in reads:
        finish_command(command, ok=True, sentence=f"{punches} read, {counts.new} new.")


def restart(device: Device, terminal: Terminal, lease: Lease) -> None:
    """After everything is stored: a conversation of its own. Who can't be reached now is asked at the next visit."""
    try:
        with dial(device) as session:
            if session.identity().serial == terminal.sn:
                for command in claim(terminal, [Kind.REBOOT], lease):
                    _restart(session, command)
    except TerminalError as error:
        _log.warning("Device %s was not restarted: %s", device.key, error)


def _restart(session: TerminalSession, command: TerminalCommand) -> None:
    try:
        session.restart()
    except TerminalError as error:
        finish_command(command, ok=False, sentence=f"Sent, but: {error}")
        raise
    finish_command(command, ok=True, sentence="Restarted.")
