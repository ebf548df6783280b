"""The plan for one terminal: three sides compared, and nothing done that nobody wanted."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from iclock.domain.plan import Agreed, Fields, Intent, Kind, Person, Policy, are_alike, now_agreed, plan, sending
from iclock.policy import Direction, Strangers

ANA = Fields(name="Ana", card=7, privilege=0, password="pin")
KNOWN = Agreed(True, ANA._asdict())
BOTH = Policy()
A, B, C = "digest a", "digest b", "digest c"


def planned(
    held: Mapping[str, Person] | None = None,
    wanted: Mapping[str, Person] | None = None,
    agreed: Mapping[str, Agreed] | None = None,
    policy: Policy = BOTH,
) -> list[Intent]:
    return plan(held=held or {}, wanted=wanted or {}, agreed=agreed or {}, policy=policy)


def between(theirs: Person, ours: Person, last: Agreed = KNOWN, policy: Policy = BOTH) -> list[Intent]:
    return planned({"1": theirs}, {"1": ours}, {"1": last}, policy)


def test_who_is_wanted_and_not_there_is_added_with_their_fingers():
    assert planned(wanted={"1": Person(ANA, {3: A, 1: B})}) == [
        Intent(Kind.ADD, "1"),
        Intent(Kind.COPY_FINGER, "1", finger=1),
        Intent(Kind.COPY_FINGER, "1", finger=3),
    ]


def test_a_unit_that_tells_no_algorithm_gets_people_without_fingers():
    policy = Policy(fingers=False)
    assert planned(wanted={"1": Person(ANA, {3: A})}, policy=policy) == [Intent(Kind.ADD, "1")]
    assert between(Person(ANA, {1: B}), Person(ANA, {3: A}), policy=policy) == []


def test_who_is_there_as_wanted_is_left_alone():
    assert between(Person(ANA, {1: A}), Person(ANA, {1: A})) == []


def test_a_stranger_is_kept():
    assert planned(held={"9": Person(ANA)}) == []


def test_a_stranger_is_only_queued_where_the_policy_says_so():
    assert planned(held={"9": Person(ANA)}, policy=Policy(strangers=Strangers.QUEUED)) == []


def test_who_was_placed_and_is_not_wanted_any_more_is_removed():
    assert planned(held={"1": Person(ANA)}, agreed={"1": Agreed(placed=True)}) == [Intent(Kind.REMOVE, "1")]


@pytest.mark.parametrize("strangers", list(Strangers))
def test_first_contact_removes_nobody(strangers: Strangers):
    assert planned(held={"1": Person(ANA), "9": Person(ANA)}, policy=Policy(strangers=strangers, first=True)) == []


def test_whom_we_put_there_goes_again_although_the_first_contact_was_broken_off():
    agreed = {"1": sending([Intent(Kind.ADD, "1")], Agreed())}
    assert planned(held={"1": Person(ANA)}, agreed=agreed, policy=Policy(first=True)) == [Intent(Kind.REMOVE, "1")]


def test_the_platforms_word_counts_while_nobody_knows_what_became_of_what_was_sent():
    ours, theirs = Person(ANA._replace(card=0), {}), Person(ANA, {1: A})
    intents = [Intent(Kind.UPDATE, "1", ("card",)), Intent(Kind.COPY_FINGER, "1", finger=1)]
    assert between(theirs, ours, sending(intents, Agreed(True, {**ANA._asdict(), "card": 0}))) == [
        Intent(Kind.UPDATE, "1", ("card",)),
        Intent(Kind.DELETE_FINGER, "1", finger=1),
    ]


def test_strangers_go_only_where_the_policy_says_so():
    policy = Policy(strangers=Strangers.REMOVED)
    assert planned(held={"9": Person(ANA)}, policy=policy) == [Intent(Kind.REMOVE, "9")]


@pytest.mark.parametrize("change", [{"card": 8}, {"password": "other"}])
def test_what_was_entered_at_the_terminal_is_taken(change: dict[str, object]):
    theirs = Person(ANA._replace(**change))
    assert between(theirs, Person(ANA)) == [Intent(Kind.TAKE_FIELDS, "1", tuple(change))]
    assert between(theirs, Person(ANA), policy=Policy(Direction.EXPORT)) == [Intent(Kind.UPDATE, "1", tuple(change))]


@pytest.mark.parametrize("change", [{"name": "Anabel"}, {"privilege": 14}])
def test_names_and_privileges_are_the_platforms_matter_unless_people_only_come_in(change: dict[str, object]):
    theirs = Person(ANA._replace(**change))
    assert between(theirs, Person(ANA)) == [Intent(Kind.UPDATE, "1", tuple(change))]
    imported = between(theirs, Person(ANA), policy=Policy(Direction.IMPORT))
    assert imported == [Intent(Kind.TAKE_FIELDS, "1", tuple(change))]


def test_a_name_that_nobody_here_knows_is_taken():
    assert between(Person(ANA), Person(ANA._replace(name="")), Agreed()) == [Intent(Kind.TAKE_FIELDS, "1", ("name",))]


def test_a_card_changed_on_both_sides_is_the_platforms():
    theirs, ours = Person(ANA._replace(card=8)), Person(ANA._replace(card=9))
    assert between(theirs, ours) == [Intent(Kind.UPDATE, "1", ("card",))]


def test_nothing_is_erased_here_because_the_terminal_has_lost_it():
    theirs = Person(ANA._replace(card=0, password=""), {})
    assert between(theirs, Person(ANA, {1: A}), Agreed(True, ANA._asdict(), {1: A})) == [
        Intent(Kind.UPDATE, "1", ("card", "password")),
        Intent(Kind.COPY_FINGER, "1", finger=1),
    ]


def test_at_first_contact_nothing_is_erased_that_was_never_known_here():
    theirs, ours = Person(ANA._replace(privilege=14, disabled=True)), Person(Fields(name="Ana"))
    assert between(theirs, ours, Agreed()) == [Intent(Kind.TAKE_FIELDS, "1", ("card", "password"))]
    assert between(theirs, ours, Agreed(), Policy(Direction.EXPORT)) == []


def test_a_card_taken_away_here_is_taken_away_there():
    assert between(Person(ANA), Person(ANA._replace(card=0))) == [Intent(Kind.UPDATE, "1", ("card",))]


def test_who_is_disabled_at_the_terminal_later_on_is_enabled():
    theirs = Person(ANA._replace(disabled=True, name="Bea"))
    assert between(theirs, Person(ANA)) == [
        Intent(Kind.UPDATE, "1", ("name",)),
        Intent(Kind.ENABLE, "1", ("disabled",)),
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "base", "kind"),
    [
        (None, A, None, Kind.TAKE_FINGER),  # enrolled there
        (A, B, A, Kind.TAKE_FINGER),  # once more
        (A, None, None, Kind.COPY_FINGER),
        (A, None, A, Kind.COPY_FINGER),  # deleted there
        (B, A, A, Kind.COPY_FINGER),  # once more here
        (B, C, A, Kind.COPY_FINGER),  # on both sides
        (None, A, A, Kind.DELETE_FINGER),  # withdrawn here
        (None, B, A, Kind.DELETE_FINGER),
    ],
)
def test_fingers_go_both_ways(ours: str | None, theirs: str | None, base: str | None, kind: Kind):
    here, there, last = ({1: digest} if digest else {} for digest in (ours, theirs, base))
    agreed = Agreed(True, ANA._asdict(), last)
    assert between(Person(ANA, there), Person(ANA, here), agreed) == [Intent(kind, "1", finger=1)]


def test_fingers_that_were_not_read_are_left_alone():
    assert between(Person(ANA, None), Person(ANA, {1: A})) == []


@pytest.mark.parametrize("direction", list(Direction))
def test_each_direction_does_only_what_it_says(direction: Direction):
    held = {"1": Person(ANA._replace(card=8), {2: B}), "2": Person(ANA)}
    wanted = {"1": Person(ANA._replace(name="Anita"), {1: A}), "3": Person(ANA)}
    agreed = {"1": KNOWN, "2": KNOWN}
    kinds = {intent.kind for intent in planned(held, wanted, agreed, Policy(direction))}
    takes = {Kind.TAKE_FIELDS, Kind.TAKE_FINGER}
    writes = {Kind.REMOVE, Kind.ADD, Kind.UPDATE, Kind.COPY_FINGER}
    assert kinds == {"import": takes, "export": writes, "both": takes | writes, "off": set()}[direction.value]


def test_who_leaves_makes_room_for_who_comes_and_what_is_taken_comes_first():
    held = {"1": Person(ANA), "2": Person(ANA._replace(card=8))}
    intents = planned(held, {"2": Person(ANA), "3": Person(ANA)}, {"1": KNOWN, "2": KNOWN})
    assert [intent.kind for intent in intents] == [Kind.TAKE_FIELDS, Kind.REMOVE, Kind.ADD]


def test_a_code_that_the_terminal_gives_to_somebody_else_is_left_alone_until_somebody_says_who_it_is():
    theirs, ours = Person(ANA._replace(name="Bob", card=8), {1: A}), Person(ANA, {2: B})
    assert between(theirs, ours, Agreed()) == []
    assert now_agreed(ours, theirs, Agreed()) == Agreed()
    said = Agreed(fields={"name": "Bob"})
    assert [intent.kind for intent in between(theirs, ours, said)] == [
        Kind.TAKE_FINGER,
        Kind.UPDATE,
        Kind.COPY_FINGER,
    ]


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Ana López", "LOPEZ ANA", True),
        ("Bartholomew", "Barth", True),
        ("Ana", "Anabel", True),
        ("Li", "Lima", False),
        ("Li Na", "NA LI", True),
        ("Juan Gomez", "Juan Perez", False),
        ("Ana de Souza", "Carlos de la Cruz", False),
        ("??", "??", True),
        ("Juan", "Juan Perez", True),
        ("王 明", "王 芳", False),
        ("Ana", "Bob", False),
    ],
)
def test_names_are_alike_when_they_have_a_word_in_common(one: str, other: str, alike: bool):
    assert are_alike(one, other) is alike
    assert are_alike(other, one) is alike


def test_what_both_hold_is_agreed_and_what_they_do_not_stays_as_it_was_agreed():
    last = Agreed(True, {"card": 5}, {1: A, 2: A, 3: A})
    ours, theirs = Person(ANA, {1: B, 4: C}), Person(ANA._replace(card=8), {1: A, 2: A, 4: C})
    agreed = now_agreed(ours, theirs, last)
    fields = {"name": "Ana", "privilege": 0, "password": "pin", "disabled": False, "card": 5}
    assert agreed == Agreed(True, fields, {1: A, 2: A, 4: C})
