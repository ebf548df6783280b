"""Punches. Rows enter through ``iclock.domain.ingest.record_punches`` and nowhere else."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.db import models

from iclock.models.terminal import Terminal
from iclock.punch import Source
from personnel.models import Employee
from personnel.models.scope import scope_of
from zkbio.clock import ClockNote
from zkbio.wallclock import WallClockField

# Ids per counter (TransactionBlock, TransactionSuperblock); the triggers of migration 0004 divide by the same numbers.
BLOCK_IDS: Final = 2000
SUPERBLOCK_IDS: Final = 100 * BLOCK_IDS
# What terminals can say (they count from 2000, for 133 years) and more, and what is an instant in every zone.
EARLIEST: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - wall clocks
LATEST: Final = datetime(2200, 1, 1)  # noqa: DTZ001


class TransactionQuerySet(models.QuerySet["Transaction"]):
    def live(self) -> TransactionQuerySet:
        """Without tombstones: what lists, counters and exports show."""
        return self.filter(deleted_at=None)

    def visible_to(self, user: Any) -> TransactionQuerySet:
        return self.filter(visible_punches(user))


def visible_punches(user: Any) -> models.Q:
    """Empty for whoever has no limits. Both ends count: the person's department and areas, and the terminal's area.

    A terminal's punches by nobody known are its area's; a punch without a terminal is its person's.
    """
    scope = scope_of(user)
    if scope.unlimited:
        return models.Q()
    person = models.Q(emp_code__in=Employee.objects.visible_to(user).values("emp_code"))
    if scope.areas is None:
        return person
    here = models.Q(terminal_sn__in=Terminal.objects.visible_to(user).order_by().values("sn"))
    inside = person
    if scope.departments is None:
        inside |= ~models.Q(emp_code__in=Employee.objects.values("emp_code"))
    return (here & inside) | (models.Q(terminal_sn="") & person)


class Transaction(models.Model):
    """One punch. Ids ascend in the order rows become visible, and ``upload_time`` never falls with the id.

    The person and the terminal are joined by emp_code and serial number, not by a stored id: a punch that arrived
    before its employee was created belongs to them from the moment they are (docs/adr/0003).
    """

    id = models.BigAutoField(primary_key=True)
    terminal_sn = models.CharField(max_length=50, blank=True)
    terminal_alias = models.CharField(max_length=100, null=True)  # noqa: DJ001 - the contract tells null from ""
    area_alias = models.CharField(max_length=200, null=True)  # noqa: DJ001
    emp_code = models.CharField("employee code", max_length=24)
    punch_time = WallClockField(help_text="The terminal's wall clock, as it said it.")
    punched_at = models.DateTimeField(help_text="The instant, by the terminal's zone when the punch arrived.")
    utc_offset = models.SmallIntegerField("offset from UTC, minutes")
    clock_note = models.SmallIntegerField(choices=[(note.value, note.name.lower()) for note in ClockNote], default=0)
    punch_state = models.SmallIntegerField()
    verify_type = models.SmallIntegerField()
    work_code = models.CharField(max_length=20, null=True)  # noqa: DJ001
    source = models.SmallIntegerField(choices=[(source.value, source.name.lower()) for source in Source])
    is_attendance = models.BooleanField()
    is_mask = models.SmallIntegerField(null=True)
    temperature = models.FloatField(null=True)
    upload_time = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, help_text="A tombstone: a new full read doesn't bring the row back.")

    emp = models.ForeignObject(
        Employee,
        models.DO_NOTHING,
        from_fields=["emp_code"],
        to_fields=["emp_code"],
        null=True,
        related_name="transactions",
    )
    terminal = models.ForeignObject(
        Terminal,
        models.DO_NOTHING,
        from_fields=["terminal_sn"],
        to_fields=["sn"],
        null=True,
        related_name="transactions",
    )

    objects = TransactionQuerySet.as_manager()

    class Meta:
        verbose_name = "punch"
        verbose_name_plural = "punches"
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["terminal_sn", "emp_code", "punch_time"], name="iclock_transaction_identity"
            ),
            models.CheckConstraint(
                condition=models.Q(punch_time__gte=EARLIEST, punch_time__lt=LATEST), name="iclock_transaction_calendar"
            ),
        ]
        # Partial, because every reader leaves tombstones out and the planner must see that the index does too.
        indexes = [
            models.Index(fields=[column, "id"], condition=models.Q(deleted_at=None), name=f"iclock_transaction_{name}")
            for column, name in (
                ("emp_code", "emp"),
                ("terminal_sn", "terminal"),
                ("terminal_alias", "alias"),
                ("punch_time", "punched"),
                ("upload_time", "uploaded"),
            )
        ]

    def __str__(self) -> str:
        return f"{self.emp_code} {self.punch_time:%Y-%m-%d %H:%M:%S}"


class TransactionBlock(models.Model):
    """How many live rows have an id in ``[block * BLOCK_IDS, (block + 1) * BLOCK_IDS)``; kept by triggers."""

    block = models.BigIntegerField(primary_key=True)
    live = models.IntegerField()

    def __str__(self) -> str:
        return f"block {self.block}: {self.live}"


class TransactionSuperblock(models.Model):
    """The sum of a hundred blocks: ``[superblock * SUPERBLOCK_IDS, (superblock + 1) * SUPERBLOCK_IDS)``."""

    superblock = models.BigIntegerField(primary_key=True)
    live = models.IntegerField()

    def __str__(self) -> str:
        return f"superblock {self.superblock}: {self.live}"
