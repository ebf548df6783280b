"""Settings that keep a promise of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from html import unescape

import psycopg2
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from zkbio.accounts.domain.tokens import issue_token
from zkbio.accounts.models import User
from zkbio.celery import app
from zkbio.launcher.roles import WEB_SETTINGS

OPTIONS = "from zkbio import settings; print(settings.DATABASES['default']['OPTIONS']['options'])"


def test_celery_reads_and_writes_json_only() -> None:
    assert (app.conf.accept_content, app.conf.task_serializer) == (["json"], "json")
    assert app.conf.result_accept_content is None


def test_the_web_role_waits_shortly_for_locks_and_statements() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", OPTIONS],
        env=os.environ | WEB_SETTINGS,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert ran.stdout.split()[:4] == ["-c", "lock_timeout=2s", "-c", "statement_timeout=15s"]


MAIL = "from zkbio import settings as s; print(s.EMAIL_PORT, s.EMAIL_USE_TLS, s.EMAIL_USE_SSL, s.DEFAULT_FROM_EMAIL)"


def read_mail_settings(**variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", MAIL]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("tls", "read"), [("none", "25 False False"), ("starttls", "587 True False"), ("ssl", "465 False True")]
)
def test_the_port_of_the_mail_server_goes_with_its_encryption(tls: str, read: str) -> None:
    sender = {"ALARM_MAIL_TO": "it@example.com", "EMAIL_HOST": "mail.example.com", "EMAIL_FROM": "a@example.com"}

    assert read_mail_settings(EMAIL_TLS=tls, **sender).stdout.strip() == f"{read} a@example.com"


def test_alarms_to_somebody_by_no_server_stop_the_start() -> None:
    said = read_mail_settings(ALARM_MAIL_TO="it@example.com").stderr

    assert "ALARM_MAIL_TO is set, so EMAIL_HOST and EMAIL_FROM must be set too." in said


@pytest.mark.django_db
def test_a_connection_has_the_timeouts_of_the_settings() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")
        found = cursor.fetchone()

    assert found == (f"{settings.DATABASE_LOCK_SECONDS}s", "0")


@pytest.fixture
def locked_terminals(transactional_db: None) -> Iterator[None]:
    """Somebody else holds the table for as long as the test takes."""
    parameters = connection.get_connection_params()
    other = psycopg2.connect(
        **{name: parameters[name] for name in ("dbname", "user", "host", "port", "password") if name in parameters}
    )
    with other.cursor() as cursor:
        cursor.execute("LOCK TABLE iclock_terminal IN ACCESS EXCLUSIVE MODE")
    yield
    other.close()
    connection.close()


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/iclock/api/terminals/", "application/json"), ("/admin/iclock/terminal/", "text/html; charset=utf-8")],
)
@pytest.mark.parametrize(
    ("timeout", "sentence"),
    [
        ("lock_timeout", "Other requests hold what this one needs. Nothing was changed; please try again."),
        ("statement_timeout", "The database doesn't answer at the moment. Nothing was changed; please try again."),
    ],
)
def test_a_query_that_took_too_long_is_a_503_in_words(
    locked_terminals: None, path: str, kind: str, timeout: str, sentence: str
) -> None:
    user = User.objects.create_superuser("admin")
    client = Client(headers={"Authorization": f"Token {issue_token(user)}"})
    client.force_login(user)
    with connection.cursor() as cursor:
        cursor.execute(f"SET {timeout} = '100ms'")

    response = client.get(path)

    assert (response.status_code, response.headers["Content-Type"]) == (503, kind)
    assert response.headers["Retry-After"] == "5"
    assert sentence in unescape(response.text)
