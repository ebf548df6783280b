"""Entering, changing and removing terminals."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final

from django.core.validators import RegexValidator
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from iclock.domain import presence
from iclock.domain.marks import hold_terminals, mark
from iclock.models import PushState, Terminal, Transaction
from iclock.signals import terminals_called
from zkbio.accounts.domain import audit

# Who belongs on a terminal, and what is done about it, follows from these.
_OF_PEOPLE: Final = frozenset({"area", "direction", "strangers", "admission"})
_HOUR: Final = "([01]?[0-9]|2[0-3]):[0-5][0-9]"

check_serial = RegexValidator(
    r"\A[A-Za-z0-9_-]{1,50}\Z", _("A serial number is made of letters, digits, - and _ (1 to 50 of them).")
)
check_transfer_time = RegexValidator(
    rf"\A{_HOUR}(;{_HOUR})*\Z", _("Write times of the day with semicolons between them: 00:00;14:05.")
)


def is_known_serial(sn: str) -> bool:
    """Whether punches of this unit are here, from before it was entered or after it was deleted."""
    return Transaction.objects.live().filter(terminal_sn=sn).exists()


def add_terminal(**fields: Any) -> Terminal:
    """Enter a terminal before it was ever heard of."""
    with transaction.atomic():
        terminal = Terminal.objects.create(**fields)
        mark([terminal.pk])
    return terminal


def change_terminal(terminal: Terminal, **changes: Any) -> Terminal:
    """Write these columns and no others: whoever visits the terminal writes its counts at the same moment.

    One that comes to another area waits for the people there, and so on (`mark_edited`). A terminal deleted meanwhile
    raises Terminal.DoesNotExist.
    """
    with transaction.atomic():
        former = Terminal.objects.select_for_update(no_key=True).get(pk=terminal.pk)
        for name, value in changes.items():
            setattr(terminal, name, value)
        if changes:
            terminal.save(update_fields=list(changes))
        mark_edited(terminal, [name for name in changes if getattr(former, name) != changes[name]])
    return terminal


def mark_edited(terminal: Terminal, changed: Collection[str]) -> None:
    """These of its columns were edited: it waits for what follows of them for its people."""
    if not _OF_PEOPLE.isdisjoint(changed):
        mark([terminal.pk])


def approve_terminals(terminals: Collection[Terminal], *, actor: object) -> None:
    """Let them in; they are called, because they may have been given up, and wait for their people."""
    with transaction.atomic():
        ids = _admit(terminals, Terminal.Admission.APPROVED, actor=actor, action="iclock.approve")
        mark(ids)
        call_terminals(ids)
        presence.expect(PushState.objects.filter(terminal__in=ids).values_list("pk", flat=True))


def block_terminals(terminals: Collection[Terminal], *, actor: object) -> None:
    """Nothing is read from them and nothing is sent to them any more."""
    with transaction.atomic():
        _admit(terminals, Terminal.Admission.BLOCKED, actor=actor, action="iclock.block")


def remove_terminals(terminal_ids: Iterable[int], *, actor: object) -> None:
    """Their punches stay, with serial number and alias as text; they aren't dialled any more (devices listens)."""
    with transaction.atomic():
        for terminal in Terminal.objects.filter(pk__in=[*terminal_ids]).order_by("pk").select_for_update():
            detail = {"sn": terminal.sn}
            audit.record(actor=actor, action="iclock.delete_terminal", subject=str(terminal), detail=detail)
            terminal.delete()


def call_terminals(terminal_ids: Iterable[int]) -> None:
    """Something waits at these terminals: whoever dials them does it now. Told after the COMMIT."""
    called = frozenset(terminal_ids)
    transaction.on_commit(lambda: terminals_called.send_robust(sender=Terminal, terminal_ids=called))


def _admit(terminals: Collection[Terminal], admission: Terminal.Admission, *, actor: object, action: str) -> list[int]:
    """The trail says who did it."""
    there = set(hold_terminals(terminal.pk for terminal in terminals))
    chosen = sorted((each for each in terminals if each.pk in there), key=lambda terminal: terminal.pk)
    for terminal in chosen:
        Terminal.objects.filter(pk=terminal.pk).update(admission=admission)
        audit.record(actor=actor, action=action, subject=str(terminal), detail={"sn": terminal.sn})
    return [terminal.pk for terminal in chosen]
