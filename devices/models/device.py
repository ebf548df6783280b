"""How a terminal is dialled, who is dialling it right now, and what its log looked like last time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models.functions import Now

from iclock.models import Terminal
from personnel.models.scope import scope_of
from zkbio import crypto
from zkbio.clock import validate_zone
from zkbio.texts import validate_line

_SEAL = "devices_device.comm_key"
# Both moments of a row are written when it is new, one right after the other.
_SAME_MOMENT: Final = timedelta(milliseconds=1)


def default_interval() -> int:
    return settings.POLL_SECONDS


class WrittenAt(models.DateTimeField[datetime, datetime]):
    """A moment of writing, by the database's clock: a visit's is, too, and of two servers each has its own.

    The instance that was saved shows its server's until it is read again.
    """

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        shown = super().pre_save(model_instance, add)
        return Now() if add or self.auto_now else shown

    def deconstruct(self) -> Any:
        """It is the same column."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, kwargs


class DeviceQuerySet(models.QuerySet["Device"]):
    def visible_to(self, user: Any) -> DeviceQuerySet:
        """Those whose terminal is in an area within the limits of ``user``; who has limits sees no unknown unit."""
        if scope_of(user).areas is None:
            return self
        return self.filter(terminal__in=Terminal.objects.visible_to(user).order_by())


class Device(models.Model):
    """An address on the network where a terminal answers. The terminal itself is known from its first answer on."""

    class Transport(models.TextChoices):
        TCP = "tcp", "TCP"
        UDP = "udp", "UDP"

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    key = models.SlugField(
        "id", max_length=50, unique=True, validators=[RegexValidator(r"^[a-z0-9_-]+$")], help_text="Its name in URLs."
    )
    name = models.CharField(max_length=100, validators=[validate_line])
    host = models.GenericIPAddressField("IP address")
    port = models.PositiveIntegerField(default=4370, validators=[MinValueValidator(1), MaxValueValidator(65_535)])
    transport = models.CharField(max_length=3, choices=Transport.choices, default=Transport.TCP)
    comm_key_sealed = models.BinaryField(null=True, editable=False)
    timeout = models.PositiveSmallIntegerField(
        "timeout, seconds", default=5, validators=[MinValueValidator(1), MaxValueValidator(60)]
    )
    encoding = models.CharField(max_length=20, default="UTF-8", help_text="The code page of names on the unit.")
    time_zone = models.CharField(
        max_length=64,
        blank=True,
        validators=[validate_zone],
        help_text="The zone its terminal gets at the first contact; empty: the platform's.",
    )
    terminal = models.OneToOneField(
        Terminal, models.SET_NULL, null=True, blank=True, editable=False, related_name="device"
    )
    created_at = WrittenAt(auto_now_add=True)
    updated_at = WrittenAt(auto_now=True)

    # When to poll: data, not code.
    enabled = models.BooleanField("polled", default=True)
    interval = models.PositiveIntegerField(
        "interval, seconds", default=default_interval, validators=[MinValueValidator(1)]
    )
    next_poll_at = models.DateTimeField(db_default=Now(), editable=False)
    failures = models.PositiveIntegerField("failures in a row", default=0, editable=False)
    quiet_from = models.TimeField(
        null=True, blank=True, help_text="From then on it isn't polled, by the terminal's time zone …"
    )
    quiet_until = models.TimeField(null=True, blank=True, help_text="… until then. What is asked for is done anyway.")

    # The serial number that answers instead of its terminal's, until somebody accepts it or it is gone.
    stranger_sn = models.CharField("unit that answers", max_length=50, blank=True, editable=False)
    # Written before its unit is disabled and taken away once it is enabled: who finds it enables the unit first.
    disabled_at = models.DateTimeField(null=True, editable=False)

    # One session per terminal: whoever raised the token last holds the lease until it expires.
    lease_token = models.BigIntegerField(default=0, editable=False)
    lease_expires_at = models.DateTimeField(null=True, editable=False)

    # The log as it was read last: its first ``log_bytes`` bytes have the digest and are all in the database.
    log_width = models.PositiveSmallIntegerField(default=0, editable=False)
    log_bytes = models.PositiveIntegerField(default=0, editable=False)
    log_digest = models.BinaryField(max_length=32, default=b"", editable=False)
    log_tail = models.BinaryField(default=b"", editable=False, help_text="Its last rows, to find them again.")
    log_read_at = models.DateTimeField(null=True, editable=False)

    objects = DeviceQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        permissions = [("operate_device", "Can change people, fingers and the clock on a terminal")]
        constraints = [models.UniqueConstraint(fields=["host", "port"], name="devices_device_address")]
        indexes = [models.Index(fields=["next_poll_at"], condition=models.Q(enabled=True), name="devices_device_due")]

    def __str__(self) -> str:
        return f"{self.name} ({self.host}:{self.port})"

    @property
    def edited_at(self) -> datetime | None:
        """When it was changed last, None as long as it never was."""
        return self.updated_at if self.updated_at - self.created_at > _SAME_MOMENT else None

    @property
    def comm_key(self) -> int:
        """The unit's communication password, 0 when none is set. Raises zkbio.crypto.SealError."""
        if not self.comm_key_sealed:
            return 0
        return int(crypto.unseal(self.comm_key_sealed, table=_SEAL, row=self.uuid))

    @comm_key.setter
    def comm_key(self, key: int) -> None:
        self.comm_key_sealed = crypto.seal(str(key).encode(), table=_SEAL, row=self.uuid) if key else None
