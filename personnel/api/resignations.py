"""Resignations, and the bodies of what is done to many people at once."""

from __future__ import annotations

from typing import Any, Final

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from personnel.domain.resignations import change_resignation, resign
from personnel.models import Area, Department, Employee, Position, Resignation
from personnel.models.scope import scope_of
from zkbio.api.fields import IdListField, LooseDateField, LooseIdField
from zkbio.api.loose import LooseSerializer
from zkbio.api.serializers import ZKModelSerializer, ZKReadSerializer

_MOST_PLACES: Final = 200_000


class EmployeeOfResignationSerializer(ZKReadSerializer[Employee]):
    class Meta:
        model = Employee
        fields = ["id", "emp_code", "first_name", "last_name"]


class ResignationSerializer(ZKReadSerializer[Resignation]):
    employee = EmployeeOfResignationSerializer()
    first_name = serializers.CharField(source="employee.first_name", allow_null=True)
    last_name = serializers.CharField(source="employee.last_name", allow_null=True)

    class Meta:
        model = Resignation
        fields = ["id", "resign_date", "resign_type", "disableatt", "reason", "employee", "first_name", "last_name"]


class FlatResignationSerializer(ZKModelSerializer[Resignation]):
    """Whose it is doesn't change: that would be a reinstatement and another resignation."""

    kept_on_update = ("employee",)

    class Meta:
        model = Resignation
        fields = ["id", "resign_date", "resign_type", "disableatt", "reason", "employee"]

    def create(self, validated_data: dict[str, Any]) -> Resignation:
        employee = validated_data.pop("employee")
        [resignation] = resign([employee.pk], **validated_data, scope=scope_of(self.context["request"].user))
        return resignation

    def update(self, instance: Resignation, validated_data: dict[str, Any]) -> Resignation:
        return change_resignation(instance.pk, validated_data, scope=scope_of(self.context["request"].user))


class EmployeesSerializer(LooseSerializer):
    employees = IdListField(queryset=Employee.objects.all())


class AdjustAreaSerializer(EmployeesSerializer):
    """Every person in every area: a limit, because they are all written at once."""

    default_error_messages = {"too_many": _("At most {most} people times areas at once; this is {number}.")}

    areas = IdListField(queryset=Area.objects.all())

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        number = len(attrs["employees"]) * len(attrs["areas"])
        if number > _MOST_PLACES:
            self.fail("too_many", most=_MOST_PLACES, number=number)
        return attrs


class AdjustDepartmentSerializer(EmployeesSerializer):
    department = LooseIdField(queryset=Department.objects.all())


class AdjustPositionSerializer(EmployeesSerializer):
    position = LooseIdField(queryset=Position.objects.all())


class ResignSerializer(EmployeesSerializer):
    resign_date = LooseDateField()
    resign_type = serializers.ChoiceField(Resignation.Type.choices, default=Resignation.Type.QUIT)
    disableatt = serializers.BooleanField(default=True)
    reason = serializers.CharField(max_length=200, allow_null=True, allow_blank=True, required=False)


class TemplatesSerializer(EmployeesSerializer):
    finger_print = serializers.BooleanField(default=False)
    face = serializers.BooleanField(default=False)
    finger_vein = serializers.BooleanField(default=False)
    palm = serializers.BooleanField(default=False)


class CodeListField(serializers.ListField):
    child = serializers.CharField(max_length=20)

    def to_internal_value(self, data: Any) -> list[Any]:
        return super().to_internal_value(data.split(",") if isinstance(data, str) else data)


class ResyncSerializer(LooseSerializer):
    """People by id, or by code."""

    default_error_messages = {"unknown": _("Unknown employee codes: {codes}.")}

    employees = IdListField(queryset=Employee.objects.all(), required=False)
    emp_code = CodeListField(required=False, allow_empty=False, max_length=50_000)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "employees" in attrs:
            return {"employees": attrs["employees"]}
        if "emp_code" not in attrs:
            raise serializers.ValidationError({"employees": [self.fields["employees"].error_messages["required"]]})
        return {"employees": self._by_code(attrs["emp_code"])}

    def _by_code(self, codes: list[str]) -> list[Employee]:
        found = list(Employee.objects.visible_to(self.context["request"].user).filter(emp_code__in=codes))
        if unknown := sorted({*codes} - {employee.emp_code for employee in found}):
            sentence = self.error_messages["unknown"].format(codes=", ".join(unknown[:20]))
            raise serializers.ValidationError({"emp_code": [sentence]})
        return found


class ReinstatementSerializer(LooseSerializer):
    """Resignations by id, or people by id."""

    resigns = IdListField(queryset=Resignation.objects.select_related("employee"), required=False)
    employees = IdListField(queryset=Employee.objects.all(), required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "resigns" in attrs:
            return {"employees": [resignation.employee for resignation in attrs["resigns"]]}
        if "employees" not in attrs:
            raise serializers.ValidationError({"resigns": [self.fields["resigns"].error_messages["required"]]})
        return attrs
