"""Departments, areas and positions: three trees with a code and a name each."""

from __future__ import annotations

from typing import Final

from django.db import models

UNAUTHORIZED_AREA_ID: Final = 1


class Department(models.Model):
    """Where somebody works."""

    dept_code = models.CharField("code", max_length=50, unique=True)
    dept_name = models.CharField("name", max_length=200)
    parent_dept = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.dept_code} {self.dept_name}"


class Area(models.Model):
    """A place with terminals: people of an area belong on its terminals. Area 1 puts nobody anywhere."""

    area_code = models.CharField("code", max_length=50, unique=True)
    area_name = models.CharField("name", max_length=200)
    parent_area = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.area_code} {self.area_name}"


class Position(models.Model):
    """What somebody is employed as."""

    position_code = models.CharField("code", max_length=50, unique=True)
    position_name = models.CharField("name", max_length=200)
    parent_position = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.position_code} {self.position_name}"
