"""People and where they belong."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminDateWidget
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db.models import CASCADE, Count, Model, Prefetch, QuerySet
from django.http import HttpRequest

from personnel import admin_limits, admin_resignations, admin_staff  # noqa: F401 - they register themselves
from personnel.domain import people
from personnel.domain.attributes import is_reserved, read_attribute, write_attributes
from personnel.domain.tree import PARENT_FIELD, SEED_ID, Node, delete_node, moves, people_in, save_node, would_cycle
from personnel.models import Area, AttributeDefinition, Department, Employee, Position, Resignation
from personnel.models.scope import Scope, scope_of
from personnel.validators import read_card
from zkbio.admin import DeclaredFiltersAdmin, SecretField, VisibleRelatedFilter, tell_secret, visible_rows

_ATTRIBUTE: Final = "attribute_{}"


class TreeForm(forms.ModelForm[Any]):
    scope: ClassVar[Scope]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        node: Node = self.instance
        field = PARENT_FIELD[type(node)]
        try:
            moves(type(node)._default_manager.filter(pk=node.pk).first() or node, cleaned, scope=self.scope)
        except ValidationError as error:
            self.add_error(None, error)
        if would_cycle(node, cleaned.get(field)):
            self.add_error(field, f"“{cleaned[field]}” lies below this row; a row can't lie below itself.")
        return cleaned


class TreeAdmin(DeclaredFiltersAdmin[Any]):
    """A row with a code, a name and a parent; row 1 stays."""

    form = TreeForm
    ordering = ("id",)
    list_per_page = 100

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).annotate(people=Count("employees"))
        return rows

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        limited = type("TreeForm", (self.form,), {"scope": scope_of(request.user)})
        return super().get_form(request, obj, change, **{"form": limited, **kwargs})

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.pk != SEED_ID)

    def save_model(self, request: HttpRequest, obj: Any, form: forms.ModelForm[Any], change: bool) -> None:
        # The form has set its values already; what is saved is compared with what is stored.
        values = {name: form.cleaned_data[name] for name in form.changed_data}
        node = type(obj)._default_manager.get(pk=obj.pk) if change else obj
        save_node(node, values, scope=scope_of(request.user))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        listed, counts, missing, protected = super().get_deleted_objects(objs, request)
        return listed, counts, missing, [*protected, *(str(person) for row in objs for person in people_in(row))]

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        delete_node(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            delete_node(row)

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

    def clean_card_no(self) -> str | None:
        return read_card(self.cleaned_data["card_no"])

    def values(self) -> dict[str, Any]:
        """What was typed, as the domain takes it; secrets only where one was typed or removed."""
        columns = {field.name for field in Employee._meta.concrete_fields}
        typed = {name: self.cleaned_data[name] for name in self.changed_data if name in columns}
        names = {definition.pk: _ATTRIBUTE.format(definition.pk) for definition in self._definitions()}
        changed = {pk: self.cleaned_data[name] for pk, name in names.items() if name in self.changed_data}
        return {**typed, **self._secrets(), "attributes": changed}

    def _secrets(self) -> dict[str, str]:
        secrets = {}
        if (pin := self.cleaned_data["new_device_password"]) or self.cleaned_data["clear_device_password"]:
            secrets["device_password"] = pin
        if password := self.cleaned_data["new_self_password"]:
            secrets["self_password"] = make_password(password)
        elif self.cleaned_data["clear_self_password"]:
            secrets["self_password"] = ""
        return secrets

    def _definitions(self) -> list[AttributeDefinition]:
        return [field.definition for field in self.fields.values() if hasattr(field, "definition")]


@admin.register(Employee)
class EmployeeAdmin(DeclaredFiltersAdmin[Employee]):
    """Saves and deletes as the API does, so that terminals hear of it."""

    form = EmployeeForm
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
        ("department", VisibleRelatedFilter),
        ("position", VisibleRelatedFilter),
        ("areas", VisibleRelatedFilter),
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
        ("Enrolled", {"classes": ("collapse",), "fields": ("biometric_consent", *enrolled)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Employee]:
        areas = visible_rows(Area.objects.all(), request)
        return super().get_queryset(request).prefetch_related(Prefetch("areas", areas))

    def save_model(self, request: HttpRequest, obj: Employee, form: Any, change: bool) -> None:
        values, areas = form.values(), form.cleaned_data["areas"]
        if change:
            moved = areas if "areas" in form.changed_data else None
            people.update_employee(obj.pk, values, areas=moved, scope=scope_of(request.user))
            return
        obj.device_password, obj.self_password = values.get("device_password", ""), values.get("self_password", "")
        write_attributes(obj, values["attributes"])
        people.create_employee(obj, areas=areas)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Areas are saved already, with everything else."""

    def delete_model(self, request: HttpRequest, obj: Employee) -> None:
        people.delete_employees([obj.pk], scope=scope_of(request.user))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Employee]) -> None:
        people.delete_employees(list(queryset.values_list("pk", flat=True)), scope=scope_of(request.user))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Tokens, fingers and what else hangs on a person is counted: it goes with them, though nobody deletes it by
        itself."""
        chosen = list(objs)
        counts: dict[type[Model], int] = {Employee: len(chosen)}
        for relation in Employee._meta.related_objects:
            if relation.on_delete is CASCADE:
                rows = relation.related_model._base_manager.filter(**{f"{relation.field.name}__in": chosen})
                counts[relation.related_model] = rows.count()
        found = {model: count for model, count in counts.items() if count}
        asked_for = [model for model in (Employee, Resignation) if model in found]
        missing = {
            str(model._meta.verbose_name)
            for model in asked_for
            if not self.admin_site.get_model_admin(model).has_delete_permission(request)
        }
        named = {model._meta.verbose_name_plural: count for model, count in found.items()}
        return [str(person) for person in chosen], named, missing, []

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
