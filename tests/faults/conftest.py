"""One stack for the tests of killed processes and stopped stores; each test takes terminals of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.faults.dialling import without_tracebacks
from tests.faults.stack import Stack, Web, brought_up, eventually


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with brought_up(os.environ) as running:
        yield running


@pytest.fixture(scope="session")
def _web(stack: Stack) -> Iterator[Web]:
    with stack.web(PUSH_LEASE_SECONDS="2") as web:
        yield web


@pytest.fixture
def dialled(stack: Stack, _web: Web) -> Iterator[Web]:
    """The web server that terminals dial; whatever the test does to it, its log has no defect to tell of.

    Tests before may have stopped stores and killed workers of it.
    """
    assert eventually(lambda: {_web.status() for _ in range(6)} == {200})
    with without_tracebacks(stack):
        yield _web
