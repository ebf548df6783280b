"""An employee as the API shows and takes one. Custom attributes follow the keys that everybody has."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Final

from django.contrib.auth.hashers import make_password
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from personnel.api.fields import AttributeField, CardField, PhotoField, PhotoPathField, PinField, SecretField
from personnel.domain.attributes import read_attribute, write_attributes
from personnel.domain.people import create_employee, update_employee
from personnel.domain.photos import stored
from personnel.models import Area, AttributeDefinition, Employee
from personnel.models.scope import scope_of
from zkbio.api.fields import IdListField, NaiveTimeField
from zkbio.api.loose import LooseSerializer
from zkbio.api.serializers import ZKModelSerializer, ZKReadSerializer

_FLAGS: Final = ["enable_attendance", "enable_overtime", "enable_holiday", "enable_schedule"]


class DepartmentOfEmployeeSerializer(ZKReadSerializer[Employee]):
    """Of a row of ``with_places()``."""

    id = serializers.IntegerField(source="department_id")
    dept_code = serializers.CharField()
    dept_name = serializers.CharField()

    class Meta:
        model = Employee
        fields = ["id", "dept_code", "dept_name"]


class PositionOfEmployeeSerializer(ZKReadSerializer[Employee]):
    """Of a row of ``with_places()``."""

    id = serializers.IntegerField(source="position_id")
    position_code = serializers.CharField()
    position_name = serializers.CharField()

    class Meta:
        model = Employee
        fields = ["id", "position_code", "position_name"]

    def to_representation(self, instance: Employee) -> Any:
        return None if instance.position_id is None else super().to_representation(instance)


class AreaOfEmployeeSerializer(ZKReadSerializer[Area]):
    class Meta:
        model = Area
        fields = ["id", "area_code", "area_name"]


@extend_schema_field(AreaOfEmployeeSerializer(many=True))
class AreasField(serializers.ReadOnlyField):
    """The areas of a row of ``with_places()``."""


class AttEmployeeSerializer(ZKReadSerializer[Employee]):
    class Meta:
        model = Employee
        fields = ["id", *_FLAGS]


class EmployeeSerializer(ZKReadSerializer[Employee]):
    format_name = serializers.CharField()
    photo = PhotoPathField()
    full_name = serializers.CharField()
    device_password = SecretField(allow_null=True, help_text="Always null.")
    department = DepartmentOfEmployeeSerializer(source="*")
    position = PositionOfEmployeeSerializer(source="*", allow_null=True)
    attemployee = AttEmployeeSerializer(source="*")
    area = AreasField(source="visible_areas")
    update_time = NaiveTimeField()

    class Meta:
        model = Employee
        fields = [
            "id",
            "emp_code",
            "first_name",
            "last_name",
            "nickname",
            "format_name",
            "photo",
            "full_name",
            "device_password",
            "card_no",
            "department",
            "position",
            "hire_date",
            "gender",
            "birthday",
            "verify_mode",
            "emp_type",
            "contact_tel",
            "office_tel",
            "mobile",
            "national",
            "city",
            "address",
            "postcode",
            "email",
            "enroll_sn",
            "ssn",
            "religion",
            "attemployee",
            "dev_privilege",
            "area",
            "app_status",
            "app_role",
            "update_time",
            "fingerprint",
            "face",
            "palm",
            "vl_face",
            "vl_palm",
            "vl_face_photo",
        ]

    def to_representation(self, instance: Employee) -> dict[str, Any]:
        return super().to_representation(instance) | custom_values(instance, self.context["definitions"])


class EnabledSerializer(LooseSerializer):
    """``attemployee`` as it is read; what isn't named stays."""

    enable_attendance = serializers.BooleanField(required=False)
    enable_overtime = serializers.BooleanField(required=False)
    enable_holiday = serializers.BooleanField(required=False)
    enable_schedule = serializers.BooleanField(required=False)


class AreaIdsField(IdListField):
    """Written to ``areas``; of them, the caller is answered those they may see."""

    def get_attribute(self, instance: Employee) -> Any:
        return instance.visible_areas  # type: ignore[attr-defined]

    def to_representation(self, value: list[dict[str, Any]]) -> list[int]:
        return [area["id"] for area in value]


class FlatEmployeeSerializer(ZKModelSerializer[Employee]):
    """Ids for department, position and areas; secrets go in, and null comes out."""

    kept_on_update = ("emp_code",)

    device_password = PinField()
    self_password = SecretField(max_length=128, required=False, trim_whitespace=False)
    flow_role: Any = serializers.SerializerMethodField()
    area = AreaIdsField(source="areas", queryset=Area.objects.all())
    photo = PhotoField(required=False, write_only=True)
    attemployee = EnabledSerializer(required=False, write_only=True)

    class Meta:
        model = Employee
        fields = [
            "id",
            "emp_code",
            "first_name",
            "last_name",
            "nickname",
            "device_password",
            "card_no",
            "department",
            "position",
            "hire_date",
            "gender",
            "birthday",
            "verify_mode",
            "emp_type",
            "contact_tel",
            "office_tel",
            "mobile",
            "national",
            "city",
            "address",
            "postcode",
            "email",
            "enroll_sn",
            "ssn",
            "religion",
            "dev_privilege",
            "self_password",
            "flow_role",
            "area",
            "app_status",
            "app_role",
            "photo",
            "attemployee",
            *_FLAGS,
        ]
        extra_kwargs = {name: {"write_only": True} for name in _FLAGS}

    def build_standard_field(self, field_name: str, model_field: Any) -> Any:
        found, options = super().build_standard_field(field_name, model_field)
        return (CardField if field_name == "card_no" else found), options

    def get_fields(self) -> dict[str, Any]:
        return super().get_fields() | {each.name: AttributeField(each) for each in self.context["definitions"]}

    def get_flow_role(self, _employee: Employee) -> list[int]:
        return []

    def to_representation(self, instance: Employee) -> dict[str, Any]:
        """Of a row that the view read again, with the areas that the caller may see."""
        return super().to_representation(instance) | custom_values(instance, self.context["definitions"])

    def create(self, validated_data: dict[str, Any]) -> Employee:
        areas = validated_data.pop("areas")
        with ExitStack() as kept:
            values = _columns(validated_data, kept)
            attributes, pin = values.pop("attributes", {}), values.pop("device_password", "")
            employee = Employee(**values)
            employee.device_password = pin
            write_attributes(employee, attributes)
            return create_employee(employee, areas=areas)

    def update(self, instance: Employee, validated_data: dict[str, Any]) -> Employee:
        areas = validated_data.pop("areas", None)
        scope = scope_of(self.context["request"].user)
        with ExitStack() as kept:
            return update_employee(instance.pk, _columns(validated_data, kept), areas=areas, scope=scope)


def custom_values(employee: Employee, definitions: list[AttributeDefinition]) -> dict[str, Any]:
    return {each.name: read_attribute(employee, each) for each in definitions}


def _columns(validated: dict[str, Any], kept: ExitStack) -> dict[str, Any]:
    """What was sent as columns: flags flat, the password hashed, the photo stored for as long as ``kept`` goes well."""
    nested: Mapping[str, bool] = validated.pop("attemployee", {})
    values = {**nested, **validated}
    if "self_password" in values:
        values["self_password"] = make_password(values["self_password"])
    if "photo" in values:
        values["photo"] = kept.enter_context(stored(values["photo"])) if values["photo"] else ""
    return values
