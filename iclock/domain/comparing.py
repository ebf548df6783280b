"""The comparison of a terminal's people: when it is due, how far it is, and what it was done for."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Collate, Now
from django.utils import timezone

from iclock.domain.belonging import belonging_to
from iclock.domain.marks import hold_terminals
from iclock.domain.marks import mark as mark_changed
from iclock.domain.plan import Intent
from iclock.models import SyncMark, Terminal, TerminalPerson
from iclock.policy import Direction

# Templates are long; one that was enrolled once more at the terminal's menu doesn't move its counters.
_FINGERS_EVERY: Final = timedelta(days=1)
_LONGEST: Final = 300


def compare_now(terminal_ids: Collection[int]) -> None:
    """Have these terminals compared at once, their fingers too, and what was refused there tried again."""
    with transaction.atomic():
        mark_changed(terminal_ids)
        SyncMark.objects.filter(terminal__in=terminal_ids).update(fingers_read_at=None)
        refused = TerminalPerson.objects.filter(terminal__in=terminal_ids, retry_at__isnull=False)
        # In the order in which whoever reconciles a terminal writes them.
        locked = refused.order_by("terminal_id", Collate("emp_code", "C")).select_for_update(no_key=True)
        TerminalPerson.objects.filter(pk__in=[row.pk for row in locked.only("pk")]).update(retry_at=None)


def is_due(terminal: Terminal, *, people: int, fingers: int) -> bool:
    """Whether the unit, which counts so many, is to be compared now.

    It is when somebody's change waits for it, when something is left of the last plan or worth another try, when it
    counts otherwise than it did then, and from time to time, because its menu doesn't count changes.
    """
    mark = SyncMark.objects.filter(terminal=terminal).first()
    if terminal.direction == Direction.OFF:
        return False
    if mark is None or mark.compared_at is None:
        return True
    interval = timedelta(minutes=settings.PEOPLE_COMPARE_MINUTES)
    moved = (mark.people_there, mark.fingers_there) != (people, fingers)
    if mark.pending or moved or mark.carried_out < mark.planned or timezone.now() - mark.compared_at > interval:
        return True
    return TerminalPerson.objects.filter(terminal=terminal, retry_at__lte=timezone.now()).exists()


def begin(terminal: Terminal) -> SyncMark:
    """The mark as it is now: what is done from here on is done for what was wanted until now."""
    with transaction.atomic():
        hold_terminals([terminal.pk])
        mark, _ = SyncMark.objects.get_or_create(terminal=terminal, defaults={"wanted_at": Now()})
    mark.refresh_from_db()
    return mark


def doubt_fingers(terminal: Terminal) -> None:
    """Have the next comparison read them, whatever the unit counts."""
    SyncMark.objects.filter(terminal=terminal).update(fingers_read_at=None)


def note_version(terminal: Terminal, fp_version: str) -> None:
    """The fingerprint algorithm of the unit, "" when it doesn't tell it.

    Of another algorithm nothing was ever agreed. A unit that just doesn't tell is left as it was known.
    """
    if fp_version in {"", terminal.fp_version}:
        return
    with transaction.atomic():
        hold_terminals([terminal.pk])
        Terminal.objects.filter(pk=terminal.pk).update(fp_version=fp_version)
        SyncMark.objects.filter(terminal=terminal).update(fingers_read_at=None)
        known = TerminalPerson.objects.filter(terminal=terminal).order_by(Collate("emp_code", "C"))
        rows = list(known.select_for_update(no_key=True).values_list("pk", flat=True))
        TerminalPerson.objects.filter(pk__in=rows).update(agreed_fingers={}, held_fingers=None)
    terminal.fp_version = fp_version


def note_plan(terminal: Terminal, intents: Collection[Intent], *, again: bool = False) -> None:
    """``again``: these come to those of the plan before."""
    mine = SyncMark.objects.filter(terminal=terminal)
    if again:
        mine.update(planned=F("carried_out") + len(intents))
    else:
        mine.update(planned=len(intents), carried_out=0, error="")


def finish(
    terminal: Terminal, mark: SyncMark, *, people: int, fingers: int, fingers_read: bool, complete: bool
) -> bool:
    """The unit should count so many now; with ``complete``, the plan was carried out or refused. Whether more waits.

    Until the first comparison is complete, the next one is the first. Whoever asked meanwhile for the fingers to be
    read again, has them read again.
    """
    mine = SyncMark.objects.filter(terminal=terminal)
    mine.update(people_there=people, fingers_there=fingers, **({"compared_at": Now()} if complete else {}))
    if fingers_read:
        mine.filter(wanted=mark.wanted).update(fingers_read_at=Now())
    if complete:
        mine.filter(done__lt=mark.wanted).update(done=mark.wanted)
    return not complete or mine.filter(wanted__gt=mark.wanted).exists()


def note_error(terminal: Terminal, sentence: str) -> None:
    SyncMark.objects.filter(terminal=terminal).update(error=sentence[:_LONGEST])


def fingers_wanted(terminal: Terminal, mark: SyncMark, codes: Collection[str], *, fingers: int) -> bool:
    """Whether the templates on the unit, which counts ``fingers``, are to be read.

    When it counts otherwise than it should, and at the first contact, because a number that nobody has may still have
    fingers; else only if it holds people who should be there, and what is known of theirs may be another thing by now.
    """
    if mark.compared_at is None or mark.fingers_there != fingers:
        return True
    here = {*belonging_to(terminal).filter(emp_code__in=codes).order_by().values_list("emp_code", flat=True)}
    if not here or not terminal.fp_version:
        return False
    if mark.fingers_read_at is None or timezone.now() - mark.fingers_read_at > _FINGERS_EVERY:
        return True
    known = TerminalPerson.objects.filter(terminal=terminal, held=True, held_fingers__isnull=False, emp_code__in=here)
    return known.count() < len(here)
