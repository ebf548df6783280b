"""``manage.py send_test_mail``: whether alarms would reach who is told of them."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from zkbio.mail import one_line, send_mail

_SUBJECT: Final = "Test: alarms of the attendance platform come here"
_BODY: Final = "Somebody tried the mail settings with send_test_mail. Nothing is wrong.\n"


class Command(BaseCommand):
    help = "Send one mail to ALARM_MAIL_TO, and say what came of it."

    def handle(self, *args: Any, **options: Any) -> None:
        to = settings.ALARM_MAIL_TO
        if not to:
            raise CommandError("Nobody is mailed: start with ALARM_MAIL_TO, EMAIL_HOST and EMAIL_FROM.")
        server = f"{settings.EMAIL_HOST} port {settings.EMAIL_PORT}"
        try:
            send_mail(subject=_SUBJECT, body=_BODY, to=to)
        except OSError as error:
            raise CommandError(f"Nothing was mailed by {server}: {one_line(str(error))}") from error
        self.stdout.write(f"{server} took the mail for {', '.join(to)}.")
