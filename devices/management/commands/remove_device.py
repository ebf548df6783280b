"""``manage.py remove_device front_gate``: stop dialling an address."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from devices.domain.registry import unknown_in_a_sentence
from devices.models import Device
from zkbio.accounts.domain.audit import record


class Command(BaseCommand):
    help = "Forget the address of a terminal and the history of its visits; the terminal and its punches stay."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", help="its id, as the list of devices and add_device say it")

    def handle(self, *args: Any, **options: Any) -> None:
        device = Device.objects.filter(key=options["id"]).first()
        if device is None:
            raise CommandError(unknown_in_a_sentence(options["id"]))
        with transaction.atomic():
            record(actor="remove_device", action="devices.remove", subject=str(device), detail={"id": device.key})
            device.delete()
        self.stdout.write(f"Removed {device}. Its terminal and punches stay.")
