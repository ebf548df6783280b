"""``manage.py enrol_finger front_gate 1001 6``: have a terminal ask a person for a finger, and follow it."""

from __future__ import annotations

import time
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from devices.domain.registry import unknown_in_a_sentence
from devices.models import Device
from iclock.domain import enrolments
from iclock.models import Enrolment, Terminal
from personnel.models import Employee

_ACTOR: Final = "enrol_finger"
_BLINK: Final = 0.5


class Command(BaseCommand):
    help = (
        "Have a terminal ask a person for a finger, say how it goes, and end when it is over: with 1 unless the finger"
        " is enrolled. The worker has to run. Ctrl-C cancels it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", help="the device's id, as the list of devices and add_device say it")
        parser.add_argument("emp_code", help="the person's code")
        parser.add_argument("finger", type=int, help="0 to 4 right hand, 5 to 9 left hand, from the thumbs on")

    def handle(self, *args: Any, **options: Any) -> None:
        terminal, employee = _terminal_of(options["id"]), _employee(options["emp_code"])
        try:
            enrolment = enrolments.ask(terminal, employee, options["finger"], user=None, actor=_ACTOR)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        try:
            self._follow(enrolment)
        except KeyboardInterrupt:
            enrolments.cancel(enrolment, actor=_ACTOR)
            raise CommandError("Cancelled.") from None
        if enrolment.state != Enrolment.State.DONE:
            raise CommandError(enrolment.sentence)
        self.stdout.write(enrolment.sentence)

    def _follow(self, enrolment: Enrolment) -> None:
        """Ends: what nobody tells of any more expires."""
        said = ""
        while enrolment.finished_at is None:
            if enrolment.sentence not in ("", said):
                said = enrolment.sentence
                self.stdout.write(said)
                self.stdout.flush()
            time.sleep(_BLINK)
            enrolments.expire()
            enrolment.refresh_from_db()


def _terminal_of(key: str) -> Terminal:
    device = Device.objects.select_related("terminal").filter(key=key).first()
    if device is None:
        raise CommandError(unknown_in_a_sentence(key))
    if device.terminal is None:
        raise CommandError(
            f"{device} was never reached, so nobody is on it: ./script/manage sync_devices --device {key}"
        )
    if not device.enabled:
        raise CommandError(f"{device} is not polled: poll it, or nobody calls the terminal.")
    return device.terminal


def _employee(code: str) -> Employee:
    employee = Employee.objects.filter(emp_code=code).first()
    if employee is None:
        raise CommandError(f"There is no employee with the code {code!a}.")
    return employee
