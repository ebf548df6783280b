"""``manage.py plan_people gate``: what would be done so that a terminal holds the right people. Changes nothing."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from devices.domain.lease import BusyError, hold_in_turn
from devices.domain.people import plan_unit
from devices.domain.registry import unknown_in_a_sentence
from devices.driver.errors import TerminalError
from devices.models import Device
from iclock.domain.plan import Intent, Kind
from iclock.policy import Direction
from zkbio.crypto import SealError


class Command(BaseCommand):
    help = "Read the people on a unit, and show what would be done to bring the right ones there. Changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("device", help="the id of a registered device")

    def handle(self, *_args: Any, **options: Any) -> None:
        device = Device.objects.select_related("terminal__area").filter(key=options["device"]).first()
        if device is None:
            raise CommandError(unknown_in_a_sentence(options["device"]))
        terminal = device.terminal
        if terminal is None:
            raise CommandError(f"{device} was never visited: it isn't known which terminal it is.")
        try:
            with hold_in_turn(device.pk, seconds=settings.LIVE_WAIT_SECONDS):
                intents, sides = plan_unit(device, terminal)
        except BusyError as error:
            raise CommandError(f"Somebody is talking to {device} just now: try again in a minute.") from error
        except (TerminalError, SealError) as error:
            raise CommandError(str(error)) from error
        held = sum(row.held for row in sides.rows.values())
        strangers = sum(row.held and not row.placed for row in sides.rows.values())
        direction = Direction(terminal.direction).value
        self.stdout.write(f"{terminal}: area {terminal.area}, people go: {direction}, strangers: {terminal.strangers}.")
        self.stdout.write(
            f"{len(sides.wanted)} people belong there, {held} are on the unit, {strangers} of them strangers."
        )
        for intent in intents:
            self.stdout.write(_line(intent))
        refused = {code: row.refusal for code, row in sides.rows.items() if row.refusal}
        for code, refusal in sorted(refused.items()):
            self.stdout.write(f"{code}: {refusal}")
        self.stdout.write(_sum(intents, refused))


def _sum(intents: Collection[Intent], refused: Collection[str]) -> str:
    """What is sure to be done, apart from what the unit may refuse and from whoever is left as they are."""
    unsure = {*refused, *(intent.code for intent in intents if intent.kind is Kind.ADD)}
    tried = sum(intent.code in unsure for intent in intents)
    left = len({*refused} - {intent.code for intent in intents})
    parts = (
        (len(intents) - tried, "{} to do."),
        (tried, "{} to be tried: whether the unit takes new people, and what was refused before, shows only then."),
        (left, "{} left as they are, for what is said of them above."),
    )
    return " ".join(told.format(count) for count, told in parts if count) or "Nothing to do."


def _line(intent: Intent) -> str:
    """``update 7 card, name``."""
    what = ", ".join(intent.columns) or ("" if intent.finger is None else f"finger {intent.finger}")
    return f"{intent.kind.value.replace('_', ' ')} {intent.code} {what}".rstrip()
