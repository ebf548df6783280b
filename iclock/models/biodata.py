"""Biometric templates: a table of their own, each row encrypted and bound to its person and finger."""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from uuid import uuid4

from django.db import models
from django.db.models.functions import Now

from personnel.models import Employee
from zkbio import crypto


def digest_of(template: bytes) -> str:
    """Equal for equal templates: units fill them up with zeros, and don't say where they end."""
    return sha256(template.rstrip(b"\0")).hexdigest()


class BiodataQuerySet(models.QuerySet["Biodata"]):
    def visible_to(self, user: Any) -> BiodataQuerySet:
        """Those of the people whom ``user`` may see."""
        return self.filter(employee__in=Employee.objects.visible_to(user))


class Biodata(models.Model):
    """One enrolled finger, face or palm of one person."""

    class Type(models.IntegerChoices):
        """As the PUSH protocol numbers them."""

        FINGERPRINT = 1, "Fingerprint"
        FACE = 2, "Face"
        FINGER_VEIN = 7, "Finger vein"
        PALM = 8, "Palm"
        VISIBLE_FACE = 9, "Visible light face"
        VISIBLE_PALM = 10, "Visible light palm"

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    employee = models.ForeignKey(Employee, models.CASCADE, related_name="biodatas")
    bio_type = models.SmallIntegerField("kind", choices=Type.choices)
    bio_no = models.SmallIntegerField("number", help_text="Which finger: 0 to 9; 0 for a face.")
    bio_index = models.SmallIntegerField("part", default=0, help_text="Kinds that need several templates count them.")
    major_ver = models.CharField("algorithm", max_length=5)
    minor_ver = models.CharField("algorithm, minor", max_length=5, default="0")
    duress = models.BooleanField(default=False)
    sealed = models.BinaryField(editable=False)
    digest = models.CharField(max_length=64, editable=False, help_text="Of the template, to compare without opening.")
    sn = models.CharField("enrolled at", max_length=50, blank=True)
    update_time = models.DateTimeField(auto_now=True)

    objects = BiodataQuerySet.as_manager()

    class Meta:
        verbose_name = "biometric template"
        ordering = ["id"]
        permissions = [("read_template", "Can read biometric templates themselves")]
        constraints = [
            models.UniqueConstraint(
                fields=["employee", "bio_type", "bio_no", "bio_index", "major_ver"], name="iclock_biodata_identity"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_bio_type_display()} {self.bio_no} of {self.employee}"

    @property
    def template(self) -> bytes:
        """The template itself. Raises zkbio.crypto.SealError. Who shows it to somebody writes that down."""
        return crypto.unseal(self.sealed, table=self._binding, row=self.uuid)

    @template.setter
    def template(self, plain: bytes) -> None:
        self.digest = digest_of(plain)
        self.sealed = crypto.seal(plain, table=self._binding, row=self.uuid)

    @property
    def _binding(self) -> str:
        return f"iclock_biodata {self.employee.uuid} {self.bio_type} {self.bio_no} {self.bio_index}"


class ForgottenTemplate(models.Model):
    """The digest of a template that was withdrawn or replaced here: a terminal that still has it, because it was away,
    was restored from a backup or is met for the first time, doesn't bring it back."""

    employee = models.ForeignKey(Employee, models.CASCADE, related_name="forgotten_templates")
    bio_type = models.SmallIntegerField()
    digest = models.CharField(max_length=64)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["employee", "digest"], name="iclock_forgottentemplate_identity")]

    def __str__(self) -> str:
        return f"forgotten template of {self.employee_id}"
