"""The person: what HR knows of them, and the code under which terminals know them."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID, uuid4

from django.contrib.postgres.expressions import ArraySubquery
from django.db import models
from django.db.models.functions import JSONObject
from django.utils import timezone

from personnel.models.organisation import Area, Department, Position
from personnel.models.scope import Scope, scope_of
from personnel.validators import validate_card, validate_emp_code
from zkbio import crypto
from zkbio.texts import validate_line

_SEAL = "personnel_employee.device_password"


def open_device_password(sealed: bytes | memoryview | None, uuid: UUID) -> str:
    """Of the employee with this uuid. Raises zkbio.crypto.SealError."""
    return crypto.unseal(sealed, table=_SEAL, row=uuid).decode() if sealed else ""


def today() -> dt.date:
    return timezone.localdate()


class EmployeeQuerySet(models.QuerySet["Employee"]):
    def visible_to(self, user: Any) -> EmployeeQuerySet:
        """Those within the limits of ``user``."""
        return self.within(scope_of(user))

    def within(self, scope: Scope) -> EmployeeQuerySet:
        """Those in a department and in at least one area of ``scope``; oneself, for an employee's login."""
        found = self if scope.employee is None else self.filter(pk=scope.employee)
        if scope.departments is not None:
            found = found.filter(department_id__in=scope.departments)
        if scope.areas is not None:
            inside = Employee.areas.through.objects.filter(employee=models.OuterRef("pk"), area_id__in=scope.areas)
            found = found.filter(models.Exists(inside))
        return found

    def with_places(self, user: Any) -> EmployeeQuerySet:
        """Adds codes and names of department and position, and ``visible_areas``: those that ``user`` may see.

        All as columns of the row, for a quarter of what further queries and their objects cost.
        """
        area = JSONObject(id="pk", area_code="area_code", area_name="area_name")
        areas = Area.objects.visible_to(user).filter(employees=models.OuterRef("pk")).order_by("pk")
        return self.annotate(
            dept_code=models.F("department__dept_code"),
            dept_name=models.F("department__dept_name"),
            position_code=models.F("position__position_code"),
            position_name=models.F("position__position_name"),
            visible_areas=ArraySubquery(areas.values_list(area)),
        )


class Employee(models.Model):
    """A person. ``emp_code`` is the unit's user id and never changes; punches are joined by it."""

    class Gender(models.TextChoices):
        FEMALE = "F", "Female"
        MALE = "M", "Male"
        OTHER = "O", "Other"

    class DevicePrivilege(models.IntegerChoices):
        USER = 0, "User"
        ENROLLER = 2, "Enroller"
        MANAGER = 6, "Manager"
        USER_DEFINED = 10, "User-defined"
        ADMINISTRATOR = 14, "Administrator"

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    emp_code = models.CharField("employee code", max_length=20, unique=True, validators=[validate_emp_code])
    first_name = models.CharField(max_length=25, null=True, blank=True, validators=[validate_line])  # noqa: DJ001 - the contract tells null from ""
    last_name = models.CharField(max_length=25, null=True, blank=True, validators=[validate_line])  # noqa: DJ001
    nickname = models.CharField(max_length=25, null=True, blank=True, validators=[validate_line])  # noqa: DJ001
    photo = models.CharField(max_length=200, blank=True, editable=False, db_index=True)
    department = models.ForeignKey(Department, models.PROTECT, related_name="employees")
    position = models.ForeignKey(Position, models.PROTECT, null=True, blank=True, related_name="employees")
    areas = models.ManyToManyField(Area, related_name="employees")

    # Two people with one card would be one person to a terminal. Who resigns gives it back (domain.resignations).
    card_no = models.CharField("card", max_length=20, null=True, blank=True, unique=True, validators=[validate_card])
    device_password_sealed = models.BinaryField(null=True, editable=False)
    self_password = models.CharField(max_length=128, blank=True, editable=False)
    dev_privilege = models.SmallIntegerField("device privilege", choices=DevicePrivilege.choices, default=0)
    verify_mode = models.SmallIntegerField(default=-1)
    enroll_sn = models.CharField("enrolled at", max_length=50, blank=True)

    hire_date = models.DateField(default=today, null=True, blank=True)
    gender = models.CharField(max_length=1, choices=Gender.choices, null=True, blank=True)  # noqa: DJ001
    birthday = models.DateField(null=True, blank=True)
    emp_type = models.SmallIntegerField("employment type", null=True, blank=True)
    contact_tel = models.CharField(max_length=20, null=True, blank=True)  # noqa: DJ001
    office_tel = models.CharField(max_length=20, null=True, blank=True)  # noqa: DJ001
    mobile = models.CharField(max_length=20, null=True, blank=True)  # noqa: DJ001
    national = models.CharField(max_length=50, null=True, blank=True)  # noqa: DJ001
    city = models.CharField(max_length=20, null=True, blank=True)  # noqa: DJ001
    address = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001
    postcode = models.CharField(max_length=10, null=True, blank=True)  # noqa: DJ001
    email = models.EmailField(max_length=50, null=True, blank=True)  # noqa: DJ001
    ssn = models.CharField("social security number", max_length=20, null=True, blank=True)  # noqa: DJ001
    religion = models.CharField(max_length=20, null=True, blank=True)  # noqa: DJ001

    enable_attendance = models.BooleanField(default=True)
    enable_overtime = models.BooleanField(default=True)
    enable_holiday = models.BooleanField(default=True)
    enable_schedule = models.BooleanField(default=True)
    app_status = models.SmallIntegerField(default=0)
    app_role = models.SmallIntegerField(default=1)

    biometric_consent = models.BooleanField(
        "agreed to biometrics",
        default=False,
        db_default=False,
        help_text="That fingerprints are stored here; it counts where the installation asks for it.",
    )
    # What is enrolled, as "Ver <major>:<count>" or "-"; iclock keeps these up to date.
    fingerprint = models.CharField(max_length=20, default="-", editable=False)
    face = models.CharField(max_length=20, default="-", editable=False)
    palm = models.CharField(max_length=20, default="-", editable=False)
    vl_face = models.CharField(max_length=20, default="-", editable=False)
    vl_palm = models.CharField(max_length=20, default="-", editable=False)
    vl_face_photo = models.CharField(max_length=20, default="-", editable=False)

    attributes = models.JSONField(default=dict, blank=True, editable=False, help_text="Values of custom attributes.")
    update_time = models.DateTimeField(auto_now=True)

    objects = EmployeeQuerySet.as_manager()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.emp_code} {self.full_name}".strip()

    @property
    def full_name(self) -> str:
        """First and last name; a missing part is empty ("gucci ")."""
        return f"{self.first_name or ''} {self.last_name or ''}"

    @property
    def format_name(self) -> str:
        return f"{self.emp_code} {self.first_name or ''}"

    @property
    def device_password(self) -> str:
        """The PIN for terminals, "" when none is set. Raises zkbio.crypto.SealError."""
        return open_device_password(self.device_password_sealed, self.uuid)

    @device_password.setter
    def device_password(self, pin: str) -> None:
        self.device_password_sealed = crypto.seal(pin.encode(), table=_SEAL, row=self.uuid) if pin else None
