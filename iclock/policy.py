"""What an administrator decides about the people of a terminal."""

from __future__ import annotations

from django.db.models import TextChoices


class Direction(TextChoices):
    """Which way people, cards and fingers go."""

    IMPORT = "import", "Import: the terminal tells, nothing is written to it"
    EXPORT = "export", "Export: the platform tells, nothing is taken from the terminal"
    BOTH = "both", "Both"
    OFF = "off", "Off: its people are its own"


class Strangers(TextChoices):
    """What becomes of people on the unit whom nobody wants there and nobody ever put there."""

    KEPT = "kept", "Kept, and listed"
    QUEUED = "queued", "Kept and listed, with an alarm until somebody decides"
    REMOVED = "removed", "Removed, but never at the first contact"
