from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, TypeVar

from django.core.files.storage import default_storage
from django.db import transaction
from django.http import FileResponse, Http404, HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from personnel.api import resignations as bodies
from personnel.api.employees import EmployeeSerializer, FlatEmployeeSerializer
from personnel.api.filters import AreaFilter, DepartmentFilter, EmployeeFilter, PositionFilter, ResignationFilter
from personnel.api.serializers import (
    AreaSerializer,
    DepartmentSerializer,
    FlatAreaSerializer,
    FlatDepartmentSerializer,
    FlatPositionSerializer,
    PositionSerializer,
)
from personnel.domain import people
from personnel.domain.resignations import reinstate, resign
from personnel.domain.tree import delete_node
from personnel.models import Area, AttributeDefinition, Department, Employee, Position, Resignation
from personnel.models.scope import Scope, scope_of
from zkbio.accounts.domain.audit import record
from zkbio.api.actions import DONE, bulk_action
from zkbio.api.viewsets import ZKModelViewSet, ZKReadOnlyViewSet

N = TypeVar("N", Department, Area, Position)


class NodeViewSet(ZKModelViewSet[N]):
    def perform_destroy(self, instance: N) -> None:
        delete_node(instance)


class DepartmentViewSet(NodeViewSet[Department]):
    """Departments."""

    queryset = Department.objects.all()
    visible_relations = ("parent_dept",)
    serializer_class = DepartmentSerializer
    write_serializer_class = FlatDepartmentSerializer
    filterset_class = DepartmentFilter
    search_fields = ("dept_code", "dept_name")
    ordering_fields = ("id", "dept_code", "dept_name", "parent_dept")
    ordering = ("id",)


class AreaViewSet(NodeViewSet[Area]):
    """Areas."""

    queryset = Area.objects.all()
    visible_relations = ("parent_area",)
    serializer_class = AreaSerializer
    write_serializer_class = FlatAreaSerializer
    filterset_class = AreaFilter
    search_fields = ("area_code", "area_name")
    ordering_fields = ("id", "area_code", "area_name", "parent_area")
    ordering = ("id",)


class PositionViewSet(NodeViewSet[Position]):
    """Positions."""

    queryset = Position.objects.all()
    visible_relations = ("parent_position",)
    serializer_class = PositionSerializer
    write_serializer_class = FlatPositionSerializer
    filterset_class = PositionFilter
    search_fields = ("position_code", "position_name")
    ordering_fields = ("id", "position_code", "position_name", "parent_position")
    ordering = ("id",)


class DeedsMixin:
    """What is done to people is noted in the trail of deeds, in the same transaction."""

    request: Any
    action: Any

    @property
    def scope(self) -> Scope:
        return scope_of(self.request.user)

    def read_body(self) -> dict[str, Any]:
        body = self.get_serializer(data=self.request.data)  # type: ignore[attr-defined]
        body.is_valid(raise_exception=True)
        return dict(body.validated_data)

    def carry_out(self, deed: Callable[..., Any], employees: Iterable[Employee], **arguments: Any) -> Response:
        found = list(employees)
        with transaction.atomic():
            deed([employee.pk for employee in found], **arguments)
            codes = [employee.emp_code for employee in found]
            subject = f"{len(codes)} people" if len(codes) > 1 else f"employee {codes[0]}"
            record(actor=self.request, action=f"personnel.{self.action}", subject=subject, detail={"emp_code": codes})
        return Response(DONE)


