from __future__ import annotations

import pytest
from django.core.cache import cache

from zkbio.accounts.models import User

PASSWORD = "open sesame 42"


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    cache.clear()


@pytest.fixture
def admin() -> User:
    return User.objects.create_superuser("admin", password=PASSWORD)
