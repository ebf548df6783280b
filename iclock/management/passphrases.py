"""Where a command gets a passphrase from: a file, or somebody who types it. Never from its arguments, which all see."""

from __future__ import annotations

import os
import stat
import sys
from argparse import ArgumentParser
from getpass import getpass
from pathlib import Path
from typing import Final

from django.core.management.base import CommandError

SHORTEST: Final = 12
_MOST_BYTES: Final = 4096


def add_passphrase_argument(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help="the file whose first line is the passphrase; else it is asked for",
    )


def new_passphrase(file: Path | None) -> str:
    """One that is long enough, typed twice. Raises CommandError."""
    passphrase = known_passphrase(file)
    if len(passphrase) < SHORTEST:
        raise CommandError(f"A passphrase has {SHORTEST} characters at least: whoever guesses it has all templates.")
    if file is None and getpass("The same again: ") != passphrase:
        raise CommandError("These were two different passphrases; nothing was written.")
    return passphrase


def known_passphrase(file: Path | None) -> str:
    """Raises CommandError."""
    if file is None and not sys.stdin.isatty():
        raise CommandError("Nobody is there to type the passphrase: name a file with --passphrase-file.")
    passphrase = getpass("Passphrase: ") if file is None else _first_line(file)
    if not passphrase:
        raise CommandError("No passphrase was given.")
    return passphrase


def _first_line(file: Path) -> str:
    """When others may read it that is said, not refused: what hands secrets to services protects their folder alone."""
    try:
        with file.open("rb") as opened:
            if stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & (stat.S_IRGRP | stat.S_IROTH):
                sys.stderr.write(f"{file} may be read by others than its owner: chmod 600 {file}\n")
            return opened.readline(_MOST_BYTES).decode().rstrip("\r\n")
    except OSError as error:
        raise CommandError(f"{file} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{file} is no text in UTF-8.") from error
