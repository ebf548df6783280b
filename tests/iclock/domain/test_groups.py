"""What the platform's two groups may do with terminals and punches, from the first start on."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission

from zkbio.accounts.domain.groups import READ, WRITE

pytestmark = pytest.mark.django_db


def held(name: str) -> list[str]:
    permissions = Permission.objects.filter(group__name=name, content_type__app_label="iclock")
    return sorted(permissions.values_list("codename", flat=True))


def test_readers_view() -> None:
    assert held(READ) == [
        "view_alarm",
        "view_biodata",
        "view_enrolment",
        "view_personintent",
        "view_pushcommand",
        "view_terminal",
        "view_terminalcommand",
        "view_terminalevent",
        "view_terminalperson",
        "view_transaction",
    ]


def test_writers_change_terminals_and_neither_delete_punches_nor_clear_terminals_nor_read_templates() -> None:
    assert held(WRITE) == [
        "add_terminal",
        "change_terminal",
        "delete_terminal",
        "view_alarm",
        "view_biodata",
        "view_enrolment",
        "view_personintent",
        "view_pushcommand",
        "view_terminal",
        "view_terminalcommand",
        "view_terminalevent",
        "view_terminalperson",
        "view_transaction",
    ]
