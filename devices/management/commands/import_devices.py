"""``manage.py import_devices devices.json``: enter and change devices as a file says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error

from devices.domain.registry_disk import RegistryFileError
from devices.domain.registry_entries import Outcome
from devices.domain.registry_file import configured_path, import_file, load_at_start


class Command(BaseCommand):
    help = (
        "Enter the devices of a file and change those that are there already; none is removed."
        " Exits with 1 when an entry was refused."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", help="a devices.json: {id: {ip, port, password, timeout, name}, …}")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
        parser.add_argument(
            "--at-start",
            action="store_true",
            help="load what was edited in DEVICES_FILE since we wrote it, or make it; never fails, as a start does it",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["at_start"]:
            self._load_at_start()
        elif options["file"] is None:
            raise CommandError("Name the file: ./script/manage import_devices devices.json")
        else:
            self._import(Path(options["file"]), dry_run=options["dry_run"])

    def _import(self, path: Path, *, dry_run: bool) -> None:
        try:
            outcomes, unwritten = import_file(path, dry_run=dry_run)
        except RegistryFileError as error:
            raise CommandError(str(error)) from error
        self._tell(outcomes)
        self.stdout.write(
            f"{_summary(outcomes)}{' Nothing was changed: a dry run.' if dry_run else ''}{_afterword(unwritten)}"
        )
        if any(outcome.verdict == "refused" for outcome in outcomes):
            would = ("would be", "would be") if dry_run else ("were", "are")
            raise CommandError(f"Some entries {would[0]} refused; all others {would[1]} as the file says.")

    def _load_at_start(self) -> None:
        path = configured_path()
        if path is None:
            self.stdout.write("DEVICES_FILE names no file.")
            return
        try:
            outcomes, unwritten = load_at_start(path)
        except (RegistryFileError, Error) as error:
            self.stdout.write(f"{str(error).strip()} The database goes on as it is.")
            return
        self._tell(outcomes)
        self.stdout.write(f"{path}: {_summary(outcomes)}{_afterword(unwritten)}")

    def _tell(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            key = outcome.key if outcome.key.isprintable() else ascii(outcome.key)
            self.stdout.write(f"{key}: {outcome.verdict}{f': {outcome.why}' if outcome.why else ''}")


def _afterword(unwritten: str) -> str:
    return f" Not written afterwards: {unwritten}" if unwritten else ""


def _summary(outcomes: list[Outcome]) -> str:
    counts = Counter(outcome.verdict for outcome in outcomes)
    told = [f"{counts[verdict]} {verdict}" for verdict in ("new", "changed", "same", "refused") if counts[verdict]]
    refused = [ascii(outcome.key)[1:-1] for outcome in outcomes if outcome.verdict == "refused"]
    which = f" ({', '.join(refused[:5])}{', …' if len(refused) > 5 else ''})" if refused else ""
    return f"{', '.join(told) or 'nothing to load'}{which}."
