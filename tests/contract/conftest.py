"""A client of the API that belongs to the administrator of the manual's examples."""

from __future__ import annotations

import pytest
from django.test import Client

from zkbio.accounts.domain.tokens import issue_token
from zkbio.accounts.models import User


@pytest.fixture
def admin(db: None) -> User:
    return User.objects.create_superuser("Admin", password="admin123")


@pytest.fixture
def api(admin: User) -> Client:
    return Client(headers={"Authorization": f"Token {issue_token(admin)}"}, raise_request_exception=False)
