"""One stack for the tests of killed processes and stopped stores; each test takes terminals of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.faults.stack import Stack, brought_up


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with brought_up(os.environ) as running:
        yield running
