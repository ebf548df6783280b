"""import_attlog FILE: the punches that a terminal wrote on a USB stick."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error

from iclock.domain.attlog import ENCODINGS, NotAnExportError
from iclock.domain.usb import Imported, foresee_import, import_attlog, serial_in
from iclock.models import Terminal


class Command(BaseCommand):
    help = (
        "Import the punches that a terminal wrote on a USB stick (1_attlog.dat, SERIAL_attlog.dat, AGL_0001.TXT)."
        " Importing a file again adds nothing. Exit code 1: something is not here, be it a single line."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--terminal", metavar="SN", help="its serial number, unless the file is named after it")
        parser.add_argument("--encoding", choices=ENCODINGS, default="", help="of user ids that are no plain ASCII")
        parser.add_argument("--dry-run", action="store_true", help="say what would be stored, and store nothing")

    def handle(
        self, *args: Any, file: Path, terminal: str | None, encoding: str, dry_run: bool, **options: Any
    ) -> None:
        found = _terminal(terminal or serial_in(file.name), file.name)
        try:
            with file.open("rb") as export:
                if dry_run:
                    imported = foresee_import(found, export, encoding=encoding)
                else:
                    imported = import_attlog(found, export, actor="import_attlog", name=file.name, encoding=encoding)
        except NotAnExportError as error:
            raise CommandError(f"{file.name}: {error} Nothing was stored.") from error
        except OSError as error:
            raise CommandError(f"{file.name} can't be read: {error.strerror}.") from error
        except Error as error:
            sentence = str(error).strip().partition("\n")[0]
            raise CommandError(f"Not all of it could be stored ({sentence}); import the file again.") from error
        self._report(imported, dry_run=dry_run)

    def _report(self, imported: Imported, *, dry_run: bool) -> None:
        counts = imported.counts
        for number, reason in imported.bad:
            self.stderr.write(f"line {number}: {reason}")
        if more := counts.quarantined - len(imported.bad):
            self.stderr.write(f"... and {more} more")
        verb = "Would be imported" if dry_run else "Imported"
        self.stdout.write(
            f"{verb}: {imported.lines} lines: {counts.new} new, {counts.duplicate} already here,"
            f" {counts.quarantined} quarantined."
        )
        if counts.quarantined:
            now = (
                "would be put into the quarantine" if dry_run else "can be looked at and tried again in the quarantine"
            )
            raise CommandError(f"Bad lines {now}.")


def _terminal(serial: str, file_name: str) -> Terminal:
    if not serial:
        raise CommandError(f"The name {file_name} holds no serial number; say whose file it is with --terminal SN.")
    terminal = Terminal.objects.select_related("area").filter(sn=serial).first()
    if terminal is None:
        raise CommandError(f"There is no terminal with the serial number {serial}; add it first, or use --terminal.")
    return terminal
