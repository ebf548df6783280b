"""People on terminals in the administration: who they are, what is decided on them, and what was done."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from iclock.admin import people as pages
from iclock.domain.plan import Fields
from iclock.domain.unknown_people import judge_strangers
from iclock.models import Alarm, PersonIntent, SyncMark, Terminal, TerminalPerson
from personnel.models import Area, AreaLimit, Department, DepartmentLimit, Employee
from zkbio.accounts.models import AuditEntry, User

pytestmark = pytest.mark.django_db

LIST, CHANGES, TERMINALS = "/admin/iclock/terminalperson/", "/admin/iclock/personintent/", "/admin/iclock/terminal/"
HOSTILE = "<script>x</script>"
HR = ("view_terminalperson", "view_employee", "add_employee", "change_employee")


@pytest.fixture
def gate(db: None) -> Terminal:
    area = Area.objects.create(area_code="2", area_name="Two")
    return Terminal.objects.create(sn="GATE", alias="Gate", area=area, time_zone="UTC")


def found(terminal: Terminal, code: str, *, placed: bool = False, refusal: str = "", **fields: Any) -> TerminalPerson:
    held = Fields(**fields)._asdict()
    return TerminalPerson.objects.create(
        terminal=terminal, emp_code=code, held=True, placed=placed, refusal=refusal, uid=1, held_fields=held
    )


def hire(code: str, terminal: Terminal, name: str = "Ana") -> Employee:
    person = Employee.objects.create(emp_code=code, department_id=1, first_name=name)
    person.areas.set([terminal.area])
    return person


def listed(client: Client, **query: str | int) -> list[str]:
    return sorted(row.emp_code for row in client.get(LIST, query).context["cl"].result_list)


def act(client: Client, action: str, *rows: TerminalPerson, **fields: str) -> Any:
    chosen = [row.pk for row in rows]
    return client.post(f"{LIST}?shown=all", {"action": action, "_selected_action": chosen, **fields}, follow=True)


def said(page: Any) -> list[str]:
    return [str(message) for message in page.context["messages"]]


def officer(*permissions: str, area: Area | None = None, department: Department | None = None) -> Client:
    user = User.objects.create_user("officer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    if area:
        AreaLimit.objects.create(user=user, area=area)
    if department:
        DepartmentLimit.objects.create(user=user, department=department)
    client = Client()
    client.force_login(user)
    return client


def test_those_who_wait_for_a_decision_are_listed_first(admin_client: Client, gate: Terminal) -> None:
    other = Terminal.objects.create(sn="OTHER", alias="Other")
    found(gate, "1")
    found(other, "2")
    found(gate, "3", placed=True, refusal="The unit is full.")
    TerminalPerson.objects.create(terminal=gate, emp_code="4")

    assert listed(admin_client) == ["1", "2"]
    assert listed(admin_client, shown="refused") == ["3"]
    assert listed(admin_client, shown="all") == ["1", "2", "3", "4"]
    assert listed(admin_client, shown="all", terminal__id__exact=gate.pk) == ["1", "3", "4"]
    assert listed(admin_client, terminal__id__exact="x") == []
    assert listed(admin_client, terminal__id__exact="9" * 30) == []


def test_a_terminal_among_many_is_asked_for_all_the_same(
    admin_client: Client, gate: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "FILTERED_TERMINALS", 1)
    other = Terminal.objects.create(sn="OTHER", alias="Other")
    found(gate, "1")
    found(other, "2")

    assert listed(admin_client, terminal__id__exact=other.pk) == ["2"]
    assert "?terminal__id__exact" not in admin_client.get(LIST).text


def test_a_row_says_who_they_are_there_and_here(admin_client: Client, gate: Terminal) -> None:
    hire("7", gate, "Ana")
    row = found(gate, "7", name="Boris", card=4711, privilege=14, refusal="Which of both?")

    for page in (LIST, f"{LIST}{row.pk}/change/"):
        html = admin_client.get(page).text
        shown = ("Boris", "Ana", "4711", "Administrator", "Has another name here", "Which of both?")
        assert [word for word in shown if word not in html] == []


def test_a_privilege_is_listed_only_where_it_is_more_than_a_users(admin_client: Client, gate: Terminal) -> None:
    found(gate, "7", privilege=0)
    found(gate, "8", privilege=14)

    html = admin_client.get(LIST).text

    assert re.findall(r'field-more_than_a_user">([^<]*)<', html) == ["Administrator", "-"]


def test_who_is_not_as_they_should_be_is_never_said_to_be(admin_client: Client, gate: Terminal) -> None:
    for code, refusal in (("7", ""), ("8", "The unit is full.")):
        hire(code, gate)
        found(gate, code, placed=True, refusal=refusal)

    html = admin_client.get(LIST, {"shown": "all"}).text

    standings = re.findall(r'field-standing">([^<]*)<', html)
    assert standings == ["There, but not as it should be", "As it should be"]


def test_adopting_says_who_came_into_which_area_and_who_still_waits(admin_client: Client, gate: Terminal) -> None:
    three = Area.objects.create(area_code="3", area_name="Three")
    for code in ("8", "9"):
        Employee.objects.create(emp_code=code, department_id=1, first_name="Ana").areas.set([three])
    rows = [found(gate, "7"), found(gate, "8", name="Ana"), found(gate, "9", name="Boris\x07")]

    assert said(act(admin_client, "adopt", *rows)) == [
        "Adopted: 3.",
        "New employees, in area 2 Two: 7.",
        "Now also in area 2 Two: 8, 9.",
        "They have another name on the unit, and wait until you say “Same person”: 9.",
    ]
    assert listed(admin_client) == ["9"]
    refusal = TerminalPerson.objects.get(emp_code="9").refusal
    assert refusal.startswith("The terminal knows 9 as Boris?, the platform as Ana")
    assert set(TerminalPerson.objects.exclude(emp_code="9").values_list("refusal", flat=True)) == {""}


def test_a_list_asks_as_many_questions_for_many_terminals_as_for_one(admin_client: Client, gate: Terminal) -> None:
    def questions() -> int:
        admin_client.get(LIST)
        with CaptureQueriesContext(connection) as asked:
            admin_client.get(LIST)
        return len(asked)

    hire("1", gate)
    found(gate, "1", name="Boris")
    one = questions()
    for number in range(3):
        terminal = Terminal.objects.create(sn=f"SN{number}", alias=f"Door {number}", area=gate.area)
        found(terminal, "1", name="Boris")
        found(terminal, f"2{number}")
    assert questions() == one


def test_adopting_says_how_many_and_whom_not(admin_client: Client, gate: Terminal) -> None:
    rows = [found(gate, "7", name="Ana"), found(gate, " 8")]

    assert said(act(admin_client, "adopt", *rows)) == [
        "Adopted: 1.",
        " 8 on Gate (GATE): Emp code: An employee code consists of printable characters, without spaces at its ends.",
        "New employees, in area 2 Two: 7.",
    ]

    assert Employee.objects.get().emp_code == "7"
    entry = AuditEntry.objects.get(action="iclock.adopt_people")
    assert (entry.actor, entry.detail["codes"]) == ("admin", ["7"])
    assert listed(admin_client) == [" 8"]


def test_all_of_a_terminal_are_adopted_at_once(admin_client: Client, gate: Terminal) -> None:
    rows = [found(gate, str(code)) for code in range(10, 15)]
    found(Terminal.objects.create(sn="OTHER", alias="Other", area=gate.area), "99")
    chosen = {"action": "adopt", "_selected_action": [rows[0].pk], "select_across": "1"}

    page = admin_client.post(f"{LIST}?terminal__id__exact={gate.pk}", chosen, follow=True)

    assert said(page) == ["Adopted: 5.", "New employees, in area 2 Two: 10, 11, 12, 13, 14."]
    assert sorted(Employee.objects.values_list("emp_code", flat=True)) == ["10", "11", "12", "13", "14"]


def test_no_more_are_decided_on_at_once_than_a_request_has_time_for(
    admin_client: Client, gate: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST_DECIDED", 2)
    monkeypatch.setattr(pages, "_TOLD", 1)
    rows = [found(gate, f" {code}") for code in range(3)]

    messages = said(act(admin_client, "adopt", *rows))

    assert messages[:2] == ["No more than 2 are decided on at once: the others wait.", "Adopted: 0."]
    assert (len(messages), messages[-1]) == (4, "Not done: 2 in all.")


def test_the_same_person_is_confirmed(admin_client: Client, gate: Terminal) -> None:
    hire("7", gate, "Ana")
    row = found(gate, "7", name="Boris")

    assert said(act(admin_client, "same_person", row)) == ["Confirmed: 1."]

    row.refresh_from_db()
    assert row.agreed_fields == {"name": "Boris"}
    assert listed(admin_client) == []


def test_removing_asks_first(admin_client: Client, gate: Terminal) -> None:
    row, other = found(gate, "7", name=HOSTILE), found(gate, "8")

    page = act(admin_client, "remove", row)
    assert "Remove these people from their units?" in page.text
    assert f'name="_selected_action" value="{row.pk}"' in page.text
    assert f'value="{other.pk}"' not in page.text
    assert ("<script>x" in page.text, "&lt;script&gt;x" in page.text) == (False, True)
    assert not TerminalPerson.objects.filter(placed=True).exists()

    assert said(act(admin_client, "remove", row, confirmed="yes")) == ["Asked to be removed: 1."]
    assert TerminalPerson.objects.get(placed=True) == row
    assert SyncMark.objects.pending().get().terminal == gate
    html = admin_client.get(LIST, {"shown": "all"}).text
    assert "Is removed at the next visit" in html


def test_what_a_unit_says_is_text_wherever_it_is_shown(admin_client: Client, gate: Terminal) -> None:
    row = found(gate, "<b>7</b>", name=HOSTILE, refusal=HOSTILE)
    PersonIntent.objects.create(terminal=gate, emp_code="<b>7</b>", kind="<i>", done=False, sentence=HOSTILE)

    html = "".join(admin_client.get(page).text for page in (LIST, f"{LIST}{row.pk}/change/", CHANGES))
    html += act(admin_client, "same_person", row).text

    assert [tag for tag in ("<script>x", "<b>7", "<i>") if tag in html] == []
    assert "&lt;b&gt;7&lt;/b&gt; on Gate (GATE): They have no other name here" in html


@pytest.mark.parametrize(
    ("permissions", "offered"),
    [
        (["view_terminalperson"], set()),
        (["view_terminalperson", "add_employee"], set()),
        ([*HR], {"adopt", "same_person"}),
        (["view_terminalperson", "change_terminal"], set()),
        (["view_terminalperson", "change_terminal", "delete_terminalperson"], {"remove"}),
    ],
)
def test_actions_need_their_permissions(gate: Terminal, permissions: list[str], offered: set[str]) -> None:
    row = found(gate, "7")
    client = officer(*permissions)

    form = client.get(LIST).context["action_form"]
    names = {name for name, _ in form.fields["action"].choices if name} if form else set()

    assert names == offered
    act(client, "adopt", row)
    act(client, "remove", row, confirmed="yes")
    assert (Employee.objects.exists(), TerminalPerson.objects.filter(placed=True).exists()) == (
        "adopt" in offered,
        bool(offered & {"adopt", "remove"}),
    )


def test_nobody_else_gets_in(client: Client, gate: Terminal) -> None:
    row = found(gate, "7")

    for page in (LIST, f"{LIST}{row.pk}/change/", CHANGES):
        assert client.get(page).url.startswith("/admin/login/")  # type: ignore[attr-defined]
    assert officer().get(LIST).status_code == 403
    client.post(LIST, {"action": "adopt", "_selected_action": [row.pk]})
    assert not Employee.objects.exists()


def test_who_has_limits_neither_sees_nor_decides_on_what_lies_outside(gate: Terminal) -> None:
    other = Area.objects.create(area_code="3", area_name="Three")
    yard = Terminal.objects.create(sn="YARD", alias="Yard", area=other)
    stranger = hire("5", yard, "Elsewhere")
    outside, inside = found(yard, "7"), [found(gate, "8"), found(gate, "5", name="E.")]
    client = officer(*HR, area=gate.area)

    assert listed(client) == ["8"]
    assert listed(client, terminal__id__exact=yard.pk) == []
    html = client.get(LIST).text
    assert ("Yard" in html, "Elsewhere" in html) == (False, False)
    page = act(client, "adopt", outside, *inside)

    assert said(page) == ["Adopted: 1.", "New employees, in area 2 Two: 8."]
    assert sorted(Employee.objects.values_list("emp_code", flat=True)) == ["5", "8"]
    assert [*stranger.areas.all()] == [other]
    assert client.get(f"{LIST}{outside.pk}/change/").status_code == 302


def test_who_is_limited_to_departments_reads_nothing_of_others_people(gate: Terminal) -> None:
    mine = Department.objects.create(dept_code="M", dept_name="Mine")
    secret, own = hire("900", gate, "Secretaria"), hire("901", gate, "Own")
    Employee.objects.filter(pk=own.pk).update(department=mine)
    hidden = found(gate, secret.emp_code, name="Secretaria", card=4711, refusal="Secretaria's card")
    found(gate, own.emp_code, name="Own", placed=True)
    found(gate, "902", name="Nobody")
    for code in ("900", "901", "902"):
        PersonIntent.objects.create(terminal=gate, emp_code=code, kind="add", done=True)
    client = officer(*HR, "view_personintent", "view_terminal", department=mine)

    assert listed(client, shown="all") == ["901", "902"]
    assert {row.emp_code for row in client.get(CHANGES).context["cl"].result_list} == {"901", "902"}
    assert client.get(f"{LIST}{hidden.pk}/change/").status_code == 302
    told = values(client, gate)["people_lists"]
    assert told == "2 on the unit, 1 unknown, 0 not as they should be, what was done"
    TerminalPerson.objects.filter(emp_code="902").delete()
    assert not client.get(TERMINALS, {"people": "unknown"}).context["cl"].result_list


def test_a_name_here_is_read_by_who_may_read_of_people(gate: Terminal) -> None:
    hire("7", gate, "Secretaria")
    row = found(gate, "7", name="Boris")
    client = officer("view_terminalperson")

    html = "".join(client.get(page).text for page in (LIST, f"{LIST}{row.pk}/change/"))

    assert ("Boris" in html, "Secretaria" in html) == (True, False)


def test_what_can_not_be_printed_of_a_name_is_a_question_mark(admin_client: Client, gate: Terminal) -> None:
    row = found(gate, "7", name="A\u202ena\x07")

    pages = [admin_client.get(page).text for page in (LIST, f"{LIST}{row.pk}/change/")]
    assert ["A?na?" in html for html in pages] == [True, True]
    assert said(act(admin_client, "adopt", found(gate, "8\x07")))[1].startswith("8? on Gate (GATE): Emp code:")


def test_what_was_done_with_whom_is_told(admin_client: Client, gate: Terminal) -> None:
    for kind, columns, finger, done in (
        ("update", "card,password", None, True),
        ("copy_finger", "", 6, False),
        ("add", "", None, True),
    ):
        PersonIntent.objects.create(
            terminal=gate, emp_code="7", kind=kind, columns=columns, finger=finger, done=done, sentence=""
        )

    html = unescape(re.sub("<[^>]+>", " ", admin_client.get(CHANGES).text))

    assert "Write: card, password" in html
    assert "Copy the finger there: 6: left index finger" in html
    rows = admin_client.get(CHANGES, {"done__exact": 0}).context["cl"].result_list
    assert [row.kind for row in rows] == ["copy_finger"]
    other = Terminal.objects.create(sn="OTHER", alias="Other")
    assert not admin_client.get(CHANGES, {"terminal__id__exact": other.pk}).context["cl"].result_list


def values(client: Client, terminal: Terminal) -> dict[str, str]:
    """What the terminal's page says, by field."""
    html = client.get(f"{TERMINALS}{terminal.pk}/change/").text
    shown = re.findall(r'class="form-row field-(\w+)".*?<div class="readonly">(.*?)</div>\s*</div>', html, re.S)
    return {name: unescape(re.sub("<[^>]+>", "", text)).strip() for name, text in shown}


