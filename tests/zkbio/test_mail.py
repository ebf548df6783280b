"""Mail over TCP: encrypted as the settings say, within a deadline, and never to a server that isn't who it says."""

from __future__ import annotations

import datetime as dt
import logging
import socket
import ssl
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from smtplib import SMTPAuthenticationError, SMTPException
from threading import Thread
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import override_settings

from tests.post import Inbox, by_port, mail_server
from zkbio import mail
from zkbio.mail import one_line, send_mail

LETTER: dict[str, Any] = {"subject": "Away", "body": "Gate\n", "to": ["it@example.com", "night@example.com"]}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 127.0.0.1, with its key behind it."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(pem + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


def only_the_right_one(_server: Any, _session: Any, _envelope: Any, _how: str, given: LoginPassword) -> AuthResult:
    return AuthResult(success=given == LoginPassword(b"clerk", b"open sesame"), handled=False)


LOGIN = {"EMAIL_HOST_USER": "clerk", "EMAIL_HOST_PASSWORD": "open sesame"}


def test_a_letter_arrives_whole() -> None:
    inbox = Inbox()
    with mail_server(inbox):
        send_mail(**{**LETTER, "body": "Año\n.\nlong " + "x" * 2_000 + "\n"})

    (letter,) = inbox.mails
    assert letter.get_content().replace("\r\n", "\n") == "Año\n.\nlong " + "x" * 2_000 + "\n"
    assert letter["Message-ID"].endswith("@example.com>")
    assert letter["Auto-Submitted"] == "auto-generated"


def test_starttls_comes_before_the_password(tls: ssl.SSLContext, trusted: None) -> None:
    inbox = Inbox()
    options: dict[str, Any] = {"tls_context": tls, "require_starttls": True, "authenticator": only_the_right_one}
    with mail_server(inbox, auth_required=True, **options), override_settings(EMAIL_USE_TLS=True, **LOGIN):
        send_mail(**LETTER)

    assert len(inbox.mails) == 1


def test_tls_from_the_first_byte(tls: ssl.SSLContext, trusted: None) -> None:
    inbox = Inbox()
    with mail_server(inbox, ssl_context=tls), override_settings(EMAIL_USE_SSL=True):
        send_mail(**LETTER)

    assert len(inbox.mails) == 1


@pytest.mark.parametrize("how", ["EMAIL_USE_TLS", "EMAIL_USE_SSL"])
def test_a_server_that_nobody_vouches_for_gets_nothing(how: str, tls: ssl.SSLContext) -> None:
    inbox = Inbox()
    options: dict[str, Any] = {"EMAIL_USE_TLS": {"tls_context": tls}, "EMAIL_USE_SSL": {"ssl_context": tls}}[how]
    with mail_server(inbox, **options), override_settings(**{how: True}), pytest.raises(ssl.SSLError):
        send_mail(**LETTER)

    assert inbox.mails == []


def test_a_server_without_starttls_gets_nothing() -> None:
    inbox = Inbox()
    with mail_server(inbox), override_settings(EMAIL_USE_TLS=True), pytest.raises(OSError, match="STARTTLS"):
        send_mail(**LETTER)

    assert inbox.mails == []


def test_a_wrong_password_is_an_error(tls: ssl.SSLContext, trusted: None) -> None:
    options: dict[str, Any] = {"tls_context": tls, "require_starttls": True, "authenticator": only_the_right_one}
    wrong = {**LOGIN, "EMAIL_HOST_PASSWORD": "guess"}
    refused = pytest.raises(SMTPAuthenticationError)
    with mail_server(Inbox(), **options), override_settings(EMAIL_USE_TLS=True, **wrong), refused:
        send_mail(**LETTER)


def test_who_is_refused_is_named_and_the_others_get_it(caplog: pytest.LogCaptureFixture) -> None:
    inbox = Inbox("night@example.com")
    with mail_server(inbox):
        send_mail(**LETTER)

    assert inbox.recipients == [["it@example.com"]]
    (record,) = [each for each in caplog.records if each.name == "zkbio.mail"]
    assert (record.levelno, record.getMessage()) == (
        logging.WARNING,
        "The mail server refused night@example.com: 550 Nobody of that name",
    )


def test_a_mail_that_was_taken_is_sent_however_the_server_takes_leave() -> None:
    class Rude(Inbox):
        async def handle_QUIT(self, server: Any, _session: Any, _envelope: Any) -> str:
            server.transport.abort()
            return "221 Bye"

    inbox = Rude()
    with mail_server(inbox):
        send_mail(**LETTER)

    assert len(inbox.mails) == 1


@pytest.fixture
def dripping() -> Iterator[int]:
    """A server that sends its greeting a byte at a time, and for ever."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            line, _ = listening.accept()
            with line:
                line.settimeout(0.05)
                try:
                    while True:
                        line.sendall(b"2")
                        try:
                            if not line.recv(100):
                                return
                        except TimeoutError:
                            continue
                except OSError:
                    return

        thread = Thread(target=drip)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(20)


def test_a_server_that_drips_is_left_at_the_deadline(dripping: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "DEADLINE_SECONDS", 0.3)

    with override_settings(**by_port(dripping)), pytest.raises(SMTPException):
        send_mail(**LETTER)


def test_a_text_on_one_line_has_nothing_that_is_not_seen() -> None:
    assert one_line(" a\r\n\tb\x00c\u2028d\u202ee\x1b[1m ") == "a b c d e [1m"
