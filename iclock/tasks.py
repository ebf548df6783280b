"""Envelopes for the worker."""

from __future__ import annotations

import logging

from celery import shared_task
from django.db import InterfaceError, OperationalError

from iclock.domain import commands

_log = logging.getLogger(__name__)


@shared_task(name="iclock.expire_commands")
def expire_commands() -> None:
    """End the commands that nobody came for. What is due stays due while the database is away."""
    try:
        commands.expire_commands()
    except (OperationalError, InterfaceError) as error:
        _log.error("Not done, and still due: %s", str(error).strip().partition("\n")[0])
