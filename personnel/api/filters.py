from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import django_filters
from django.db.models import QuerySet

from personnel.models import Area, Department, Employee, Position, Resignation
from zkbio.api.filters import DayFilter, IdFilter, IdListFilter


def contains(name: str) -> django_filters.CharFilter:
    return django_filters.CharFilter(field_name=name, lookup_expr="icontains")


class VisibleFilterSet(django_filters.FilterSet):
    """Filters by a related row that the caller may not see find nothing."""

    def by_parent(self, queryset: QuerySet[Any], name: str, value: int) -> QuerySet[Any]:
        return queryset.filter(**{f"{name}__in": self._visible(queryset.model, [value])})

    def in_departments(self, queryset: QuerySet[Any], name: str, value: list[int]) -> QuerySet[Any]:
        return queryset.filter(department__in=self._visible(Department, value)) if value else queryset

    def in_areas(self, queryset: QuerySet[Any], name: str, value: list[int]) -> QuerySet[Any]:
        lives = Employee.areas.through.objects.filter(area__in=self._visible(Area, value))
        return queryset.filter(pk__in=lives.values("employee")) if value else queryset

    def _visible(self, kind: Any, ids: Iterable[int]) -> QuerySet[Any]:
        visible: QuerySet[Any] = (
            kind.objects.visible_to(getattr(self.request, "user", None)).filter(pk__in=ids).order_by()
        )
        return visible


class DepartmentFilter(VisibleFilterSet):
    dept_code = django_filters.CharFilter()
    dept_name = django_filters.CharFilter()
    dept_code_icontains = contains("dept_code")
    dept_name_icontains = contains("dept_name")
    parent_dept = IdFilter(method="by_parent")

    class Meta:
        model = Department
        fields: list[str] = []


class AreaFilter(VisibleFilterSet):
    area_code = django_filters.CharFilter()
    area_name = django_filters.CharFilter()
    area_code_icontains = contains("area_code")
    area_name_icontains = contains("area_name")
    parent_area = IdFilter(method="by_parent")

    class Meta:
        model = Area
        fields: list[str] = []


class PositionFilter(VisibleFilterSet):
    position_code = django_filters.CharFilter()
    position_name = django_filters.CharFilter()
    position_code_icontains = contains("position_code")
    position_name_icontains = contains("position_name")
    parent_position = IdFilter(method="by_parent")

    class Meta:
        model = Position
        fields: list[str] = []


class EmployeeFilter(VisibleFilterSet):
    emp_code = django_filters.CharFilter()
    first_name = django_filters.CharFilter()
    last_name = django_filters.CharFilter()
    emp_code_icontains = contains("emp_code")
    first_name_icontains = contains("first_name")
    last_name_icontains = contains("last_name")
    department = IdFilter(field_name="department_id")
    departments = IdListFilter(method="in_departments", help_text="Ids, comma-separated.")
    areas = IdListFilter(method="in_areas", help_text="Ids, comma-separated.")
    app_status = IdFilter(max_value=32_767)

    class Meta:
        model = Employee
        fields: list[str] = []


class ResignationFilter(django_filters.FilterSet):
    employee = IdFilter(field_name="employee_id")
    resign_type = IdFilter(max_value=32_767)
    resign_date = DayFilter()

    class Meta:
        model = Resignation
        fields: list[str] = []
