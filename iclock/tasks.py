"""Envelopes for the worker. What is due stays due while the database is away."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from celery import shared_task
from django.db import InterfaceError, OperationalError

from iclock.domain import commands

_log = logging.getLogger(__name__)


@shared_task(name="iclock.expire_commands")
def expire_commands() -> None:
    """End the commands that nobody came for."""
    with _told_in_a_sentence():
        commands.expire_commands()


@shared_task(name="iclock.purge_commands")
def purge_commands() -> None:
    """Forget old commands."""
    with _told_in_a_sentence():
        commands.purge_commands()


@contextmanager
def _told_in_a_sentence() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        _log.error("Not done, and still due: %s", str(error).strip().partition("\n")[0])
