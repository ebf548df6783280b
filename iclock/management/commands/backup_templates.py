"""``manage.py backup_templates FILE``: all biometric templates in one file that a passphrase opens."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from iclock.domain.sealed_file import SealedFileError
from iclock.domain.template_backup import back_up_templates
from iclock.management.passphrases import add_passphrase_argument, new_passphrase


class Command(BaseCommand):
    help = "Write all biometric templates into a file, encrypted, that restore_templates reads here or elsewhere."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="a file that isn't there yet")
        add_passphrase_argument(parser)

    def handle(self, *args: Any, file: Path, passphrase_file: Path | None, **options: Any) -> None:
        passphrase = new_passphrase(passphrase_file)
        try:
            count = back_up_templates(file, passphrase, actor="backup_templates")
        except SealedFileError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Templates written to {file}: {count}. Nobody opens it without the passphrase: keep both.")
