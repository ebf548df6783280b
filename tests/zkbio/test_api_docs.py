"""The pages that show the API: public, complete, at the manual's anchors, and nothing from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.test import Client

from zkbio.api.docs import Answer, Operation, Resource, Value
from zkbio.api.schema import document

PAGES = ("/api/docs/", "/api/personnel_docs/", "/api/iclock_docs/")


class Page(HTMLParser):
    """What stands in a page: ids, labels and their fields, scripts, and addresses that are loaded."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.labelled: set[str] = set()
        self.fields: set[str] = set()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.inline: list[str] = []
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.ids += [given["id"]] if "id" in given else []
        self.labelled |= {given["for"]} if tag == "label" else set()
        self.fields |= {given["id"]} if tag in {"input", "textarea"} else set()
        self.loaded += [given[name] for name in ("src", "href") if name in given and tag in {"script", "link", "img"}]
        self.links += [given["href"]] if tag == "a" else []
        self.inline += [name for name in given if name.startswith("on") or name == "style"]
        self._script = tag == "script"

    def handle_data(self, data: str) -> None:
        if self._script and data.strip():
            self.inline.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._script = False


def text_of(path: str) -> str:
    response = Client().get(path)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("path", PAGES)
def test_the_title_is_the_one_that_clients_look_for(path: str) -> None:
    response = Client().get(path, headers={"Accept": "text/html", "Accept-Language": "es"})

    assert "<title>ZKBio Time API DOCS</title>" in response.content.decode()
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"


def test_every_operation_of_the_schema_is_shown_with_a_form() -> None:
    text = text_of("/api/docs/")

    for path, item in document()["paths"].items():
        for method in item:
            assert f'data-method="{method.upper()}" data-path="{path}"' in text, (method, path)
    assert text.count("<summary>Interact</summary>") == sum(len(item) for item in document()["paths"].values())


def test_a_part_shows_its_own_resources_only() -> None:
    page = Page(text_of("/api/iclock_docs/"))

    assert {"terminals", "transactions"} - set(page.ids) == set()
    assert {"api-token-auth", "employees"} & set(page.ids) == set()


@pytest.mark.parametrize("path", PAGES)
def test_an_anchor_stands_once_and_every_link_within_leads_to_one(path: str) -> None:
    page = Page(text_of(path))

    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links if link.startswith("#")} - set(page.ids) == set()


@pytest.mark.parametrize(
    ("path", "anchor"),
    [
        ("/api/docs/", "api-token-auth"),
        ("/api/docs/", "api-token-auth-create"),
        ("/api/personnel_docs/", "employees-create"),
        ("/api/personnel_docs/", "employees-update"),
        ("/api/personnel_docs/", "departments-create"),
        ("/api/personnel_docs/", "departments-update"),
        ("/api/personnel_docs/", "areas-create"),
        ("/api/personnel_docs/", "positions-create"),
        ("/api/personnel_docs/", "positions-update"),
        ("/api/personnel_docs/", "employees-adjust_area"),
        ("/api/personnel_docs/", "employees-partial_update"),
        ("/api/personnel_docs/", "employees-delete"),
        ("/api/personnel_docs/", "resigns-reinstatement"),
        ("/api/iclock_docs/", "terminals-list"),
        ("/api/iclock_docs/", "terminals-reboot"),
        ("/api/iclock_docs/", "transactions-read"),
        ("/api/iclock_docs/", "transactions-export"),
    ],
)
def test_an_anchor_of_the_manual_lands_on_its_endpoint(path: str, anchor: str) -> None:
    assert anchor in Page(text_of(path)).ids


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_only_files_of_ours_and_holds_no_script_of_its_own(path: str) -> None:
    page = Page(text_of(path))

    assert [address for address in page.loaded if not address.startswith("/static/zkbio/")] == []
    assert [address for address in page.loaded if not finders.find(address.removeprefix("/static/"))] == []
    assert page.inline == []


def test_a_page_forbids_everything_from_elsewhere() -> None:
    policy = Client().get("/api/docs/").headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'; script-src 'self';")


def test_the_script_keeps_credentials_nowhere_and_shows_answers_as_text() -> None:
    found = finders.find("zkbio/api-docs.js")
    assert isinstance(found, str)
    script = Path(found).read_text()

    kept = re.findall(r"localStorage|sessionStorage|indexedDB|document\.cookie", script)
    as_html = re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", script)
    assert (kept, as_html) == ([], [])
    assert 'credentials: "omit"' in script


@pytest.mark.parametrize("path", PAGES)
def test_every_field_has_a_label(path: str) -> None:
    page = Page(text_of(path))

    assert page.fields - page.labelled == set()


def test_a_form_begins_with_a_body_that_fits_its_endpoint() -> None:
    text = text_of("/api/docs/")

    login = text.partition('data-path="/api-token-auth/"')[2].partition("</textarea>")[0]
    assert "&quot;username&quot;" in login
    assert "&quot;password&quot;" in login


def test_descriptions_are_shown_as_text_without_marks() -> None:
    text = text_of("/api/docs/")

    assert "`" not in text
    assert "F - Female\nM - Male" in text


def test_whatever_stands_in_the_schema_is_shown_as_text() -> None:
    hostile = '</textarea><script>alert(1)</script>" onclick="alert(2)'
    value = Value(hostile, hostile, True, hostile, "query")
    answer = Answer("200", hostile, hostile, [value])
    operation = Operation("r", "r-a", "a", "GET", hostile, hostile, [value], [value], hostile, [answer])

    page = Page(render_to_string("zkbio/api_docs.html", {"resources": [Resource("r", [operation])], "title": hostile}))

    assert page.inline == []
    assert [address for address in page.loaded if not address.startswith("/static/zkbio/")] == []


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_pages_are_only_read(path: str, method: str) -> None:
    assert Client().generic(method, path).status_code == 405