def test_a_terminals_page_says_how_far_its_people_are(admin_client: Client, gate: Terminal) -> None:
    Terminal.objects.update(fp_version="10")
    SyncMark.objects.create(
        terminal=gate,
        wanted=2,
        done=1,
        wanted_at="2026-03-02T08:00:00Z",
        compared_at="2026-03-02T07:00:00Z",
        planned=400,
        carried_out=120,
        error="The unit went away.",
    )
    found(gate, "1", placed=True)
    found(gate, "2", refusal="Who?")
    TerminalPerson.objects.create(terminal=gate, emp_code="3", refusal="It is full.")

    told = values(admin_client, gate)

    local = timezone.localtime(SyncMark.objects.get().wanted_at)
    waiting = f"Waiting since {local:%Y-%m-%d %H:%M:%S} Broken off: The unit went away."
    assert told["synchronised"] == waiting
    assert told["carried_out"] == "120 of 400 done or refused"
    assert told["people_lists"] == "2 on the unit, 1 unknown, 2 not as they should be, what was done"
    assert (told["fp_version"], told["compared"][:10]) == ("10", "2026-03-02")
    html = admin_client.get(f"{TERMINALS}{gate.pk}/change/").text
    links = [unescape(link) for link in re.findall(r'href="([^"]+terminal__id__exact=[^"]+)"', html)]
    assert [len(admin_client.get(link).context["cl"].result_list) for link in links] == [2 + 1, 1, 2, 0]


