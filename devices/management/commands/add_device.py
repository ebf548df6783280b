"""``manage.py add_device 192.168.1.201``: enter a terminal that is to be dialled."""

from __future__ import annotations

import os
import sys
from getpass import getpass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.urls import reverse

from devices.domain.registry import AlreadyRegisteredError, check_host, key_for, parse_comm_key, register_device
from devices.domain.registry_entries import in_one_line
from devices.models import Device
from zkbio.accounts.domain.audit import record

_COMM_KEY_VARIABLE = "DEVICE_COMM_KEY"
_MAX_LINE = 64


class Command(BaseCommand):
    help = "Enter a terminal that the platform is to dial; its punches are read from the next tick on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("host", help="the terminal's IP address, within DEVICE_NETWORKS")
        parser.add_argument("--port", type=int, default=4370)
        parser.add_argument(
            "--name", default="", help="as lists show it; default: the address, with a port other than 4370"
        )
        parser.add_argument("--id", default="", help="its id in URLs; default: made of the address")
        secret = parser.add_mutually_exclusive_group()
        secret.add_argument("--comm-key-stdin", action="store_true", help="read the comm key from standard input")
        secret.add_argument(
            "--comm-key",
            default="",
            help="the comm key itself; every user of this machine sees it in ps and it stays in the shell's history: "
            f"prefer --comm-key-stdin, or the environment variable {_COMM_KEY_VARIABLE}",
        )
        parser.add_argument("--timeout", type=int, default=5, help="seconds for one answer of the terminal")
        parser.add_argument("--encoding", default="UTF-8", help="the code page of names on the terminal")
        parser.add_argument("--time-zone", default="", help="Europe/Madrid or UTC+05:30; default: the platform's")
        parser.add_argument("--udp", action="store_true", help="for units that speak UDP only")
        parser.add_argument("--interval", type=int, default=None, help="seconds from one reading to the next")
        parser.add_argument("--if-missing", action="store_true", help="succeed when the address is there already")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            device = _register(options)
        except AlreadyRegisteredError as error:
            if not options["if_missing"]:
                raise CommandError(f"{in_one_line(error)} {_where_to_change(error.there)}") from error
            self.stdout.write(f"{in_one_line(error)} Nothing was changed.")
        except ValidationError as error:
            raise CommandError(in_one_line(error)) from error
        else:
            self.stdout.write(
                f"Added {device} with the id {device.key}. It is read within seconds where the worker and the "
                f"scheduler run; now with: ./script/manage sync_devices --device {device.key}"
            )


@transaction.atomic
def _register(options: dict[str, Any]) -> Device:
    host = check_host(options["host"])
    device = register_device(
        key=options["id"] or key_for(host, options["port"]),
        name=options["name"] or (host if options["port"] == 4370 else f"{host}:{options['port']}"),
        host=host,
        port=options["port"],
        comm_key=parse_comm_key(_comm_key(options)),
        timeout=options["timeout"],
        encoding=options["encoding"],
        time_zone=options["time_zone"],
        transport=Device.Transport.UDP if options["udp"] else Device.Transport.TCP,
        interval=options["interval"],
    )
    record(actor="add_device", action="devices.register", subject=str(device), detail={"id": device.key})
    return device


def _comm_key(options: dict[str, Any]) -> str:
    if options["comm_key_stdin"]:
        return getpass("Comm key: ") if sys.stdin.isatty() else sys.stdin.readline(_MAX_LINE)
    return options["comm_key"] or os.environ.get(_COMM_KEY_VARIABLE, "")


def _where_to_change(device: Device) -> str:
    page = reverse("admin:devices_device_change", args=[device.pk])
    return f"Change it at {page}, or take it out with: ./script/manage remove_device {device.key}"
