"""The contract's general rules, in its order, across the resources."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.http import HttpResponseBase
from django.test import Client
from django.urls import reverse
from django.utils.http import urlencode

from personnel.models import Area, Department, Employee, Position
from tests.contract.resources import RESOURCES, WRITABLE, Resource
from zkbio.accounts.domain.signing import Signer
from zkbio.accounts.domain.tokens import issue_token
from zkbio.accounts.models import User
from zkbio.launcher.options import Options

pytestmark = pytest.mark.django_db
each_resource = pytest.mark.parametrize("resource", RESOURCES.values(), ids=RESOURCES)
each_writable = pytest.mark.parametrize("resource", [RESOURCES[name] for name in WRITABLE], ids=WRITABLE)
EMPLOYEES = "/personnel/api/employees/"
DEPARTMENTS = "/personnel/api/departments/"
TRANSACTIONS = "/iclock/api/transactions/"


def decoded(response: HttpResponseBase) -> Any:
    body = b"".join(response.streaming_content) if response.streaming else response.content  # type: ignore[attr-defined]
    return json.loads(body)


def send(api: Client, method: str, path: str, body: Any) -> Any:
    return api.generic(method, path, json.dumps(body), content_type="application/json")


def body_of(resource: Resource, number: int = 7) -> dict[str, Any]:
    assert resource.body is not None
    return resource.body(number)


# -- port, base paths


def test_port_is_8097_by_default() -> None:
    assert Options.port == 8097


@each_resource
@pytest.mark.parametrize("slashes", ["/{}", "//{}"])
def test_base_paths_may_begin_with_a_doubled_slash(resource: Resource, slashes: str, api: Client) -> None:
    assert api.get("http://testserver" + slashes.format(resource.path[1:])).status_code == 200


@pytest.mark.parametrize("slash", ["/", ""])
@pytest.mark.parametrize("login", ["/api-token-auth", "/jwt-api-token-auth"])
def test_base_paths_of_logins_answer_without_the_slash_too(login: str, slash: str, admin: User) -> None:
    answer = send(Client(), "POST", login + slash, {"username": "Admin", "password": "admin123"})

    assert (answer.status_code, list(answer.json())) == (200, ["token"])


# -- bodies


def as_json(body: dict[str, Any]) -> tuple[bytes, str]:
    return json.dumps(body).encode(), "application/json"


def as_form(body: dict[str, Any]) -> tuple[bytes, str]:
    return urlencode(body, doseq=True).encode(), "application/x-www-form-urlencoded"


def as_form_with_indices(body: dict[str, Any]) -> tuple[bytes, str]:
    flat = {
        (f"{name}[{index}]" if isinstance(value, list) else name): part
        for name, value in body.items()
        for index, part in enumerate(value if isinstance(value, list) else [value])
    }
    return as_form(flat)


def as_multipart(body: dict[str, Any]) -> tuple[bytes, str]:
    lines = []
    for name, value in body.items():
        for part in value if isinstance(value, list) else [value]:
            lines += ["--edge", f'Content-Disposition: form-data; name="{name}"', "", str(part)]
    return "\r\n".join([*lines, "--edge--", ""]).encode(), "multipart/form-data; boundary=edge"


@each_writable
@pytest.mark.parametrize("encoded", [as_json, as_form, as_form_with_indices, as_multipart])
def test_bodies_are_read_in_all_three_encodings(
    resource: Resource, encoded: Callable[[dict[str, Any]], tuple[bytes, str]], api: Client
) -> None:
    data, content_type = encoded(body_of(resource))

    answer = api.generic("POST", resource.path, data, content_type=content_type)

    assert answer.status_code == 201, answer.content


@each_writable
@pytest.mark.parametrize("encoded", [as_json, as_form, as_multipart])
@pytest.mark.parametrize("verb", ["PATCH", "PUT"])
def test_bodies_of_updates_are_read_in_all_three_encodings(
    resource: Resource, encoded: Callable[[dict[str, Any]], tuple[bytes, str]], verb: str, api: Client
) -> None:
    (number,), (name, value) = resource.rows(1 + resource.seeded), resource.change
    data, content_type = encoded({name: value})

    answer = api.generic(verb, f"{resource.path}{number}/", data, content_type=content_type)

    assert (answer.status_code, answer.json()[name]) == (200, value)


@pytest.mark.parametrize("encoded", [as_form, as_form_with_indices, as_multipart])
def test_bodies_carry_lists_in_both_spellings(
    encoded: Callable[[dict[str, Any]], tuple[bytes, str]], api: Client
) -> None:
    areas = sorted([1, RESOURCES["areas"].write(2)])
    data, content_type = encoded({"emp_code": "1", "department": 1, "area": areas})

    answer = api.generic("POST", EMPLOYEES, data, content_type=content_type)

    assert (answer.status_code, answer.json()["area"]) == (201, areas)


@pytest.mark.parametrize("encoded", [as_json, as_form, as_multipart])
def test_bodies_of_logins_are_read_in_all_three_encodings(
    encoded: Callable[[dict[str, Any]], tuple[bytes, str]], admin: User
) -> None:
    data, content_type = encoded({"username": "Admin", "password": "admin123"})

    assert Client().generic("POST", "/api-token-auth/", data, content_type=content_type).status_code == 200


# -- loose input


@pytest.mark.parametrize("area", [["1"], [1], "1", 1])
@pytest.mark.parametrize("department", ["1", 1])
def test_loose_input_of_ids(area: Any, department: Any, api: Client) -> None:
    answer = send(api, "POST", EMPLOYEES, {"emp_code": "7", "area": area, "department": department})

    assert (answer.status_code, answer.json()["area"], answer.json()["department"]) == (201, [1], 1)


def test_loose_input_of_id_lists(api: Client) -> None:
    people = [RESOURCES["employees"].write(number) for number in (1, 2)]
    listed = [people, ",".join(map(str, people)), [str(person) for person in people]]

    for spelling in listed:
        answer = send(api, "POST", f"{EMPLOYEES}adjust_department/", {"employees": spelling, "department": "1"})
        assert (answer.status_code, answer.json()) == (200, {"code": 0, "msg": "success", "data": []})


def test_loose_input_of_a_card_number(api: Client) -> None:
    answer = send(api, "POST", EMPLOYEES, {"emp_code": "7", "area": [1], "department": 1, "card_no": 5659812})

    assert answer.json()["card_no"] == "5659812"


@pytest.mark.parametrize("spelling", [True, "True", "true", 1, "1"])
def test_loose_input_of_booleans(spelling: Any, api: Client) -> None:
    person = RESOURCES["employees"].write(1)
    body = {"employee": person, "resign_date": "2024-06-26", "resign_type": "1", "disableatt": spelling}

    answer = send(api, "POST", "/personnel/api/resigns/", body)

    assert answer.status_code == 201, answer.content
    assert api.get(f"/personnel/api/resigns/{answer.json()['id']}/").json()["disableatt"] in (True, 1)


# -- list envelope, single object


@each_resource
def test_list_envelope_has_its_keys_in_order(resource: Resource, api: Client) -> None:
    resource.rows(2)

    answer = decoded(api.get(resource.path))

    assert list(answer) == ["count", "next", "previous", "msg", "code", "data"]
    assert (answer["count"], len(answer["data"]), answer["msg"], answer["code"]) == (2, 2, "", 0)


@each_resource
def test_list_envelope_of_an_empty_list_has_results_too(resource: Resource, api: Client) -> None:
    filtered = {"departments": "dept_code", "areas": "area_code", "positions": "position_code"}
    name = resource.path.split("/")[3]

    answer = decoded(api.get(resource.path, {filtered[name]: "none"} if name in filtered else {}))

    assert json.dumps(answer) == json.dumps(
        {"count": 0, "next": None, "previous": None, "msg": "", "code": 0, "results": [], "data": []}
    )


@each_resource
def test_single_object_is_bare(resource: Resource, api: Client) -> None:
    (number,) = resource.rows(1 + resource.seeded)

    answer = decoded(api.get(f"{resource.path}{number}/"))

    assert answer["id"] == number
    assert {"data", "code", "count"} & set(answer) == set()


# -- paging, links, order


@each_resource
def test_paging_is_ten_rows_by_default_and_limit_is_page_size(resource: Resource, api: Client) -> None:
    resource.rows(12)
    asked = [{}, {"page_size": 3}, {"limit": 4}, {"page_size": 5, "limit": 2}, {"page_size": 5_000_000}]

    sizes = [len(decoded(api.get(resource.path, each))["data"]) for each in asked]

    assert sizes == [10, 3, 4, 5, 12]


@each_resource
def test_paging_is_bounded_by_the_servers_cap_and_next_leads_on(resource: Resource, api: Client, settings: Any) -> None:
    settings.MAX_PAGE_SIZE = 2
    resource.rows(3)

    answer = decoded(api.get(resource.path, {"page_size": 200}))

    assert (answer["count"], len(answer["data"])) == (3, 2)
    assert answer["next"] == f"http://testserver{resource.path}?page=2&page_size=200"
    assert len(decoded(api.get(answer["next"]))["data"]) == 1


@each_resource
def test_next_and_previous_keep_other_parameters_sorted_and_without_page_1(resource: Resource, api: Client) -> None:
    resource.rows(3)

    second = decoded(api.get(f"{resource.path}?page_size=1&page=2&ordering=id&limit=9"))

    assert second["next"] == f"http://testserver{resource.path}?limit=9&ordering=id&page=3&page_size=1"
    assert second["previous"] == f"http://testserver{resource.path}?limit=9&ordering=id&page_size=1"


@each_resource
def test_next_is_on_the_host_that_the_caller_used(resource: Resource, api: Client, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    resource.rows(2)
    headers = {"Host": "58.23.12.98:8097", "X-Forwarded-Host": "elsewhere"}

    followed = decoded(api.get(f"{resource.path}?limit=1", headers=headers))["next"]

    assert followed == f"http://58.23.12.98:8097{resource.path}?limit=1&page=2"


@each_resource
def test_past_the_end_is_a_404(resource: Resource, api: Client) -> None:
    resource.rows(2)

    answer = api.get(resource.path, {"page": 2})

    assert (answer.status_code, answer.json()) == (404, {"detail": "Invalid page."})


@each_resource
def test_order_is_by_ascending_id(resource: Resource, api: Client) -> None:
    resource.rows(4)

    ids = [row["id"] for row in decoded(api.get(resource.path))["data"]]

    assert ids == sorted(ids)


@each_resource
def test_order_follows_ordering(resource: Resource, api: Client) -> None:
    resource.rows(4)

    ids = [row["id"] for row in decoded(api.get(resource.path, {"ordering": "-id"}))["data"]]

    assert ids == sorted(ids, reverse=True)


@each_resource
def test_order_and_parameters_that_mean_nothing_are_ignored(resource: Resource, api: Client) -> None:
    resource.rows(3)
    queries = ["ordering=nonsense", "ordering=password", "colour=green", "page_size=0", "limit=-1", "page_size=x"]

    lists = [decoded(api.get(f"{resource.path}?{query}"))["data"] for query in queries]

    assert lists == [decoded(api.get(resource.path))["data"]] * len(queries)


@each_resource
def test_order_of_pages_that_are_no_positive_number_is_a_404(resource: Resource, api: Client) -> None:
    pages = ["0", "-1", "x", "1.5", ""]

    assert [api.get(resource.path, {"page": page}).status_code for page in pages] == [404] * len(pages)


# -- status, update verbs


@each_writable
def test_status_of_each_verb(resource: Resource, api: Client) -> None:
    name, value = resource.change
    made = send(api, "POST", resource.path, body_of(resource))
    one = f"{resource.path}{made.json()['id']}/"

    answers = [
        made,
        api.get(resource.path),
        api.get(one),
        send(api, "PATCH", one, {name: value}),
        api.delete(one),
        api.get(one),
    ]

    assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 204, 404]
    assert answers[4].content == b""


@each_writable
@pytest.mark.parametrize("verb", ["PATCH", "PUT", "POST"])
def test_update_verbs_keep_what_is_not_sent(resource: Resource, verb: str, api: Client) -> None:
    (number,) = resource.rows(1 + resource.seeded)
    one, (name, value) = f"{resource.path}{number}/", resource.change
    before = decoded(api.get(one))

    answer = send(api, verb, one, {name: value})

    assert (answer.status_code, answer.json()[name]) == (200, value)
    after = decoded(api.get(one))
    told = {"update_time", "format_name", "full_name", name}
    assert {key: each for key, each in after.items() if key not in told} == {
        key: each for key, each in before.items() if key not in told
    }


# -- errors


@each_writable
def test_validation_error_names_the_field(resource: Resource, api: Client) -> None:
    answer = send(api, "POST", resource.path, {})

    assert answer.status_code == 400
    assert {name: answer.json().get(name) for name in resource.required} == {
        name: ["This field is required."] for name in resource.required
    }


@each_writable
def test_validation_error_of_a_body_that_is_no_object(resource: Resource, api: Client) -> None:
    bodies: list[Any] = [[], "text", 7, None, [1, 2], [{}]]

    answers = [send(api, "POST", resource.path, body) for body in bodies]

    assert [(answer.status_code, type(answer.json())) for answer in answers] == [(400, dict)] * len(bodies)


@each_writable
def test_validation_error_of_a_value_that_cant_be_stored_names_its_field(resource: Resource, api: Client) -> None:
    name, values = resource.change[0], ["x" * 5000, "a\x00b", {"a": 1}, ["x"]]

    answers = [send(api, "POST", resource.path, {**body_of(resource, n), name: each}) for n, each in enumerate(values)]

    assert [(answer.status_code, list(answer.json())) for answer in answers] == [(400, [name])] * len(values)


@each_writable
@pytest.mark.parametrize("body", [b"{", b'{"a": "\xff"}', b'{"a": "\\ud800"}', b"[" * 100_000, b"\xff\xfe"])
def test_validation_error_of_a_body_that_is_no_json(resource: Resource, body: bytes, api: Client) -> None:
    answer = api.generic("POST", resource.path, body, content_type="application/json")

    assert (answer.status_code, list(answer.json())) == (400, ["detail"])


@pytest.mark.parametrize("login", ["/api-token-auth/", "/jwt-api-token-auth/"])
@pytest.mark.parametrize("name", ["Admin", "nobody"])
def test_login_failure_is_a_400_that_tells_nothing(login: str, name: str, admin: User) -> None:
    answer = send(Client(), "POST", login, {"username": name, "password": "wrong"})

    assert answer.status_code == 400
    assert answer.json() == {"non_field_errors": ["Unable to log in with provided credentials."]}


@each_resource
@pytest.mark.parametrize(
    ("header", "detail"),
    [
        ("", "Authentication credentials were not provided."),
        (f"Token {'0' * 40}", "Invalid token."),
        ("Token", "Invalid token."),
        ("JWT nonsense", "Invalid token."),
    ],
)
def test_no_or_bad_auth_is_a_401(resource: Resource, header: str, detail: str) -> None:
    answer = Client().get(resource.path, headers={"Authorization": header} if header else {})

    assert (answer.status_code, answer.json()) == (401, {"detail": detail})
    assert answer.headers["WWW-Authenticate"] == "Token"


@each_resource
def test_no_auth_by_a_token_whose_day_is_over(resource: Resource, admin: User) -> None:
    claims = {"user_id": admin.pk, "username": admin.username, "revocations": admin.revocations}
    spent = Signer("user").sign(claims, now=datetime.now(UTC) - timedelta(days=2))

    answer = Client().get(resource.path, headers={"Authorization": f"JWT {spent}"})

    assert (answer.status_code, answer.json()) == (401, {"detail": "Token expired."})
    assert answer.headers["WWW-Authenticate"] == "Token"


@each_resource
def test_no_permission_is_a_403(resource: Resource) -> None:
    fresh = Client(headers={"Authorization": f"Token {issue_token(User.objects.create_user('fresh'))}"})

    answer = fresh.get(resource.path)

    assert (answer.status_code, list(answer.json())) == (403, ["detail"])


@each_resource
def test_unknown_id_is_a_404(resource: Resource, api: Client) -> None:
    unknown = ["424242", "0", "99999999999999999999", "nonsense", "-1", "1.5", "%00", "%FF"]

    answers = [api.get(f"{resource.path}{each}/") for each in unknown]

    assert [(answer.status_code, answer.content) for answer in answers] == [
        (404, b'{"detail":"Not found."}') for _ in unknown
    ]


@each_writable
@pytest.mark.parametrize("verb", ["PATCH", "PUT", "DELETE"])
def test_unknown_id_is_a_404_for_writers_too(resource: Resource, verb: str, api: Client) -> None:
    assert send(api, verb, f"{resource.path}424242/", {}).status_code == 404


@pytest.mark.parametrize("path", ["/personnel/api/nothing/", "/iclock/api/nothing/", "/nothing/"])
def test_unknown_path_is_a_page_or_json(path: str, api: Client) -> None:
    page, answer = (api.get(path, headers={"Accept": accept}) for accept in ("text/html", "application/json"))

    assert (page.status_code, answer.status_code) == (404, 404)
    assert "Page not found" in page.content.decode()
    assert answer.json() == {"detail": "Not found."}


def test_unknown_path_answers_200_where_the_setting_says_so(settings: Any) -> None:
    settings.ZKBIO_SOFT_404 = True

    page = Client().get("/personnel/api/nothing/", headers={"Accept": "text/html"})

    assert (page.status_code, "Page not found" in page.content.decode()) == (200, True)


# -- delete in use, null on write


def used_department() -> tuple[str, int]:
    used = Department.objects.create(dept_code="used", dept_name="Used")
    Employee.objects.create(emp_code="1", department=used)
    return "departments", used.pk


def used_area() -> tuple[str, int]:
    used = Area.objects.create(area_code="used", area_name="Used")
    Employee.objects.create(emp_code="1", department_id=1).areas.set([used])
    return "areas", used.pk


def used_position() -> tuple[str, int]:
    used = Position.objects.create(position_code="used", position_name="Used")
    Employee.objects.create(emp_code="1", department_id=1, position=used)
    return "positions", used.pk


@pytest.mark.parametrize("arrange", [used_department, used_area, used_position])
def test_delete_in_use_is_a_400_that_names_the_users(arrange: Callable[[], tuple[str, int]], api: Client) -> None:
    name, number = arrange()
    one = f"{RESOURCES[name].path}{number}/"

    answer = api.delete(one)

    assert answer.status_code == 400
    assert "employee" in answer.content.decode()
    assert api.get(one).status_code == 200


def test_delete_of_a_terminal_keeps_its_punches(api: Client) -> None:
    unit, punch = RESOURCES["terminals"].write(1), RESOURCES["transactions"].write(1)
    assert decoded(api.get(f"{TRANSACTIONS}{punch}/"))["terminal"] == unit

    assert api.delete(f"/iclock/api/terminals/{unit}/").status_code == 204

    row = decoded(api.get(f"{TRANSACTIONS}{punch}/"))
    assert (row["terminal"], row["terminal_sn"]) == (None, "SN1")


def test_null_on_write_is_stored_where_it_may_be_and_means_not_given_elsewhere(api: Client) -> None:
    person = RESOURCES["employees"].write(1)
    sent = {"emp_code": None, "department": None, "area": None, "first_name": None, "app_status": None, "mobile": None}

    answer = send(api, "PUT", f"{EMPLOYEES}{person}/", sent)

    assert answer.status_code == 200, answer.content
    kept = {key: answer.json()[key] for key in ("emp_code", "department", "area", "app_status")}
    assert kept == {"emp_code": "E1", "department": 1, "area": [1], "app_status": 0}
    assert (answer.json()["first_name"], answer.json()["mobile"]) == (None, None)


@pytest.mark.parametrize("name", ["departments", "areas", "positions"])
def test_null_on_write_takes_a_row_out_of_its_parent(name: str, api: Client) -> None:
    resource = RESOURCES[name]
    (number,) = resource.rows(2)
    parent = {"departments": "parent_dept", "areas": "parent_area", "positions": "parent_position"}[name]
    one = f"{resource.path}{number}/"

    assert send(api, "PATCH", one, {parent: 1}).json()[parent] == 1
    assert send(api, "PUT", one, {parent: None}).json()[parent] is None


# -- browsers, language


@each_resource
@pytest.mark.parametrize("mark", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://elsewhere.example"}])
def test_browsers_on_other_sites_cant_use_a_session(resource: Resource, mark: dict[str, str], admin: User) -> None:
    browser = Client()
    browser.force_login(admin)

    assert browser.get(resource.path).status_code == 200
    refused = browser.get(resource.path, headers=mark)
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Token")


@each_resource
@pytest.mark.parametrize("mark", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://elsewhere.example"}])
def test_browsers_on_other_sites_cant_use_a_password(resource: Resource, mark: dict[str, str], admin: User) -> None:
    password = {"Authorization": f"Basic {b64encode(b'Admin:admin123').decode()}"}

    assert Client().get(resource.path, headers=password).status_code == 200
    refused = Client().get(resource.path, headers={**password, **mark})
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Token")


@each_resource
def test_language_follows_accept_language(resource: Resource) -> None:
    answer = Client().get(resource.path, headers={"Accept-Language": "es"})

    assert answer.json() == {"detail": "Las credenciales de autenticación no se proveyeron."}


# -- dates, extra keys


@pytest.mark.parametrize(
    "spelling", ["2024-06-26 08:01:00", "2024-06-26T08:01:00", "2024-6-26 08:01:00", "2024-06-26 08:01", "2024-06-26"]
)
def test_dates_are_read_leniently(spelling: str, api: Client) -> None:
    RESOURCES["transactions"].rows(3)

    found = decoded(api.get(TRANSACTIONS, {"start_time": spelling}))

    assert found["count"] == 3


@pytest.mark.parametrize("name", ["start_time", "end_time"])
@pytest.mark.parametrize("value", ["yesterday", "2024-13-01", "26/06/2024"])
def test_dates_that_are_none_are_a_400_that_names_them(name: str, value: str, api: Client) -> None:
    answer = api.get(TRANSACTIONS, {name: value})

    assert (answer.status_code, list(answer.json())) == (400, [name])


def test_dates_in_bodies_are_read_leniently_and_refused_by_name(api: Client) -> None:
    body = {"emp_code": "7", "department": 1, "area": [1]}

    assert send(api, "POST", EMPLOYEES, {**body, "hire_date": "2024-6-1"}).json()["hire_date"] == "2024-06-01"
    refused = send(api, "POST", EMPLOYEES, {**body, "emp_code": "8", "hire_date": "soon"})
    assert (refused.status_code, list(refused.json())) == (400, ["hire_date"])


def test_extra_beside_a_punch_time_is_its_offset_and_never_a_change_of_it(api: Client) -> None:
    punch = RESOURCES["transactions"].write(1)

    row = decoded(api.get(f"{TRANSACTIONS}{punch}/"))

    assert (row["punch_time"], row["utc_offset"]) == ("2024-06-26 08:01:00", 0)


# -- of the table's first rows: addresses that lead elsewhere


def test_next_is_read_as_a_query_by_clients(api: Client) -> None:
    """pybiotime follows the query of ``next`` only, as a dictionary: no name may come twice."""
    RESOURCES["departments"].rows(3)

    followed = decoded(api.get(DEPARTMENTS, {"page_size": "1", "limit": "1"}))["next"]

    assert parse_qsl(urlsplit(followed).query) == [("limit", "1"), ("page", "2"), ("page_size", "1")]


def test_the_docs_are_public() -> None:
    assert [Client().get(reverse(name)).status_code for name in ("api-docs", "api-schema")] == [200, 200]
