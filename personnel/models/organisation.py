"""Departments, areas and positions: three trees with a code and a name each."""

from __future__ import annotations

from typing import Any, Final

from django.db import models

from personnel.models.scope import scope_of
from zkbio.texts import validate_line

UNAUTHORIZED_AREA_ID: Final = 1


class DepartmentQuerySet(models.QuerySet["Department"]):
    def visible_to(self, user: Any) -> DepartmentQuerySet:
        """Those within the limits of ``user``."""
        departments = scope_of(user).departments
        return self if departments is None else self.filter(id__in=departments)


class AreaQuerySet(models.QuerySet["Area"]):
    def visible_to(self, user: Any) -> AreaQuerySet:
        """Those within the limits of ``user``."""
        areas = scope_of(user).areas
        return self if areas is None else self.filter(id__in=areas)


class PositionQuerySet(models.QuerySet["Position"]):
    def visible_to(self, _user: Any) -> PositionQuerySet:
        """All of them: nobody's view of positions is limited."""
        return self


class Department(models.Model):
    """Where somebody works."""

    dept_code = models.CharField("code", max_length=50, unique=True, validators=[validate_line])
    dept_name = models.CharField("name", max_length=200, validators=[validate_line])
    parent_dept = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")

    objects = DepartmentQuerySet.as_manager()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.dept_code} {self.dept_name}"


class Area(models.Model):
    """A place with terminals: people of an area belong on its terminals. Area 1 puts nobody anywhere."""

    area_code = models.CharField("code", max_length=50, unique=True, validators=[validate_line])
    area_name = models.CharField("name", max_length=200, validators=[validate_line])
    parent_area = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")

    objects = AreaQuerySet.as_manager()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.area_code} {self.area_name}"


class Position(models.Model):
    """What somebody is employed as."""

    position_code = models.CharField("code", max_length=50, unique=True, validators=[validate_line])
    position_name = models.CharField("name", max_length=200, validators=[validate_line])
    parent_position = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")

    objects = PositionQuerySet.as_manager()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.position_code} {self.position_name}"
