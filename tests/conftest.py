"""What every test stands on: a real PostgreSQL and a real Redis protocol, brought up by ./script/test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import override_settings
from django.utils import translation


def pytest_configure() -> None:
    if "DATABASE_URL" not in os.environ:
        pytest.exit("DATABASE_URL is not set: run ./script/test, which brings the servers up.", returncode=4)


@pytest.fixture(autouse=True)
def _light_settings() -> Iterator[None]:
    """No million rounds of PBKDF2 (the tests of hashing ask for them by name), no manifest of collected files."""
    plain_files = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    with override_settings(
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        STORAGES={**settings.STORAGES, "staticfiles": plain_files},
    ):
        yield


@pytest.fixture(autouse=True)
def _no_language() -> Iterator[None]:
    """The last request's language stays, in the thread that served it."""
    yield
    translation.deactivate()
