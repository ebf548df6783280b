"""The OpenAPI document: how operations are called, which errors any of them may answer, and its text, made once."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import orjson
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.views.decorators.http import require_safe
from drf_spectacular.authentication import BasicScheme, SessionScheme
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent

_Schema = dict[str, Any]

# The words of the vendor's pages; what isn't here is called as the view calls it.
_ACTIONS: Final = {"retrieve": "read", "destroy": "delete"}
_SENTENCES: Final = {
    "list": "A page of them.",
    "read": "One of them.",
    "create": "Makes one.",
    "update": "Changes one. What isn't sent keeps its value.",
    "partial_update": "Changes one. What isn't sent keeps its value.",
    "post_update": "The same as PATCH, as the vendor's manual updates areas.",
    "delete": "Removes one.",
}
_METHODS: Final = {"GET": "read", "POST": "create", "PUT": "update", "PATCH": "partial_update", "DELETE": "delete"}

_DETAIL: Final = {
    "type": "object",
    "properties": {"detail": {"type": "string"}},
    "required": ["detail"],
}
_INVALID: Final = {
    "type": "object",
    "description": "The sentences by field; `non_field_errors` or `detail` where no field is to blame.",
    "additionalProperties": {},
}
_ERRORS: Final = {
    "400": "Something in the request can't be read or isn't allowed; the answer names the field.",
    "401": "No credentials, or none that count.",
    "403": "The user lacks the permission.",
    "404": "Nothing with this id, or no such page.",
    "411": "A body without its length.",
    "413": "The body is too large.",
    "415": "A body in a format that isn't read here.",
    "429": "Too many failed logins; `Retry-After` says for how long.",
    "503": "The database doesn't answer at the moment.",
}
_OF_CREDENTIALS: Final = {"401", "403", "404"}
_OF_BODIES: Final = {"411", "413", "415"}


class PasswordScheme(BasicScheme):  # type: ignore[no-untyped-call]
    target_class = "zkbio.api.authentication.BasicAuthentication"
    match_subclasses = True


class CookieScheme(SessionScheme):  # type: ignore[no-untyped-call]
    target_class = "zkbio.api.authentication.SessionAuthentication"
    match_subclasses = True


class ZKAutoSchema(AutoSchema):
    """Operations are called ``<resource>-<action>``, as in the vendor's pages; errors are described once, here."""

    def get_operation_id(self) -> str:
        return "-".join([self._resource(), *self._words_below(), self._action()])

    def get_description(self) -> str:  # type: ignore[override]
        """What the resource is, and what this verb does to it."""
        text: str = super().get_description()
        sentence = _SENTENCES.get(self._action(), "") if hasattr(self.view, "action") else ""
        return f"{text}\n\n{sentence}".strip()

    def get_tags(self) -> list[str]:
        return [self._resource()]

    def _get_response_bodies(self, direction: Any = "response") -> _Schema:
        answers: _Schema = super()._get_response_bodies(direction)
        for status in sorted(self._possible_errors()):
            answers.setdefault(status, self._error_answer(status))
        return answers

    def _names(self) -> list[str]:
        """The path without variables, and without what stands before the resource's name."""
        names = [part for part in self.path.split("/") if part and not part.startswith("{")]
        return names[names.index("api") + 1 :] if "api" in names else names

    def _resource(self) -> str:
        return self._names()[0]

    def _words_below(self) -> list[str]:
        """What stands in the path below the resource and isn't the action's own name."""
        return [name for name in self._names()[1:] if name != self._action()]

    def _action(self) -> str:
        action = getattr(self.view, "action", None) or _METHODS[self.method]
        return _ACTIONS.get(action, action)

    def _possible_errors(self) -> set[str]:
        errors = set(_ERRORS)
        if not self.view.authentication_classes:
            errors -= _OF_CREDENTIALS
        if self.method in {"GET", "DELETE"}:
            errors -= _OF_BODIES
        return errors

    def _error_answer(self, status: str) -> _Schema:
        name, schema = ("Invalid", _INVALID) if status == "400" else ("Error", _DETAIL)
        kind = ResolvedComponent.SCHEMA
        component = ResolvedComponent(name, kind, schema, object=name)  # type: ignore[no-untyped-call]
        self.registry.register_on_missing(component)
        return {"description": _ERRORS[status], "content": {"application/json": {"schema": component.ref}}}


@cache
def document() -> _Schema:
    """The whole schema, in English. Making it takes a second, so each process makes it once."""
    with translation.override("en"):
        made: _Schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return made


@cache
def _document_text() -> bytes:
    return orjson.dumps(document(), default=str, option=orjson.OPT_NON_STR_KEYS)


@require_safe
def schema_view(_request: HttpRequest) -> HttpResponse:
    """``/api/schema/``: as JSON, which is YAML too."""
    return HttpResponse(_document_text(), content_type="application/json")