@pytest.mark.parametrize(
    ("mark", "direction", "words"),
    [
        ({"error": "It is locked."}, "both", "Broken off: It is locked."),
        ({}, "both", "Up to date"),
        ({"wanted": 1}, "off", "Its people are its own"),
    ],
)
def test_the_list_of_terminals_says_it_too(
    mark: dict[str, Any], direction: str, words: str, admin_client: Client, gate: Terminal
) -> None:
    Terminal.objects.update(direction=direction)
    SyncMark.objects.create(terminal=gate, wanted_at=timezone.now(), **mark)

    assert words in admin_client.get(TERMINALS).text


def test_who_is_refused_is_told_beside_up_to_date(admin_client: Client, gate: Terminal) -> None:
    SyncMark.objects.create(terminal=gate, wanted_at=timezone.now())
    for code in ("1", "2"):
        found(gate, code, placed=True, refusal="It is full.")

    assert values(admin_client, gate)["synchronised"] == "Up to date, but 2 refused"
    assert "Up to date, but 2 refused" in admin_client.get(TERMINALS).text


def test_terminals_are_filtered_by_how_far_their_people_are(admin_client: Client, gate: Terminal) -> None:
    now = timezone.now()
    for number in range(3):
        Terminal.objects.create(sn=f"SN{number}", alias=f"Door {number}", direction="off" if number else "both")
    first, second, third = Terminal.objects.exclude(pk=gate.pk).order_by("sn")
    SyncMark.objects.create(terminal=first, wanted=1, wanted_at=now)
    SyncMark.objects.create(terminal=second, error="Away.", wanted_at=now)
    found(third, "7")

    def names(**query: str) -> list[str]:
        return sorted(row.sn for row in admin_client.get(TERMINALS, query).context["cl"].result_list)

    asked = [names(people=kind) for kind in ("waiting", "error", "unknown", "nonsense")]
    assert asked == [["SN0"], ["SN1"], ["SN2"], ["GATE", "SN0", "SN1", "SN2"]]
    assert names(direction__exact="off") == ["SN1", "SN2"]


