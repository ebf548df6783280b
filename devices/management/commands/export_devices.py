"""``manage.py export_devices backup.json``: every device as an entry of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from devices.domain.registry_disk import RegistryFileError
from devices.domain.registry_file import export_file


class Command(BaseCommand):
    help = "Write all devices into a file that import_devices reads, here or on another server."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file")
        parser.add_argument(
            "--with-secrets",
            action="store_true",
            help="with the comm keys themselves, for another installation; otherwise they are sealed for this one",
        )
        parser.add_argument("--force", action="store_true", help="replace a file that is there")

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(options["file"])
        if path.exists() and not options["force"]:
            raise CommandError(f"{path} is there already; to replace it, add --force.")
        try:
            count = export_file(path, with_secrets=options["with_secrets"])
        except RegistryFileError as error:
            raise CommandError(str(error)) from error
        secret = " with their comm keys (keep it to yourself)" if options["with_secrets"] else ""
        self.stdout.write(f"Devices written to {path}{secret}: {count}.")
