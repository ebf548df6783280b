"""What every test stands on: a real PostgreSQL and a real Redis protocol, brought up by ./script/test.

Of two workers each has its own database (pytest-django makes it) and its own number in Redis.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from django.utils import translation

# What starts servers and whole platforms and sweeps what killed runs left is done by one worker, one after the other;
# so are the faults, which share a platform and have an eye on the clock.
TOGETHER = {
    "tests/architecture/": "platforms",
    "tests/e2e/": "platforms",
    "tests/launcher/": "platforms",
    "tests/faults/": "faults",
}


def pytest_configure() -> None:
    if "DATABASE_URL" not in os.environ:
        pytest.exit("DATABASE_URL is not set: run ./script/test, which brings the servers up.", returncode=4)
    if worker := os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw"):
        server, _, _ = os.environ["REDIS_URL"].rpartition("/")
        os.environ["REDIS_URL"] = settings.CELERY_BROKER_URL = f"{server}/{1 + int(worker)}"


def worked_on_together(nodeid: str) -> str | None:
    return next((name for folder, name in TOGETHER.items() if nodeid.startswith(folder)), None)


def name_in_full(item: pytest.Item) -> None:
    """pytest drops from the ids of schemathesis's tests which operation each is about."""
    _, bracket, operation = item.name.partition("[")
    if bracket and item.id.params is None:
        item._id = item.id.with_params(operation.removesuffix("]"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The large pieces come first, one for each worker: whoever is done sooner has single files left to take."""
    for item in items:
        name_in_full(item)
    if len({item.nodeid for item in items}) < len(items):
        raise pytest.UsageError("Of tests with the same name workers would run one only.")
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: worked_on_together(item.nodeid) is None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Workers take a file at a time, for what its tests share; what belongs together is one file to them."""
    from xdist.scheduler import LoadFileScheduling  # noqa: PLC0415 - only where there are workers

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return worked_on_together(nodeid) or super()._split_scope(nodeid)

    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None


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
