"""The command that tries the mail settings: it says in a sentence what came of it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from tests.post import Inbox, by_port, mail_server
from zkbio.launcher.valkey import free_port


def test_one_mail_goes_to_who_is_told_of_alarms() -> None:
    inbox, out = Inbox(), io.StringIO()

    with mail_server(inbox) as port:
        call_command("send_test_mail", stdout=out)

    assert inbox.recipients == [["it@example.com", "night@example.com"]]
    assert inbox.mails[0]["Subject"] == "Test: alarms of the attendance platform come here"
    assert out.getvalue() == f"127.0.0.1 port {port} took the mail for it@example.com, night@example.com.\n"


def test_a_server_that_is_not_there_is_a_sentence() -> None:
    port = free_port()

    with override_settings(**by_port(port)), pytest.raises(CommandError) as caught:
        call_command("send_test_mail")

    assert str(caught.value) == f"Nothing was mailed by 127.0.0.1 port {port}: [Errno 111] Connection refused"


def test_without_anybody_to_tell_the_variables_are_named(settings: Any) -> None:
    settings.ALARM_MAIL_TO = []

    with pytest.raises(CommandError, match="Nobody is mailed: start with ALARM_MAIL_TO, EMAIL_HOST and EMAIL_FROM"):
        call_command("send_test_mail")
