"""import_employees FILE.csv: people from a spreadsheet."""

from __future__ import annotations

import csv
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError

from personnel.domain.importing import Line, Outcome, import_employees, known_columns

_MOST_LINES: Final = 200_000
_MOST_MISTAKES_SHOWN: Final = 100
_AS_UTF8: Final = (
    "Save it again as UTF-8: in Excel as the file type “CSV UTF-8”, in LibreOffice as “Text CSV” with the character"
    " set “Unicode (UTF-8)”, or convert it with: iconv -f WINDOWS-1252 -t UTF-8 OLD.csv > NEW.csv"
)


class Command(BaseCommand):
    help = (
        "Import people from a CSV file whose first line names the columns as the API does: emp_code, first_name,"
        " department (its code), area (codes, separated by ;), position (its code), card_no, custom attributes, ..."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="UTF-8, columns separated by comma, semicolon or tab")
        parser.add_argument("--dry-run", action="store_true", help="check every line, and store nothing")
        parser.add_argument("--update", action="store_true", help="change people whose code exists; empty cells keep")
        parser.add_argument("--skip-bad", action="store_true", help="store the good lines though others have mistakes")

    def handle(self, *args: Any, file: Path, dry_run: bool, update: bool, skip_bad: bool, **options: Any) -> None:
        try:
            with file.open(encoding="utf-8-sig", newline="") as text:
                outcome = import_employees(read_lines(text), update=update, skip_bad=skip_bad, dry_run=dry_run)
        except UnicodeDecodeError as error:
            raise CommandError(f"{file} is not UTF-8. {_AS_UTF8}") from error
        except (OSError, csv.Error) as error:
            raise CommandError(f"{file} can't be read: {error}") from error
        except IntegrityError as error:
            raise CommandError("Somebody else changed people meanwhile; nothing was imported. Try again.") from error
        self._report(outcome, dry_run=dry_run, skip_bad=skip_bad)

    def _report(self, outcome: Outcome, *, dry_run: bool, skip_bad: bool) -> None:
        for mistake in outcome.mistakes[:_MOST_MISTAKES_SHOWN]:
            self.stderr.write(f"line {mistake.line}: {mistake.sentence}")
        if len(outcome.mistakes) > _MOST_MISTAKES_SHOWN:
            self.stderr.write(f"... and {len(outcome.mistakes) - _MOST_MISTAKES_SHOWN} more")
        if outcome.mistakes and not skip_bad:
            raise CommandError(f"{len(outcome.mistakes)} mistakes; nothing was imported.")
        verb = "Would import" if dry_run else "Imported"
        skipped = f", {len({mistake.line for mistake in outcome.mistakes})} skipped" if skip_bad else ""
        self.stdout.write(f"{verb}: {outcome.created} new, {outcome.updated} changed{skipped}.")


def read_lines(text: Any) -> Iterator[Line]:
    """The lines below the header. Raises CommandError for a header that can't be."""
    head = text.readline()
    delimiter = max(",;\t", key=head.count)
    names = [name.strip() for name in next(csv.reader([head], delimiter=delimiter), [])]
    known = known_columns()
    if unknown := ", ".join(repr(name) for name in names if name not in known):
        raise CommandError(f"Unknown columns: {unknown}. There are these: {', '.join(known)}.")
    if "emp_code" not in names or len(set(names)) < len(names):
        raise CommandError("The first line names the columns, each once, emp_code among them.")
    rows = csv.reader(text, delimiter=delimiter, strict=True)
    for row in rows:
        if rows.line_num > _MOST_LINES:
            raise CommandError(f"At most {_MOST_LINES} lines are read at once.")
        if len(row) > len(names):
            raise CommandError(f"Line {rows.line_num + 1} has more cells than there are columns.")
        if any(cell.strip() for cell in row):
            yield Line(rows.line_num + 1, dict(zip(names, row, strict=False)))
