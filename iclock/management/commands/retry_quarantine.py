"""retry_quarantine: read what was put aside again, after a fix."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from iclock.domain.quarantine import retry
from iclock.models import QuarantinedRecord


class Command(BaseCommand):
    help = "Try the open records of the quarantine again: those that can be read by now become punches."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--terminal", metavar="SN", help="only those of the terminal with this serial number")

    def handle(self, *args: Any, terminal: str | None, **options: Any) -> None:
        records = QuarantinedRecord.objects.all()
        if terminal is not None:
            records = records.filter(terminal_sn=terminal)
            if not records.exists():
                raise CommandError(f"There is no record of a terminal with the serial number {terminal}.")
        released, kept = retry(records, actor="retry_quarantine")
        self.stdout.write(f"Punches now: {released}. Kept: {kept}.")
