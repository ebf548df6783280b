"""People and where they belong."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminDateWidget
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from personnel import admin_staff  # noqa: F401 - registers itself
from personnel.domain.attributes import is_reserved, read_attribute, write_attributes
from personnel.domain.tree import PARENT_FIELD, Node, would_cycle
from personnel.models import Area, AttributeDefinition, Department, Employee, Position, StaffToken
from zkbio.admin import DeclaredFiltersAdmin, SecretField, TypedColumnsAdmin, tell_secret

_SEED_ID: Final = 1  # personnel.domain.seed: clients count on these rows
_ATTRIBUTE: Final = "attribute_{}"


class TreeForm(forms.ModelForm[Any]):
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        node: Node = self.instance
        field = PARENT_FIELD[type(node)]
        if would_cycle(node, cleaned.get(field)):
            self.add_error(field, f"“{cleaned[field]}” lies below this row; a row can't lie below itself.")
        return cleaned


class TreeAdmin(DeclaredFiltersAdmin[Any]):
    """A row with a code, a name and a parent; row 1 stays."""

    form = TreeForm
    list_per_page = 100

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        everything: QuerySet[Any] = self.model._default_manager.annotate(people=Count("employees"))
        return everything

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.pk != _SEED_ID)

    @admin.display(description="people", ordering="people")
    def people(self, row: Any) -> int:
        return int(row.people)


@admin.register(Department)
class DepartmentAdmin(TreeAdmin):
    list_display = ("dept_code", "dept_name", "parent_dept", "people")
    list_display_links = ("dept_code", "dept_name")
    list_select_related = ("parent_dept",)
    search_fields = ("dept_code", "dept_name")
    autocomplete_fields = ("parent_dept",)

    def get_readonly_fields(self, request: HttpRequest, obj: Department | None = None) -> Any:
        return ("dept_code",) if obj else ()


@admin.register(Area)
class AreaAdmin(TreeAdmin):
    list_display = ("area_code", "area_name", "parent_area", "people")
    list_display_links = ("area_code", "area_name")
    list_select_related = ("parent_area",)
    search_fields = ("area_code", "area_name")
    autocomplete_fields = ("parent_area",)


@admin.register(Position)
class PositionAdmin(TreeAdmin):
    list_display = ("position_code", "position_name", "parent_position", "people")
    list_display_links = ("position_code", "position_name")
    list_select_related = ("parent_position",)
    search_fields = ("position_code", "position_name")
    autocomplete_fields = ("parent_position",)


class AttributeForm(forms.ModelForm[AttributeDefinition]):
    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if is_reserved(name):
            raise ValidationError(f"Every employee has “{name}” already; choose another name.")
        return name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        choices = cleaned.get("choices")
        if not isinstance(choices, list) or not all(isinstance(choice, str) and choice for choice in choices):
            self.add_error("choices", 'Write a list of texts: ["Day", "Night"].')
        elif cleaned.get("kind") == AttributeDefinition.Kind.CHOICE and not choices:
            self.add_error("choices", "A choice needs values to choose from.")
        return cleaned


@admin.register(AttributeDefinition)
class AttributeAdmin(DeclaredFiltersAdmin[AttributeDefinition]):
    form = AttributeForm
    list_display = ("name", "kind")
    list_filter = ("kind",)
    search_fields = ("name",)


class EmployeeForm(forms.ModelForm[Employee]):
    """No secret's field is named after its attribute: pages for those who may only look print attributes."""

    new_device_password = SecretField(
        label="PIN on terminals",
        max_length=8,
        validators=[RegexValidator(r"\A[0-9]+\Z", "A PIN consists of digits.")],
        help_text="Up to eight digits.",
    )
    clear_device_password = forms.BooleanField(label="Remove the PIN", required=False)
    new_self_password = SecretField(label="Self-service password", validators=[validate_password])
    clear_self_password = forms.BooleanField(label="Remove the self-service password", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        tell_secret(self.fields["new_device_password"], is_set=bool(self.instance.device_password_sealed))
        tell_secret(self.fields["new_self_password"], is_set=bool(self.instance.self_password))
        for definition in self._definitions():
            self.initial[_ATTRIBUTE.format(definition.pk)] = read_attribute(self.instance, definition)

    def clean(self) -> dict[str, Any]:
        """What was typed goes onto the employee here, so that it is saved with everything else or not at all."""
        cleaned = super().clean() or {}
        if pin := cleaned.get("new_device_password"):
            self.instance.device_password = pin
        elif cleaned.get("clear_device_password"):
            self.instance.device_password = ""
        if password := cleaned.get("new_self_password"):
            self.instance.self_password = make_password(password)
        elif cleaned.get("clear_self_password"):
            self.instance.self_password = ""
        names = {definition.pk: _ATTRIBUTE.format(definition.pk) for definition in self._definitions()}
        write_attributes(self.instance, {pk: cleaned[name] for pk, name in names.items() if name in cleaned})
        return cleaned

    def _definitions(self) -> list[AttributeDefinition]:
        return [field.definition for field in self.fields.values() if hasattr(field, "definition")]


@admin.register(Employee)
class EmployeeAdmin(TypedColumnsAdmin[Employee]):
    form = EmployeeForm
    also_saved = ("device_password_sealed", "self_password", "attributes", "update_time")
    list_display = (
        "emp_code",
        "first_name",
        "last_name",
        "department",
        "position",
        "area_names",
        "card_no",
        "hire_date",
    )
    list_display_links = ("emp_code", "first_name", "last_name")
    list_select_related = ("department", "position")
    list_filter = (
        ("department", admin.RelatedOnlyFieldListFilter),
        ("position", admin.RelatedOnlyFieldListFilter),
        ("areas", admin.RelatedOnlyFieldListFilter),
        "dev_privilege",
        "enable_attendance",
    )
    list_per_page = 100
    search_fields = ("emp_code", "first_name", "last_name", "nickname", "card_no")
    autocomplete_fields = ("department", "position", "areas")
    enrolled = ("fingerprint", "face", "palm", "vl_face", "vl_palm", "update_time")
    readonly_fields = enrolled
    fieldsets = (
        (None, {"fields": ("emp_code", ("first_name", "last_name"), "nickname", "department", "position", "areas")}),
        (
            "On terminals",
            {
                "fields": (
                    "card_no",
                    ("new_device_password", "clear_device_password"),
                    ("dev_privilege", "verify_mode"),
                    "enroll_sn",
                )
            },
        ),
        ("Employment", {"fields": (("hire_date", "emp_type"),)}),
        (
            "Attendance",
            {"fields": (("enable_attendance", "enable_overtime"), ("enable_holiday", "enable_schedule"))},
        ),
        (
            "Personal",
            {
                "classes": ("collapse",),
                "fields": (
                    ("gender", "birthday"),
                    ("contact_tel", "office_tel", "mobile"),
                    "email",
                    ("address", "postcode", "city", "national"),
                    ("ssn", "religion"),
                ),
            },
        ),
        (
            "Self-service",
            {
                "classes": ("collapse",),
                "fields": (("new_self_password", "clear_self_password"), ("app_status", "app_role")),
            },
        ),
        ("Enrolled", {"classes": ("collapse",), "fields": enrolled}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Employee]:
        return super().get_queryset(request).prefetch_related("areas")

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Tokens go with their owner, though nobody deletes one by itself."""
        listed, counts, missing, protected = super().get_deleted_objects(objs, request)
        return listed, counts, missing - {StaffToken._meta.verbose_name}, protected

    def get_readonly_fields(self, request: HttpRequest, obj: Employee | None = None) -> Any:
        """The code is what punches are joined by: it never changes."""
        return (*self.enrolled, "emp_code") if obj else self.enrolled

    def get_fieldsets(self, request: HttpRequest, obj: Employee | None = None) -> Any:
        names = [_ATTRIBUTE.format(pk) for pk in AttributeDefinition.objects.values_list("pk", flat=True)]
        if obj and not self.has_change_permission(request, obj):
            names = ["custom_attributes"]
        own = [("Custom attributes", {"fields": names})] if names else []
        return [*super().get_fieldsets(request, obj), *own]

    def get_form(self, request: HttpRequest, obj: Employee | None = None, change: bool = False, **kwargs: Any) -> Any:
        fields = {_ATTRIBUTE.format(each.pk): attribute_field(each) for each in AttributeDefinition.objects.all()}
        return super().get_form(request, obj, change, **{"form": type("EmployeeForm", (self.form,), fields), **kwargs})

    @admin.display(description="values")
    def custom_attributes(self, employee: Employee) -> str:
        """For those who may only look."""
        pairs = ((each.name, read_attribute(employee, each)) for each in AttributeDefinition.objects.all())
        return ", ".join(f"{name}: {value}" for name, value in pairs if value is not None)

    @admin.display(description="areas")
    def area_names(self, employee: Employee) -> str:
        return ", ".join(area.area_name for area in employee.areas.all())


def attribute_field(definition: AttributeDefinition) -> forms.Field:
    """The form field in which a custom attribute's value is typed."""
    kinds = AttributeDefinition.Kind
    field: forms.Field
    if definition.kind == kinds.NUMBER:
        field = forms.DecimalField(label=definition.name, required=False, max_digits=15)
    elif definition.kind == kinds.DATE:
        field = forms.DateField(label=definition.name, required=False, widget=AdminDateWidget)
    elif definition.kind == kinds.CHOICE:
        choices = [("", "---------"), *((choice, choice) for choice in definition.choices)]
        field = forms.ChoiceField(label=definition.name, required=False, choices=choices)
    else:
        field = forms.CharField(label=definition.name, required=False, max_length=200)
    vars(field)["definition"] = definition
    return field