class EmployeeViewSet(DeedsMixin, ZKModelViewSet[Employee]):
    """Employees."""

    queryset = Employee.objects.all()
    serializer_class = EmployeeSerializer
    write_serializer_class = FlatEmployeeSerializer
    filterset_class = EmployeeFilter
    search_fields = ("emp_code", "first_name", "last_name", "nickname", "card_no")
    ordering_fields = ("id", "emp_code", "first_name", "last_name", "department", "hire_date", "update_time")
    ordering = ("id",)

    def get_queryset(self) -> Any:
        found: Any = super().get_queryset()
        return found if getattr(self, "swagger_fake_view", False) else found.with_places(self.request.user)

    @cached_property
    def definitions(self) -> list[AttributeDefinition]:
        return [] if getattr(self, "swagger_fake_view", False) else list(AttributeDefinition.objects.all())

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "definitions": self.definitions}

    def perform_create(self, serializer: BaseSerializer[Employee]) -> None:
        serializer.instance = self.get_queryset().get(pk=serializer.save().pk)

    def perform_update(self, serializer: BaseSerializer[Employee]) -> None:
        self.perform_create(serializer)

    def perform_destroy(self, instance: Employee) -> None:
        self.carry_out(people.delete_employees, [instance], scope=self.scope)

    @bulk_action(bodies.AdjustAreaSerializer, "personnel.change_employee")
    def adjust_area(self, request: Request) -> Response:
        return self.carry_out(people.adjust_areas, **self.read_body(), scope=self.scope)

    @bulk_action(bodies.AdjustDepartmentSerializer, "personnel.change_employee")
    def adjust_department(self, request: Request) -> Response:
        return self.carry_out(people.adjust_department, **self.read_body(), scope=self.scope)

    @bulk_action(bodies.AdjustPositionSerializer, "personnel.change_employee")
    def adjust_position(self, request: Request) -> Response:
        return self.carry_out(people.adjust_position, **self.read_body(), scope=self.scope)

    @bulk_action(bodies.ResignSerializer, "personnel.add_resignation")
    def adjust_resign(self, request: Request) -> Response:
        return self.carry_out(resign, **self.read_body(), scope=self.scope)

    @bulk_action(bodies.ResignSerializer, "personnel.add_resignation")
    def adjust_regsin(self, request: Request) -> Response:
        """The vendor's spelling of adjust_resign."""
        return self.carry_out(resign, **self.read_body(), scope=self.scope)

    @bulk_action(bodies.TemplatesSerializer, "personnel.change_employee")
    def del_bio_template(self, request: Request) -> Response:
        body = self.read_body()
        employees = body.pop("employees")
        kinds = [kind for kind, chosen in body.items() if chosen]
        return self.carry_out(people.withdraw_templates, employees, kinds=kinds, scope=self.scope)

    @bulk_action(bodies.ResyncSerializer, "personnel.change_employee")
    def resync_to_device(self, request: Request) -> Response:
        return self.carry_out(people.resync, **self.read_body(), scope=self.scope)


class ResignationViewSet(DeedsMixin, ZKModelViewSet[Resignation]):
    """Resignations. To delete one is to reinstate the person."""

    queryset = Resignation.objects.select_related("employee")
    serializer_class = bodies.ResignationSerializer
    write_serializer_class = bodies.FlatResignationSerializer
    filterset_class = ResignationFilter
    search_fields = ("employee__emp_code", "employee__first_name", "employee__last_name")
    ordering_fields = ("id", "resign_date", "resign_type", "employee")
    ordering = ("id",)

    def perform_destroy(self, instance: Resignation) -> None:
        self.carry_out(reinstate, [instance.employee], scope=self.scope)

    @bulk_action(bodies.ReinstatementSerializer, "personnel.delete_resignation")
    def reinstatement(self, request: Request) -> Response:
        return self.carry_out(reinstate, **self.read_body(), scope=self.scope)


class PhotoViewSet(ZKReadOnlyViewSet[Employee]):
    """The photos of those whom the caller may see. The file is named by the person's row, not by the address."""

    queryset = Employee.objects.all()
    serializer_class = EmployeeSerializer

    @extend_schema(exclude=True)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        holder = self.get_queryset().filter(photo=f"photo/{kwargs['name']}.jpg").first()
        if holder is None or not default_storage.exists(holder.photo):
            raise Http404
        photo = default_storage.open(holder.photo)
        return FileResponse(photo, content_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})
