"""Departments, areas and positions: read with the parent as an object, written flat."""

from __future__ import annotations

from typing import Any, TypeVar

from rest_framework import serializers

from personnel.domain.tree import Node, save_node
from personnel.models import Area, Department, Position
from personnel.models.scope import scope_of
from zkbio.api.serializers import ZKModelSerializer, ZKReadSerializer

N = TypeVar("N", Department, Area, Position)


class NodeSerializer(ZKModelSerializer[N]):
    """Saves through the rules of trees."""

    def create(self, validated_data: dict[str, Any]) -> N:
        kind: Any = self.Meta.model
        return self._save(kind(), validated_data)  # type: ignore[no-any-return]

    def update(self, instance: N, validated_data: dict[str, Any]) -> N:
        return self._save(instance, validated_data)  # type: ignore[no-any-return]

    def _save(self, node: Node, values: dict[str, Any]) -> Any:
        return save_node(node, values, scope=scope_of(self.context["request"].user))


class ParentDepartmentSerializer(ZKReadSerializer[Department]):
    parent_dept = serializers.IntegerField(source="parent_dept_id", allow_null=True)

    class Meta:
        model = Department
        fields = ["id", "dept_code", "dept_name", "parent_dept"]


class DepartmentSerializer(ZKReadSerializer[Department]):
    parent_dept = ParentDepartmentSerializer(allow_null=True)

    class Meta:
        model = Department
        fields = ["id", "dept_code", "dept_name", "parent_dept"]


class FlatDepartmentSerializer(NodeSerializer[Department]):
    kept_on_update = ("dept_code",)

    class Meta:
        model = Department
        fields = ["id", "dept_code", "dept_name", "parent_dept"]


class ParentAreaSerializer(ZKReadSerializer[Area]):
    parent_area = serializers.IntegerField(source="parent_area_id", allow_null=True)

    class Meta:
        model = Area
        fields = ["id", "area_code", "area_name", "parent_area"]


class AreaSerializer(ZKReadSerializer[Area]):
    parent_area = ParentAreaSerializer(allow_null=True)
    parent_area_name = serializers.CharField(source="parent_area.area_name", default=None, allow_null=True)

    class Meta:
        model = Area
        fields = ["id", "area_code", "area_name", "parent_area", "parent_area_name"]


class FlatAreaSerializer(NodeSerializer[Area]):
    class Meta:
        model = Area
        fields = ["id", "area_code", "area_name", "parent_area"]


class ParentPositionSerializer(ZKReadSerializer[Position]):
    parent_position = serializers.IntegerField(source="parent_position_id", allow_null=True)

    class Meta:
        model = Position
        fields = ["id", "position_code", "position_name", "parent_position"]


class PositionSerializer(ZKReadSerializer[Position]):
    parent_position = ParentPositionSerializer(allow_null=True)
    parent_position_name = serializers.CharField(source="parent_position.position_name", default=None, allow_null=True)

    class Meta:
        model = Position
        fields = ["id", "position_code", "position_name", "parent_position", "parent_position_name"]


class FlatPositionSerializer(NodeSerializer[Position]):
    class Meta:
        model = Position
        fields = ["id", "position_code", "position_name", "parent_position"]
