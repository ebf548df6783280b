"""A mail server on loopback that keeps what it is given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.test import override_settings

from zkbio.launcher.valkey import free_port


class Inbox:
    """The mails that came, as they are read by whoever gets them. Recipients in ``refused`` aren't taken."""

    def __init__(self, *refused: str) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.asked: list[str] = []
        self._refused = refused

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, to: str, _options: Any) -> str:
        self.asked.append(to)
        if to in self._refused:
            return "550 Nobody of that name"
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        self.mails.append(message_from_bytes(envelope.content or b"", policy=policy.default))  # type: ignore[arg-type]
        self.recipients.append([*envelope.rcpt_tos])
        return "250 OK"


@contextmanager
def mail_server(inbox: Inbox, *, port: int | None = None, **options: Any) -> Iterator[int]:
    """Listens, and is the server of the settings; gives its port."""
    controller = Controller(inbox, hostname="127.0.0.1", port=port or free_port(), **options)
    controller.start()
    try:
        with override_settings(**by_port(controller.port)):
            yield controller.port
    finally:
        controller.stop()


def by_port(port: int) -> dict[str, Any]:
    """Settings that name a server on loopback without TLS."""
    return {
        "ALARM_MAIL_TO": ["it@example.com", "night@example.com"],
        "DEFAULT_FROM_EMAIL": "attendance@example.com",
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": port,
        "EMAIL_HOST_USER": "",
        "EMAIL_HOST_PASSWORD": "",
        "EMAIL_USE_TLS": False,
        "EMAIL_USE_SSL": False,
        "EMAIL_TIMEOUT": 5,
    }
