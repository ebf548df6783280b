"""What every test stands on: a real PostgreSQL and a real Redis protocol, brought up by ./script/test."""

from __future__ import annotations

import os

import pytest
from django.test import override_settings


def pytest_configure() -> None:
    if "DATABASE_URL" not in os.environ:
        pytest.exit("DATABASE_URL is not set: run ./script/test, which brings the servers up.", returncode=4)


@pytest.fixture(autouse=True)
def _fast_passwords() -> object:
    """A million rounds of PBKDF2 are for production; the tests of hashing ask for them by name."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield
