"""The pages that show the API, made of its schema: every endpoint, what it takes and answers, and a form to try it.

They load nothing from elsewhere and are read without JavaScript; the anchors are those that the vendor's manual prints.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import groupby
from typing import Any, Final, NamedTuple

import orjson
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import translation
from django.views.decorators.http import require_safe

from zkbio.api.schema import document

_Schema = dict[str, Any]

TITLE: Final = "ZKBio Time API DOCS"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_SAMPLES: Final = {"integer": 1, "number": 1.0, "boolean": True, "object": {}}
_DATES: Final = {"date": "2024-06-26", "date-time": "2024-06-26 15:46:45"}
_MOST_DEEP: Final = 5


class Value(NamedTuple):
    """A parameter, or a key of a body or an answer."""

    name: str
    kind: str
    required: bool
    description: str
    place: str = ""


class Answer(NamedTuple):
    status: str
    description: str
    kind: str
    values: list[Value]


class Operation(NamedTuple):
    resource: str
    anchor: str
    action: str
    method: str
    path: str
    description: str
    parameters: list[Value]
    body: list[Value]
    example: str
    answers: list[Answer]


class Resource(NamedTuple):
    name: str
    operations: list[Operation]


@require_safe
def docs_view(_request: HttpRequest, part: str = "") -> HttpResponse:
    """The endpoints below ``/<part>/``; without a part all of them."""
    return HttpResponse(_page(part), headers={"Content-Security-Policy": _POLICY})


def resources(part: str) -> list[Resource]:
    """Logins first, then as the paths sort."""
    found = sorted(_operations(part), key=lambda operation: ("/api/" in operation.path, operation.path))
    return [Resource(name, list(each)) for name, each in groupby(found, key=lambda operation: operation.resource)]


@cache
def _page(part: str) -> str:
    # In English whatever the caller's language: so is everything in the schema, and clients look for the title.
    with translation.override("en"):
        context = {"title": TITLE, "resources": resources(part), "part": part}
        return render_to_string("zkbio/api_docs.html", context)


def _operations(part: str) -> Iterator[Operation]:
    for path, item in document()["paths"].items():
        if path.startswith(f"/{part}/" if part else "/"):
            for method in _METHODS:
                if method in item:
                    yield _operation(path, method, item[method])


def _operation(path: str, method: str, described: _Schema) -> Operation:
    resource = described["tags"][0]
    action = described["operationId"].removeprefix(resource).removeprefix("-") or "create"
    schema = _body_schema(described)
    return Operation(
        resource=resource,
        anchor=f"{resource}-{action}",
        action=action,
        method=method.upper(),
        path=path,
        description=_plain(described),
        parameters=[_parameter(each) for each in described.get("parameters", [])],
        body=_values(schema),
        example=_example_text(described, schema),
        answers=[_answer(status, each) for status, each in described["responses"].items()],
    )


def _parameter(described: _Schema) -> Value:
    kind, required = _kind(described["schema"]), described.get("required", False)
    return Value(described["name"], kind, required, _plain(described), described["in"])


def _answer(status: str, described: _Schema) -> Answer:
    content = described.get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    kind = "" if not content else _kind(schema) if schema else ", ".join(content)
    values = _values(schema) if status.startswith("2") else []
    return Answer(status, _plain(described), kind, values)


def _body_schema(described: _Schema) -> _Schema:
    content: _Schema = described.get("requestBody", {}).get("content", {})
    schema: _Schema = _read_as_json(content).get("schema", {})
    return schema


def _read_as_json(content: _Schema) -> _Schema:
    """What is read as JSON whatever its type claims stands under ``*/*``."""
    found: _Schema = content.get("application/json") or content.get("*/*") or {}
    return found


def _values(schema: _Schema) -> list[Value]:
    """The keys of an object; of the rows, where it is a list."""
    whole = _resolved(schema)
    if whole.get("type") == "array":
        return _values(whole["items"])
    properties = whole.get("properties", {})
    if "data" in properties and "count" in properties:
        return _values(properties["data"])
    required = whole.get("required", [])
    return [Value(name, _kind(each), name in required, _plain(_resolved(each))) for name, each in properties.items()]


def _plain(described: _Schema) -> str:
    """The description without marks of Markdown: it is shown as text, line by line."""
    text: str = described.get("description", "")
    return text.replace("`", "").replace("* ", "").strip()


def _resolved(schema: _Schema) -> _Schema:
    """Without ``$ref``, and without the ``allOf`` or ``oneOf`` that wraps one."""
    reference = schema.get("$ref")
    if reference:
        return dict(document()["components"]["schemas"][reference.rpartition("/")[2]])
    choices = schema.get("allOf") or schema.get("oneOf") or schema.get("anyOf")
    if choices:
        return {**_resolved(choices[0]), **{key: each for key, each in schema.items() if not key.endswith("Of")}}
    return schema


def _kind(schema: _Schema, depth: int = 0) -> str:
    whole = _resolved(schema)
    words = [str(whole.get("format") or whole.get("type") or "any")]
    if whole.get("type") == "array" and depth < _MOST_DEEP:
        words = [f"list of {_kind(whole['items'], depth + 1)}"]
    if whole.get("nullable"):
        words.append("or null")
    if "maxLength" in whole:
        words.append(f"up to {whole['maxLength']} characters")
    if "enum" in whole:
        words.append("one of " + ", ".join(str(each) for each in whole["enum"] if each not in ("", None)))
    return ", ".join(words).replace(", or null", " or null")


def _example_text(described: _Schema, schema: _Schema) -> str:
    """A body to start from, "" where none is sent as JSON."""
    if not schema:
        return ""
    given = _read_as_json(described["requestBody"]["content"]).get("examples", {})
    example = next((each["value"] for each in given.values()), None) or _example(schema)
    return orjson.dumps(example, option=orjson.OPT_INDENT_2).decode()


def _example(schema: _Schema) -> _Schema:
    """What is required; at least two keys, so that the form shows how a body looks."""
    whole = _resolved(schema)
    properties, required = whole.get("properties", {}), whole.get("required", [])
    more = [name for name in properties if name not in required][: max(0, 2 - len(required))]
    return {name: _sample(each) for name, each in properties.items() if name in required or name in more}


def _sample(schema: _Schema, depth: int = 0) -> Any:
    whole = _resolved(schema)
    for key in ("example", "default"):
        if whole.get(key) is not None:
            return whole[key]
    if "enum" in whole:
        return whole["enum"][0]
    if whole.get("type") == "array":
        return [_sample(whole["items"], depth + 1)] if depth < _MOST_DEEP else []
    return _SAMPLES.get(whole.get("type", ""), _DATES.get(whole.get("format", ""), "text"))
