"""``manage.py check_device 192.168.1.201``: what is wrong with a unit, and what to do about it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from getpass import getpass
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from devices.domain.checkup import VERDICT, Target, check_unit, target_of
from devices.domain.findings import Step
from devices.domain.lease import BusyError, hold_in_turn
from devices.domain.registry import parse_comm_key, unknown_in_a_sentence
from devices.domain.registry_entries import in_one_line
from devices.models import Device

_KEY_VARIABLE: Final = "DEVICE_COMM_KEY"
_MAX_LINE: Final = 64
_BUSY: Final = "Somebody is talking to %s just now, and a unit talks to one at a time: try again in a minute."


class Command(BaseCommand):
    help = "Check a unit step by step, from its address to its log. Changes nothing. Exits with 1 if anything is wrong."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("unit", metavar="HOST|DEVICE-ID", help="an IP address, or the id of a registered device")
        parser.add_argument("--port", type=int, default=None, help="default: 4370")
        secret = parser.add_mutually_exclusive_group()
        secret.add_argument("--ask-key", action="store_true", help="ask for the comm key, or read it from the input")
        secret.add_argument(
            "--key",
            default="",
            help="the comm key itself; every user of this machine sees it in ps and it stays in the shell's history: "
            f"prefer --ask-key, or the environment variable {_KEY_VARIABLE}; a registered device's is known",
        )
        parser.add_argument("--udp", action="store_true", help="for units that speak UDP only")
        parser.add_argument("--timeout", type=float, default=None, help="seconds for one answer, 5 by default")
        parser.add_argument("--json", action="store_true", help="everything as one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        device = _registered(options)
        typed = _typed_key(options)
        with _turn(device):
            if device is not None:
                device.refresh_from_db()  # as the visit left it that was waited for
            steps = self._show(_target(device, options, typed), as_json=options["json"])
        if not steps[-1].ok:
            sys.exit(1)

    def _show(self, target: Target, *, as_json: bool) -> list[Step]:
        """Each step as soon as it is made, or all of them at the end."""
        steps = []
        for step in check_unit(target):
            steps.append(step)
            if not as_json:
                self.stdout.write(_line(step))
                self.stdout.flush()
        if as_json:
            told = [step._asdict() for step in steps if step.name != VERDICT]
            self.stdout.write(json.dumps({"ok": steps[-1].ok, "steps": told, "verdict": steps[-1].sentence}))
        return steps


def _registered(options: dict[str, Any]) -> Device | None:
    devices = Device.objects.select_related("terminal")
    named = devices.filter(key=options["unit"]).first()
    if named is not None:
        return named
    return devices.filter(host=_host(options["unit"]), port=options["port"] or 4370).first()


def _host(text: str) -> str:
    """What can't be an address is answered by the first step, but an id that nobody has deserves its own sentence."""
    if not any(sign in text for sign in ".:"):
        raise CommandError(f"{unknown_in_a_sentence(ascii(text))} Write its id, or the unit's IP address.")
    return text


def _target(device: Device | None, options: dict[str, Any], typed: str) -> Target:
    target = Target(options["unit"]) if device is None else target_of(device)
    given = {name: options[name] for name in ("port", "timeout") if options[name] is not None}
    if options["udp"]:
        given["udp"] = True
    if typed:
        try:
            given["comm_key"] = parse_comm_key(typed)
        except ValidationError as error:
            raise CommandError(in_one_line(error)) from error
    return replace(target, **given)


def _typed_key(options: dict[str, Any]) -> str:
    if options["ask_key"]:
        return getpass("Comm key: ") if sys.stdin.isatty() else sys.stdin.readline(_MAX_LINE).strip()
    return options["key"] or os.environ.get(_KEY_VARIABLE, "")


@contextmanager
def _turn(device: Device | None) -> Iterator[None]:
    """A registered device is nobody else's meanwhile; a visit that is going on is waited for."""
    if device is None:
        yield
        return
    try:
        with hold_in_turn(device.pk, seconds=settings.LIVE_WAIT_SECONDS):
            yield
    except BusyError as error:
        raise CommandError(_BUSY % device) from error


def _line(step: Step) -> str:
    if step.name == VERDICT:
        return step.sentence
    advice = f"\n          {step.advice}" if step.advice else ""
    return f"{'ok' if step.ok else 'WRONG':<6} {step.name}: {step.sentence}{advice}"
