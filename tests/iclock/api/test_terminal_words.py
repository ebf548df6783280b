"""Sentences follow the caller's language."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from zkbio.accounts.models import User

pytestmark = pytest.mark.django_db


def test_refusals_are_told_in_spanish(token_client: Client, hr: User) -> None:
    hr.user_permissions.add(Permission.objects.get(codename="add_terminal"))
    body = {"sn": "A B", "alias": "A", "ip_address": "10.0.0.7", "transfer_time": "noon", "is_attendance": "7"}

    answer = token_client.post("/iclock/api/terminals/", body, headers={"Accept-Language": "es"})

    assert answer.json() == {
        "sn": ["Un número de serie se compone de letras, cifras, - y _ (de 1 a 50)."],
        "transfer_time": ["Escriba horas del día separadas por punto y coma: 00:00;14:05."],
        "is_attendance": ["«7» no es ni 1 ni 0."],
    }


def test_an_exports_refusals_too(token_client: Client) -> None:
    answer = token_client.get("/iclock/api/transactions/export/", headers={"Accept-Language": "es"})

    assert answer.json() == {"export_type": ["Escriba uno de estos: csv, txt, xlsx."]}
