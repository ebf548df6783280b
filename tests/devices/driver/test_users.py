"""Rows of people: what was read is kept, what is changed fits, and numbers are not given away twice."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.driver.errors import FullError, KnownUserError, TerminalError, UnfitError, UnknownUserError
from devices.driver.roster import Roster
from devices.driver.tables import Rows
from devices.driver.users import (
    MAX_UID,
    IdRule,
    UserFields,
    changed_row,
    decode_user,
    decode_users,
    differences,
    free_uid,
    new_row,
    require_fitting_id,
    shown_name,
)

WIDTHS = st.sampled_from([72, 28])
ROWS = WIDTHS.flatmap(lambda width: st.binary(min_size=width, max_size=width))
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z", "M")), max_size=30)
FIELDS = st.builds(
    UserFields,
    name=st.none() | NAMES,
    privilege=st.sampled_from([None, 0, 2, 6, 10, 14]),
    disabled=st.sampled_from([None, False, True]),
    password=st.none() | st.from_regex(r"[0-9]{0,5}", fullmatch=True),
    card=st.none() | st.integers(0, 2**32 - 1),
    group=st.none() | st.integers(0, 255),
)
NOBODY_KNOWN = new_row(5, "77", width=72)


@given(ROWS)
def test_nothing_asked_is_nothing_changed_whatever_the_row(row: bytes) -> None:
    assert changed_row(row, UserFields(), encoding="UTF-8") == row
    assert decode_user(row, encoding="UTF-8").raw == row


@given(ROWS, FIELDS)
def test_what_is_asked_is_what_is_read_and_the_rest_stays(row: bytes, fields: UserFields) -> None:
    before = decode_user(row, encoding="UTF-8")
    after = decode_user(changed_row(row, fields, encoding="UTF-8"), encoding="UTF-8")

    for name in ("privilege", "disabled", "password", "card", "group"):
        asked = getattr(fields, name)
        assert getattr(after, name) == (getattr(before, name) if asked is None else asked)
    assert (after.uid, after.user_id, after.time_zones) == (before.uid, before.user_id, before.time_zones)
    if fields.name is None:
        assert after.name == before.name
    else:
        assert unicodedata.normalize("NFC", fields.name).startswith(after.name)
        assert len(after.name.encode()) <= (23 if len(row) == 72 else 8)


def test_a_number_to_avoid_is_given_to_nobody_though_it_is_the_last() -> None:
    last = decode_user(new_row(MAX_UID, "77", width=72), encoding="UTF-8")
    avoid = set(range(1, MAX_UID)) - {9}
    roster = Roster([last], width=72, encoding="UTF-8", remembered=range(1, 20), avoid=avoid)

    assert roster.take(roster.row_for("78", UserFields(), when="new")).uid == 9
    with pytest.raises(FullError):
        roster.row_for("79", UserFields(), when="new")


@given(WIDTHS, st.integers(1, MAX_UID), st.integers(1, 999_999_999), FIELDS)
def test_a_new_person_survives_the_row(width: int, uid: int, number: int, fields: UserFields) -> None:
    row = changed_row(new_row(uid, str(number), width=width), fields, encoding="UTF-8")

    (user,) = decode_users(Rows(width, row), encoding="UTF-8")

    assert (user.uid, user.user_id) == (uid, str(number))
    assert user.group == (1 if fields.group is None else fields.group)
    assert differences(user, decode_user(row, encoding="UTF-8")) == []


def test_bits_of_the_permission_that_nobody_asked_for_stay() -> None:
    row = bytearray(NOBODY_KNOWN)
    row[2] = 0b1111_0001

    demoted = changed_row(bytes(row), UserFields(privilege=14), encoding="UTF-8")

    assert demoted[2] == 0b1111_1111


@pytest.mark.parametrize(
    ("width", "encoding", "name", "kept"),
    [
        (72, "UTF-8", "Maximiliana Aurora Konstantinopolis", b"Maximiliana Aurora Kons"),
        (72, "UTF-8", "é" * 12, "é".encode() * 11),
        (72, "UTF-8", "A" * 22 + "é", b"A" * 22),
        (72, "GBK", "张" * 12, "张".encode("gbk") * 11),
        (72, "UTF-8", "Abcdefghijklmnopqrstuv xyz", b"Abcdefghijklmnopqrstuv"),
        (28, "UTF-8", "Joséphine", "Joséphi".encode()),
        (28, "latin-1", "Joséphine", "Joséphin".encode("latin-1")),
        (72, "latin-1", "Jose\u0301", "José".encode("latin-1")),
        (72, "UTF-8", "", b""),
    ],
)
def test_a_name_is_cut_on_a_characters_boundary(width: int, encoding: str, name: str, kept: bytes) -> None:
    row = changed_row(new_row(1, "1", width=width), UserFields(name=name), encoding=encoding)

    field, size = (row[11:35], 24) if width == 72 else (row[8:16], 8)
    assert field == kept.ljust(size, b"\0")


def test_a_person_without_a_name_has_none() -> None:
    assert decode_user(NOBODY_KNOWN, encoding="UTF-8").name == ""


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "Łukasz"}, "code page latin-1 has no 'Ł'"),
        ({"name": "a\nb"}, "no display can show"),
        ({"name": "a\0b"}, "no display can show"),
        ({"password": "123456789"}, "at most 8 digits"),
        ({"password": "secret"}, "is made of digits"),
        ({"password": "١٢"}, "is made of digits"),
        ({"card": 2**32}, "A card is a number from 0 to 4294967295, not 4294967296"),
        ({"card": -1}, "not -1"),
        ({"group": 256}, "A group is a number from 0 to 255"),
        ({"privilege": 1}, "one of 0, 2, 6, 10, 14, not 1"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(UnfitError, match=words) as caught:
        changed_row(NOBODY_KNOWN, UserFields(**fields), encoding="latin-1")

    assert "secret" not in str(caught.value)


def test_old_units_take_shorter_passwords() -> None:
    with pytest.raises(UnfitError, match="at most 5 digits"):
        changed_row(new_row(1, "1", width=28), UserFields(password="123456"), encoding="UTF-8")


@pytest.mark.parametrize(
    ("user_id", "rule", "width", "words"),
    [
        ("1234567890", IdRule(), 72, "at most 9 characters; '1234567890' has 10"),
        ("AB12", IdRule(), 72, "are digits; 'AB12' can't be one"),
        ("AB12", IdRule(letters=True), 28, "are digits"),
        ("A-1", IdRule(letters=True), 72, "are letters and digits"),
        ("é1", IdRule(letters=True), 72, "are letters and digits"),
        ("", IdRule(), 72, "are digits; '' can't be one"),
        ("0", IdRule(), 72, "'0' means nobody"),
        ("000", IdRule(), 72, "'000' means nobody"),
        ("0042", IdRule(), 28, "'0042' would become another one"),
        ("4294967296", IdRule(10), 28, "numbers up to 4294967295"),
        ("1" * 25, IdRule(30), 72, "at most 24 characters"),
        ("٣", IdRule(), 72, "are digits"),
    ],
)
def test_a_user_id_that_the_unit_would_change_is_refused(user_id: str, rule: IdRule, width: int, words: str) -> None:
    with pytest.raises(UnfitError, match=words):
        require_fitting_id(user_id, rule, width=width)


@pytest.mark.parametrize(
    ("user_id", "rule", "width"),
    [("1", IdRule(), 28), ("0042", IdRule(), 72), ("4294967295", IdRule(10), 28), ("Ab12", IdRule(letters=True), 72)],
)
def test_a_user_id_that_fits_is_taken(user_id: str, rule: IdRule, width: int) -> None:
    require_fitting_id(user_id, rule, width=width)
    assert decode_user(new_row(1, user_id, width=width), encoding="UTF-8").user_id == user_id


def test_a_free_uid_is_above_all_others() -> None:
    assert free_uid([]) == 1
    assert free_uid([1, 7]) == 8
    assert free_uid([1, 7], remembered={300}) == 301
    assert free_uid([MAX_UID - 1]) == MAX_UID


def test_only_when_there_is_nothing_above_a_gap_is_filled_and_one_that_the_log_names_last() -> None:
    assert free_uid([1, 2, 4, MAX_UID], remembered={3, 5}) == 6
    everybody = set(range(1, MAX_UID + 1))
    assert free_uid(everybody - {9, 12}, remembered={9}) == 12
    assert free_uid(everybody - {9}, remembered={9}) == 9
    with pytest.raises(FullError, match="no number left"):
        free_uid(everybody)


def roster(*user_ids: str, capacity: int = 0) -> Roster:
    rows = [new_row(uid, user_id, width=72) for uid, user_id in enumerate(user_ids, start=1)]
    users = [decode_user(row, encoding="UTF-8") for row in rows]
    return Roster(users, width=72, encoding="UTF-8", capacity=capacity)


@pytest.mark.parametrize(
    ("people", "user_id", "when", "error", "words"),
    [
        (roster("7"), "8", "known", UnknownUserError, "has no user '8'"),
        (roster("7"), "7", "new", KnownUserError, "has user '7' already"),
        (roster("7", "8", capacity=2), "9", "any", FullError, "holds 2 of 2 people"),
        (roster("7", "7"), "7", "any", UnfitError, "more than once, as uid 1, 2"),
        (roster(""), "", "known", UnknownUserError, "has no user ''"),
    ],
)
def test_who_can_not_be_written_is_told_why(
    people: Roster, user_id: str, when: Any, error: type[TerminalError], words: str
) -> None:
    with pytest.raises(error, match=words):
        people.row_for(user_id, UserFields(), when=when)


def test_a_full_unit_still_changes_whom_it_has() -> None:
    assert roster("7", capacity=1).row_for("7", UserFields(card=9), when="any")[35:39] == b"\x09\0\0\0"


def test_each_new_person_counts_for_the_next_one() -> None:
    people = roster("7", capacity=3)

    uids = [people.take(people.row_for(user_id, UserFields(), when="new")).uid for user_id in ("8", "9")]

    assert uids == [2, 3]
    with pytest.raises(KnownUserError):
        people.row_for("9", UserFields(), when="new")
    with pytest.raises(FullError):
        people.row_for("10", UserFields(), when="new")


def test_secrets_are_not_in_what_is_printed() -> None:
    row = changed_row(NOBODY_KNOWN, UserFields(password="31337"), encoding="UTF-8")
    printed = repr(decode_user(row, encoding="UTF-8")) + repr(UserFields(password="31337"))

    assert "31337" not in printed


def test_a_different_password_is_told_without_it() -> None:
    wanted = decode_user(changed_row(NOBODY_KNOWN, UserFields(password="31337"), encoding="UTF-8"), encoding="UTF-8")
    kept = decode_user(changed_row(NOBODY_KNOWN, UserFields(card=7), encoding="UTF-8"), encoding="UTF-8")

    assert differences(wanted, kept) == ["card 7 instead of 0", "another password"]


@pytest.mark.parametrize(
    ("name", "width", "encoding", "shown"),
    [
        ("José Ángel", 72, "UTF-8", "José Ángel"),
        ("Jose\u0301", 28, "UTF-8", "José"),
        ("  Ann\t\u200b \x00", 72, "UTF-8", "Ann"),
        ("x" * 40, 72, "UTF-8", "x" * 23),
        ("x" * 40, 28, "UTF-8", "x" * 8),
        ("éééééééééééé", 72, "UTF-8", "é" * 11),
        ("张伟", 28, "latin-1", "??"),
        ("Žofie", 72, "latin-1", "?ofie"),
        ("张伟张伟张伟", 28, "GBK", "张伟张伟"),
        ("1234567 9", 28, "UTF-8", "1234567"),
        ("\ud800", 72, "UTF-8", ""),
        ("", 72, "UTF-8", ""),
    ],
)
def test_a_name_is_shown_as_the_unit_keeps_it(name: str, width: int, encoding: str, shown: str) -> None:
    assert shown_name(name, width=width, encoding=encoding) == shown


@given(st.text(max_size=40), st.sampled_from([72, 28]), st.sampled_from(["UTF-8", "latin-1", "GBK", "cp1251"]))
def test_a_shown_name_is_written_and_read_as_it_is(name: str, width: int, encoding: str) -> None:
    shown = shown_name(name, width=width, encoding=encoding)

    row = changed_row(new_row(1, "1", width=width), UserFields(name=shown), encoding=encoding)

    assert decode_user(row, encoding=encoding).name == shown
    assert shown_name(shown, width=width, encoding=encoding) == shown
