"""Envelopes for the worker. What is due stays due while the database is away."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from celery import shared_task
from django.db import InterfaceError, OperationalError

from iclock.domain import (
    alarm_mail,
    alarms,
    biodata,
    commands,
    enrolments,
    history,
    push_contact,
    push_events,
    push_feeding,
    push_orders,
    push_photos,
    push_reconciling,
    push_reloading,
    quarantine,
)

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


@shared_task(name="iclock.expire_enrolments")
def expire_enrolments() -> None:
    """End the enrolments that no terminal came for."""
    with _told_in_a_sentence():
        enrolments.expire()


@shared_task(name="iclock.purge_enrolments")
def purge_enrolments() -> None:
    """Forget old enrolments."""
    with _told_in_a_sentence():
        enrolments.purge()


@shared_task(name="iclock.purge_intents")
def purge_intents() -> None:
    """Forget what was done with people on terminals long ago."""
    with _told_in_a_sentence():
        history.purge_intents()


@shared_task(name="iclock.forget_templates")
def forget_templates() -> None:
    """Delete the templates of who resigned long ago."""
    with _told_in_a_sentence():
        biodata.forget_templates()


@shared_task(name="iclock.check_away")
def check_away() -> None:
    """Notice terminals that are away for too long, and those that are back."""
    with _told_in_a_sentence():
        alarms.check_away()


@shared_task(name="iclock.sweep_push")
def sweep_push() -> None:
    """Notice which terminals that dial fell silent, and what else is over by nothing more happening."""
    with _told_in_a_sentence():
        push_contact.sweep()


@shared_task(name="iclock.mail_alarms")
def mail_alarms() -> None:
    """Mail what is new of alarms."""
    with _told_in_a_sentence():
        alarm_mail.mail_alarms()


@shared_task(name="iclock.purge_alarms")
def purge_alarms() -> None:
    """Forget old alarms."""
    with _told_in_a_sentence():
        alarms.purge_alarms()


@shared_task(name="iclock.purge_released")
def purge_released() -> None:
    """Forget quarantined records that became punches long ago."""
    with _told_in_a_sentence():
        quarantine.purge_released()


@shared_task(name="iclock.feed_push")
def feed_push() -> None:
    """Queue what is due for terminals that dial."""
    with _told_in_a_sentence():
        push_feeding.feed_due()


@shared_task(name="iclock.compare_push")
def compare_push() -> None:
    """Find out whether all of the logs of terminals that dial is here."""
    with _told_in_a_sentence():
        push_reconciling.compare_due()


@shared_task(name="iclock.reload_push")
def reload_push() -> None:
    """Have terminals that dial ask for what they should be told by now."""
    with _told_in_a_sentence():
        push_reloading.reload_due()


@shared_task(name="iclock.purge_terminal_events")
def purge_terminal_events() -> None:
    """Forget what happened at terminals long ago."""
    with _told_in_a_sentence():
        push_events.purge_events()


@shared_task(name="iclock.purge_terminal_photos")
def purge_terminal_photos() -> None:
    """Forget old photos of terminals, and their files."""
    with _told_in_a_sentence():
        push_photos.purge_photos()


@shared_task(name="iclock.purge_push_orders")
def purge_push_orders() -> None:
    """Forget old orders to terminals that dial."""
    with _told_in_a_sentence():
        push_orders.purge_orders()


@contextmanager
def _told_in_a_sentence() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        _log.error("Not done, and still due: %s", str(error).strip().partition("\n")[0])