def test_people_are_compared_when_asked_for(admin_client: Client, gate: Terminal) -> None:
    SyncMark.objects.create(terminal=gate, wanted_at=timezone.now(), fingers_read_at=timezone.now())
    row = found(gate, "7", refusal="It is full.")
    TerminalPerson.objects.update(retry_at=timezone.now())

    chosen = {"action": "compare_people", "_selected_action": [gate.pk]}
    page = admin_client.post(TERMINALS, chosen, follow=True)

    assert said(page) == ["Their people are compared at the next visit."]
    assert SyncMark.objects.pending().get().fingers_read_at is None
    row.refresh_from_db()
    assert row.retry_at is None


@pytest.mark.parametrize("change", [{"strangers": "kept"}, {"direction": "off"}])
def test_another_policy_marks_the_terminal_and_ends_its_alarm(
    change: dict[str, str], admin_client: Client, gate: Terminal
) -> None:
    Terminal.objects.update(strangers="queued")
    found(gate, "7")
    gate.refresh_from_db()
    judge_strangers(gate)
    typed = {
        "alias": "Gate",
        "area": gate.area_id,
        "time_zone": "UTC",
        "admission": "approved",
        "heartbeat": 10,
        "transfer_time": "00:00;14:05",
        "transfer_interval": 1,
        "direction": "both",
        "strangers": "queued",
    }
    page = f"{TERMINALS}{gate.pk}/change/"

    assert admin_client.post(page, typed).status_code == 302
    assert (Alarm.objects.open().count(), SyncMark.objects.count()) == (1, 0)
    assert admin_client.post(page, {**typed, **change}).status_code == 302

    gate.refresh_from_db()
    assert {name: getattr(gate, name) for name in change} == change
    assert not Alarm.objects.open().exists()
    assert SyncMark.objects.pending().get().terminal == gate


def test_deleting_a_terminal_counts_its_people(admin_client: Client, gate: Terminal) -> None:
    found(gate, "7")
    found(gate, "8")
    PersonIntent.objects.create(terminal=gate, emp_code="7", kind="add", done=True)
    page = f"{TERMINALS}{gate.pk}/delete/"

    html = admin_client.get(page).text.lower()
    assert "people on terminals: 2" in html
    assert "changes of people on terminals: 1" in html
    admin_client.post(page, {"post": "yes"})
    assert (Terminal.objects.exists(), TerminalPerson.objects.exists()) == (False, False)
