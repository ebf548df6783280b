"""``manage.py accept_unit front_gate --yes``: the unit that answers there is the device's terminal from now on."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from devices.domain.identity import NotAcceptedError, accept_unit
from devices.domain.registry import unknown_in_a_sentence
from devices.models import Device


class Command(BaseCommand):
    help = "Accept the unit that answers at a device's address instead of the one that is known there."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", help="the device's id, as the list of devices and add_device say it")
        parser.add_argument("--yes", action="store_true", help="do it; without it only both serial numbers are shown")

    def handle(self, *args: Any, **options: Any) -> None:
        device = Device.objects.select_related("terminal").filter(key=options["id"]).first()
        if device is None:
            raise CommandError(unknown_in_a_sentence(options["id"]))
        if not device.stranger_sn:
            raise CommandError(f"No other unit answers as {device}: there is none to accept.")
        known = device.terminal.sn if device.terminal else "not known yet"
        self.stdout.write(f"{device}\nKnown there: {known}\nAnswers there: {device.stranger_sn}")
        if not options["yes"]:
            self.stdout.write("Nothing was changed. Say --yes to accept it.")
            return
        try:
            terminal = accept_unit(device, actor="accept_unit")
        except NotAcceptedError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"Accepted: {device.name} is the unit {terminal.sn} from now on. The former terminal keeps its punches."
        )
