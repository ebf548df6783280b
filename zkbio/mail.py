"""Mail to people, by the server of the settings; all of it within a deadline."""

from __future__ import annotations

import logging
import smtplib
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import formatdate, make_msgid
from threading import Timer
from typing import Final

from django.conf import settings

# EMAIL_TIMEOUT is for each answer. A server that drips could keep us for ever; who sends holds a transaction meanwhile.
DEADLINE_SECONDS: Final = 60.0
_LONGEST_SUBJECT: Final = 150

_log = logging.getLogger(__name__)


def send_mail(*, subject: str, body: str, to: Sequence[str]) -> None:
    """Send a plain text. Raises OSError (smtplib's errors are such) unless the server took it for somebody."""
    message = _written(one_line(subject)[:_LONGEST_SUBJECT], body, to)
    with _connected() as server:
        if settings.EMAIL_HOST_USER:
            server.login(settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD)
        refused = server.send_message(message)
    for address, (code, answer) in refused.items():
        _log.warning("The mail server refused %s: %d %s", address, code, answer.decode(errors="replace"))


def one_line(text: str) -> str:
    """Names come from terminals: a line break in one would begin another line, or another header."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def _written(subject: str, body: str, to: Sequence[str]) -> EmailMessage:
    message = EmailMessage(policy=SMTP_POLICY)
    message["Subject"], message["From"], message["To"] = subject, settings.DEFAULT_FROM_EMAIL, ", ".join(to)
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=settings.DEFAULT_FROM_EMAIL.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body)
    return message


@contextmanager
def _connected() -> Iterator[smtplib.SMTP]:
    """A server that may be sent to; over by the deadline, whatever it does."""
    where = (settings.EMAIL_HOST, settings.EMAIL_PORT)
    with socket.create_connection(where, settings.EMAIL_TIMEOUT) as raw, raw.dup() as line:
        # The copy ends the connection whatever lies over it meanwhile: who waits for the server reads its end.
        deadline = Timer(DEADLINE_SECONDS, line.shutdown, [socket.SHUT_RDWR])
        deadline.daemon = True
        deadline.start()
        try:
            with closing(smtplib.SMTP(timeout=settings.EMAIL_TIMEOUT)) as server:
                _greet(server, raw)
                yield server
                # What it took it has: who fails to say goodbye would be sent the same mail again.
                with suppress(OSError):
                    server.quit()
        finally:
            deadline.cancel()
            deadline.join()


def _greet(server: smtplib.SMTP, raw: socket.socket) -> None:
    context = ssl.create_default_context()
    # smtplib sets both where it connects by itself, which it does in one go with waiting for the greeting.
    server._host = settings.EMAIL_HOST  # type: ignore[attr-defined]
    server.sock = context.wrap_socket(raw, server_hostname=settings.EMAIL_HOST) if settings.EMAIL_USE_SSL else raw
    code, answer = server.getreply()
    if code != 220:
        raise smtplib.SMTPConnectError(code, answer)
    if settings.EMAIL_USE_TLS:
        server.starttls(context=context)
