"""``manage.py restore_templates FILE``: the biometric templates of a backup, to the people who are here."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.db import Error

from iclock.domain.sealed_file import SealedFileError
from iclock.domain.template_backup import Restored, restore_templates
from iclock.management.passphrases import add_passphrase_argument, known_passphrase

_LISTED: Final = 100


class Command(BaseCommand):
    help = (
        "Store the templates of a file that backup_templates wrote, for people with the same codes; what is here stays."
        " Their terminals get them. A file that isn't whole is refused before anything is written."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        add_passphrase_argument(parser)
        parser.add_argument(
            "--replace", action="store_true", help="replace templates that are here by those of the file"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would be stored, and store nothing")

    def handle(
        self, *args: Any, file: Path, passphrase_file: Path | None, replace: bool, dry_run: bool, **options: Any
    ) -> None:
        passphrase = known_passphrase(passphrase_file)
        try:
            restored = restore_templates(file, passphrase, replace=replace, dry_run=dry_run, actor="restore_templates")
        except SealedFileError as error:
            raise CommandError(f"{error} Nothing was stored.") from error
        except Error as error:
            sentence = str(error).strip().partition("\n")[0]
            raise CommandError(f"Not all of it could be stored ({sentence}); restore the file again.") from error
        self._tell(restored, dry_run=dry_run)

    def _tell(self, restored: Restored, *, dry_run: bool) -> None:
        unknown = sorted(restored.unknown)
        for code in unknown[:_LISTED]:
            self.stderr.write(f"{code}: nobody here has this code")
        if len(unknown) > _LISTED:
            self.stderr.write(f"... and {len(unknown) - _LISTED} more")
        self.stdout.write(
            f"{'Would be restored' if dry_run else 'Restored'}: {restored.new} new, {restored.replaced} replaced,"
            f" {restored.same} here already, {restored.kept} kept as they are here, {restored.without_consent} without"
            f" consent, {restored.nobodys} of nobody here."
        )
