"""Paging by counters: the same rows as a list in memory, whatever holes and tombstones the ids have."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from iclock.models import Transaction
from iclock.models.transaction import BLOCK_IDS, SUPERBLOCK_IDS
from zkbio.api import streams

from .conftest import Punches, Reader

pytestmark = pytest.mark.django_db
PATH = "/iclock/api/transactions/"
ADDRESS = "http://testserver/iclock/api/transactions/"

# Around the borders of blocks and superblocks, with holes inside a block, and whole blocks and superblocks missing.
LIVE = [
    *(1, 2, 5, BLOCK_IDS - 1, BLOCK_IDS, BLOCK_IDS + 1),
    *(4 * BLOCK_IDS - 1, 4 * BLOCK_IDS, 4 * BLOCK_IDS + 7),
    *(SUPERBLOCK_IDS - 1, SUPERBLOCK_IDS, 4 * SUPERBLOCK_IDS + 7 * BLOCK_IDS),
]
DEAD = [3, BLOCK_IDS + 2, 2 * BLOCK_IDS + 5, 4 * BLOCK_IDS + 1, SUPERBLOCK_IDS + 1, 2 * SUPERBLOCK_IDS + 5]
SINCE = [0, 1, 3, BLOCK_IDS - 1, BLOCK_IDS, BLOCK_IDS + 2, 3 * BLOCK_IDS, *DEAD[-2:], 3 * SUPERBLOCK_IDS, *LIVE[-3:]]


@pytest.fixture
def sparse(punches: Punches) -> None:
    punches(*LIVE, *DEAD)
    Transaction.objects.filter(id__in=DEAD).update(deleted_at=datetime(2024, 1, 1, tzinfo=UTC))


def walk(client: Client, address: str) -> tuple[list[int], set[int]]:
    """All ids that following ``next`` gives, and the counts seen on the way."""
    ids: list[int] = []
    counts: set[int] = set()
    for _ in range(100):
        body: dict[str, Any] = client.get(address).json()
        ids += [row["id"] for row in body["data"]]
        counts.add(body["count"])
        if body["next"] is None:
            return ids, counts
        address = body["next"]
    raise AssertionError("next never ends")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 11, 12, 13])
@pytest.mark.parametrize(("ordering", "expected"), [("id", LIVE), ("-id", LIVE[::-1])])
def test_following_next_gives_every_live_row_once_in_order(
    ordering: str, expected: list[int], size: int, sparse: None, token_client: Client
) -> None:
    ids, counts = walk(token_client, f"{PATH}?ordering={ordering}&page_size={size}")

    assert (ids, counts) == (expected, {len(LIVE)})


@pytest.mark.parametrize("ordering", ["id", "-id", "punch_time", "-upload_time,id"])
def test_every_page_number_can_be_asked_for_directly(ordering: str, sparse: None, get: Reader) -> None:
    expected = LIVE[::-1] if ordering.startswith("-") else LIVE

    pages = [
        [row["id"] for row in get(PATH, ordering=ordering, page_size=5, page=number)["data"]] for number in (1, 2, 3)
    ]

    assert pages == [expected[0:5], expected[5:10], expected[10:15]]


def test_links_are_absolute_sorted_by_name_and_without_page_1(sparse: None, get: Reader) -> None:
    answer = get(PATH, page=2, page_size=4, ordering="id", anything="ä b")

    assert (answer["next"], answer["previous"]) == (
        f"{ADDRESS}?anything=%C3%A4+b&ordering=id&page=3&page_size=4",
        f"{ADDRESS}?anything=%C3%A4+b&ordering=id&page_size=4",
    )


def test_page_1_has_no_previous_and_the_last_page_no_next(sparse: None, get: Reader) -> None:
    first, last = get(PATH, page_size=6), get(PATH, page_size=6, page=2)

    assert (first["previous"], first["next"]) == (None, f"{ADDRESS}?page=2&page_size=6")
    assert (last["previous"], last["next"]) == (f"{ADDRESS}?page_size=6", None)


@pytest.mark.parametrize("page", ["3", "0", "-1", "abc", "1.5", "99999999999999999999999"])
@pytest.mark.parametrize("filters", [{}, {"emp_code": "100001"}, {"ordering": "-id"}, {"since_id": "0"}])
def test_past_the_end_is_an_invalid_page(page: str, filters: dict[str, str], sparse: None, get: Reader) -> None:
    assert get(PATH, status=404, page=page, page_size=6, **filters) == {"detail": "Invalid page."}


def test_an_empty_list_carries_results_between_code_and_data(get: Reader) -> None:
    answer = get(PATH)

    assert answer == {
        "count": 0, "next": None, "previous": None, "msg": "", "code": 0, "results": [], "data": []
    }  # fmt: skip
    assert list(answer) == ["count", "next", "previous", "msg", "code", "results", "data"]


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        ({}, 10),
        ({"limit": 3}, 3),
        ({"page_size": 4, "limit": 3}, 4),
        ({"page_size": "x", "limit": 3}, 3),
        ({"page_size": 0}, 10),
        ({"page_size": -5}, 10),
        ({"page_size": 5_000_000}, 12),
    ],
)
def test_page_size_wins_over_limit_and_nonsense_means_ten(
    asked: dict[str, Any], rows: int, sparse: None, get: Reader
) -> None:
    assert len(get(PATH, **asked)["data"]) == rows


def test_the_servers_cap_is_followed_by_a_right_next(
    sparse: None, token_client: Client, settings: pytest.FixtureRequest
) -> None:
    settings.MAX_PAGE_SIZE = 5  # type: ignore[attr-defined]

    ids, counts = walk(token_client, f"{PATH}?page_size=5000000")

    assert (ids, counts) == (LIVE, {12})


def test_a_streamed_page_is_the_same_as_one_that_is_not(
    sparse: None, get: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = get(PATH, page_size=2000)
    monkeypatch.setattr(streams, "BATCH_ROWS", 5)

    assert get(PATH, page_size=2001) == {**small, "next": None}


@pytest.mark.parametrize(
    "parameters", [{}, {"page": 2, "page_size": 1}, {"emp_code": "100001"}, {"since_id": 0}, {"ordering": "-id"}]
)
def test_a_page_costs_token_permissions_limits_and_one_statement(
    parameters: dict[str, Any], punches: Punches, get: Reader
) -> None:
    punches(1, 2)
    get(PATH)  # notes the token's use, once a minute
    with CaptureQueriesContext(
        connection,
    ) as few:
        get(PATH, **parameters)
    punches(3, 4, 5)
    with CaptureQueriesContext(connection) as more:
        get(PATH, **parameters)

    assert (len(few), len(more)) == (4, 4)


@pytest.mark.parametrize("size", [1, 4, 12, 100])
def test_a_reader_by_since_id_sees_every_row_once(size: int, sparse: None, token_client: Client) -> None:
    ids, _ = walk(token_client, f"{PATH}?since_id=0&page_size={size}")

    assert ids == LIVE


@pytest.mark.parametrize("since", SINCE)
def test_count_beside_since_id_is_what_is_left_to_read(since: int, sparse: None, get: Reader) -> None:
    left = [number for number in LIVE if number > since]

    answer = get(PATH, since_id=since, page_size=100)

    assert (answer["count"], [row["id"] for row in answer["data"]]) == (len(left), left)


def test_next_of_a_since_id_reader_leads_on_by_id(sparse: None, get: Reader) -> None:
    answer = get(PATH, since_id=2, page_size=3)

    assert (answer["next"], answer["previous"]) == (f"{ADDRESS}?page_size=3&since_id={BLOCK_IDS}", None)


def test_since_id_reads_the_rows_of_one_person_too(sparse: None, punches: Punches, token_client: Client) -> None:
    punches(6, 3 * BLOCK_IDS, 92 * BLOCK_IDS, emp_code="7")

    ids, _ = walk(token_client, f"{PATH}?since_id=6&page_size=1&emp_code=7")

    assert ids == [3 * BLOCK_IDS, 92 * BLOCK_IDS]


def test_a_since_id_reader_that_asks_for_pages_gets_pages(sparse: None, get: Reader) -> None:
    answer = get(PATH, since_id=2, page_size=3, page=2)

    assert [row["id"] for row in answer["data"]] == LIVE[5:8]
    assert answer["previous"] == f"{ADDRESS}?page_size=3&since_id=2"


@pytest.mark.parametrize("filters", [{}, {"emp_code": "100001"}, {"ordering": "-id"}])
def test_the_highest_id_there_can_be_is_read_past(filters: dict[str, str], sparse: None, get: Reader) -> None:
    assert get(PATH, since_id=2**63 - 1, **filters)["count"] == 0


@pytest.mark.parametrize("filters", [{}, {"emp_code": "100001"}, {"ordering": "-id"}, {"since_id": 5}])
def test_the_highest_page_there_can_be_is_an_invalid_page(filters: dict[str, Any], sparse: None, get: Reader) -> None:
    answer = get(PATH, status=404, page=9_999_999_999_999_999, page_size=50_000, **filters)

    assert answer == {"detail": "Invalid page."}


@pytest.mark.parametrize("since", ["-1", "abc", "99999999999999999999"])
def test_a_since_id_that_is_no_id_is_refused_by_name(since: str, get: Reader) -> None:
    assert list(get(PATH, status=400, since_id=since)) == ["since_id"]
