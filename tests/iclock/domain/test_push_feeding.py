"""Terminals that dial are brought what belongs there: with a simulated unit at a real server, round by round."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from devices.simulator import (
    PUSH_2_2,
    PUSH_2_4,
    PUSH_3,
    Generation,
    LostAnswer,
    Menu,
    Pusher,
    PushFault,
    PushFaults,
    RebootBeforeAnswer,
    SilentCommands,
    SimTemplate,
    SimUser,
    TerminalSpec,
)
from devices.simulator.state import TerminalState
from iclock import orders
from iclock.domain import commands, comparing, enrolments, push_feeding, push_orders, push_reloading, terminals
from iclock.lines import Answer
from iclock.models import (
    Alarm,
    Biodata,
    Enrolment,
    PushCommand,
    PushState,
    SyncMark,
    Terminal,
    TerminalCommand,
    TerminalPerson,
    TerminalPresence,
)
from iclock.policy import Direction, Strangers
from personnel.domain import people
from personnel.models import Area, Department, Employee
from zkbio.accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)

State = PushCommand.State
NOWHERE = Area.objects.none


@pytest.fixture
def area(db: None) -> Area:
    return Area.objects.create(area_code="2")


@pytest.fixture
def gate(area: Area) -> Terminal:
    return terminals.add_terminal(sn="PU0001", alias="Gate", area=area, time_zone="UTC")


@pytest.fixture
def url(live_server: Any) -> str:
    return str(live_server.url)


class Unit:
    """A simulated unit that dials, and what feeds it."""

    def __init__(self, url: str, *people: SimUser, generation: Generation = PUSH_2_4, **more: Any) -> None:
        self.state = TerminalState(TerminalSpec(serial="PU0001", users=people, **more))
        self.pusher = Pusher(self.state, url, generation=generation)
        self.menu = Menu(self.state)

    def live(self, rounds: int = 12) -> None:
        """At most so many rounds, each fed before; no more when nothing was due and nothing was told."""
        for _ in range(rounds):
            due = push_feeding.feed_due()
            happened = self.pusher.step()
            assert happened.ok, happened.error
            if not due and not happened.commands and len(happened.exchanges) == 1:
                break

    def names(self) -> dict[str, str]:
        return {user.user_id: user.name for user in self.state.users()}

    def told(self) -> list[str]:
        """The commands it was given, in their order."""
        return [each.text for each in self.pusher.commands]


def hire(area: Area, code: str, name: str = "Ana", **more: Any) -> Employee:
    employee = Employee(emp_code=code, first_name=name, department=Department.objects.earliest("pk"))
    password = more.pop("password", None)
    for key, value in more.items():
        setattr(employee, key, value)
    if password:
        employee.device_password = password
    return people.create_employee(employee, areas=[area])


def give_finger(employee: Employee, template: bytes = b"a finger" * 60) -> None:
    row = Biodata(employee=employee, bio_type=Biodata.Type.FINGERPRINT, bio_no=3, major_ver="10")
    row.template = template
    row.save()


def leave(employee: Employee) -> None:
    people.update_employee(employee.pk, {}, areas=Area.objects.filter(pk=1))


def _let_leases_end() -> None:
    PushCommand.objects.filter(state=State.SENT).update(lease_until=timezone.now() - timedelta(seconds=1))


def is_up_to_date(terminal: Terminal) -> bool:
    mark = SyncMark.objects.get(terminal=terminal)
    return not mark.pending and mark.compared_at is not None


@pytest.mark.parametrize("generation", [PUSH_2_2, PUSH_2_4, PUSH_3], ids=["2.2", "2.4", "3"])
def test_a_unit_is_asked_who_is_on_it_and_brought_who_belongs_there(
    area: Area, gate: Terminal, url: str, generation: Generation
) -> None:
    give_finger(hire(area, "7", card_no="55", password="1234"))
    unit = Unit(url, SimUser(1, "99", "Stranger"), generation=generation)
    unit.live()
    assert unit.names() == {"99": "Stranger", "7": "Ana"}
    person = unit.state.person("7")
    assert person is not None
    assert (person.card, person.password) == (55, "1234")
    assert unit.state.template(person.uid, 3) is not None
    assert unit.told()[0] == "DATA QUERY USERINFO"
    assert is_up_to_date(gate)
    before = len(unit.told())
    unit.live()
    assert len(unit.told()) == before, "nothing is left to do"


def test_a_change_here_reaches_the_unit_and_who_left_is_taken_away(area: Area, gate: Terminal, url: str) -> None:
    ana, bea = hire(area, "7"), hire(area, "8", "Bea")
    unit = Unit(url)
    unit.live()
    people.update_employee(ana.pk, {"first_name": "Anne"}, areas=None)
    leave(bea)
    unit.live(3)
    assert unit.names() == {"7": "Anne"}
    assert is_up_to_date(gate)


def test_what_was_entered_at_the_unit_before_is_taken_and_not_overwritten(area: Area, gate: Terminal, url: str) -> None:
    ana = hire(area, "7")
    unit = Unit(url, SimUser(1, "7", "Ana", card=77), templates=(SimTemplate(1, 3, b"enrolled there" * 40),))
    unit.live()
    ana.refresh_from_db()
    assert ana.card_no == "77"
    assert Biodata.objects.get().bio_no == 3
    person = unit.state.person("7")
    assert person is not None
    assert person.card == 77
    assert is_up_to_date(gate)


def test_who_was_on_the_unit_before_they_belonged_there_is_asked_for_again(
    area: Area, gate: Terminal, url: str
) -> None:
    unit = Unit(url, SimUser(1, "7", "Ana"), templates=(SimTemplate(1, 3, b"enrolled there" * 40),))
    unit.live()
    assert not Biodata.objects.exists()
    hire(area, "7")
    unit.live()
    assert "DATA QUERY USERINFO PIN=7" in unit.told()
    assert Biodata.objects.get().bio_no == 3
    assert is_up_to_date(gate)


def test_who_turns_out_to_have_no_finger_there_is_brought_theirs(area: Area, gate: Terminal, url: str) -> None:
    unit = Unit(url, SimUser(1, "7", "Ana"))
    unit.live()
    give_finger(hire(area, "7"))
    unit.live()
    assert unit.state.template(1, 3) is not None
    assert unit.told().count("DATA QUERY USERINFO PIN=7") == 1
    assert is_up_to_date(gate)


def test_who_asks_for_a_comparison_has_the_unit_tell_of_everybody(gate: Terminal, url: str) -> None:
    unit = Unit(url)
    unit.live()
    comparing.compare_now([gate.pk])
    unit.live()
    assert unit.told().count("DATA QUERY USERINFO") == 2
    assert is_up_to_date(gate)


def test_two_workers_at_once_queue_a_plan_once(area: Area, gate: Terminal, url: str) -> None:
    for number in range(1, 30):
        hire(area, str(number))
    Unit(url).pusher.step()
    PushState.objects.update(listed_at=timezone.now())
    SyncMark.objects.update(fingers_read_at=timezone.now())
    ready = threading.Barrier(3)

    def feed(_: int) -> None:
        try:
            ready.wait(10)
            feed_people(gate)
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(feed, range(3)))
    assert PushCommand.objects.open().filter(intent="add").count() == 29


def list_answered(gate: Terminal, *, returned: int = 0, told: int = 0, counted: int = 5) -> PushCommand:
    """The unit answered the question for its people three minutes ago, and told of so many."""
    listing = PushCommand.objects.create(terminal=gate, kind="query_users")
    moment = timezone.now() - timedelta(minutes=3)
    done = {"state": State.DONE, "finished_at": moment, "sent_at": moment, "returned": returned}
    PushCommand.objects.filter(pk=listing.pk).update(**done)
    info = PushCommand.objects.create(terminal=gate, kind="info")
    PushCommand.objects.filter(pk=info.pk).update(**{**done, "finished_at": timezone.now()}, sent={"people": counted})
    Terminal.objects.update(user_count=counted)
    ids = [row.pk for row in TerminalPerson.objects.order_by("emp_code")[told:]]
    TerminalPerson.objects.filter(pk__in=ids).update(told_at=timezone.now() - timedelta(days=1))
    TerminalPerson.objects.exclude(pk__in=ids).update(told_at=timezone.now())
    return listing


def feed_people(gate: Terminal) -> None:
    push_feeding.feed_people(Terminal.objects.select_related("push").get(pk=gate.pk))


@pytest.mark.parametrize(("returned", "told", "counted"), [(0, 1, 5), (9, 0, 0)])
def test_nobody_is_taken_for_gone_because_a_list_was_short(
    area: Area, gate: Terminal, url: str, returned: int, told: int, counted: int
) -> None:
    hire(area, "7")
    hire(area, "8", "Bea")
    Unit(url).live()
    list_answered(gate, returned=returned, told=told, counted=counted)
    feed_people(gate)
    assert TerminalPerson.objects.filter(held=True).count() == 2
    expected = f"The unit told of {told} of its {counted} people; nobody is taken for gone because of that."
    assert SyncMark.objects.get().error == expected


def test_a_list_is_judged_when_it_is_known_how_many_there_are(area: Area, gate: Terminal, url: str) -> None:
    hire(area, "7")
    hire(area, "8", "Bea")
    unit = Unit(url)
    unit.live()
    listing = list_answered(gate, told=1, counted=1)
    push_orders.queue(gate, orders.Kind.INFO)
    feed_people(gate)
    assert TerminalPerson.objects.filter(held=True).count() == 2
    PushCommand.objects.filter(kind="info").update(state=State.DONE)
    feed_people(gate)
    assert TerminalPerson.objects.filter(held=True).count() == 1
    assert PushState.objects.get().listed_at == listing.created_at


def test_who_was_deleted_at_the_menu_is_missed_and_brought_again(area: Area, gate: Terminal, url: str) -> None:
    hire(area, "7")
    hire(area, "8", "Bea")
    unit = Unit(url)
    unit.live()
    unit.menu.delete_person("8")
    PushCommand.objects.all().delete()
    PushState.objects.update(listed_at=timezone.now() - timedelta(days=2))
    unit.live()
    assert unit.names() == {"7": "Ana", "8": "Bea"}


def test_strangers_are_removed_where_that_is_said_but_not_at_the_first_contact(
    area: Area, gate: Terminal, url: str
) -> None:
    Terminal.objects.update(strangers=Strangers.REMOVED)
    unit = Unit(url, SimUser(1, "99", "Stranger"))
    unit.live()
    assert unit.names() == {"99": "Stranger"}
    comparing.compare_now([gate.pk])
    unit.live()
    assert unit.names() == {}


def test_strangers_that_wait_for_a_decision_raise_an_alarm(gate: Terminal, url: str) -> None:
    Terminal.objects.update(strangers=Strangers.QUEUED)
    Unit(url, SimUser(1, "99", "Stranger")).live()
    assert "99" in Alarm.objects.open().get(kind=Alarm.Kind.STRANGERS).sentence


@pytest.mark.parametrize("direction", [Direction.OFF, Direction.IMPORT])
def test_a_unit_to_which_nothing_is_written_gets_nobody(area: Area, gate: Terminal, url: str, direction: str) -> None:
    Terminal.objects.update(direction=direction)
    hire(area, "7")
    unit = Unit(url, SimUser(1, "99", "Stranger"))
    unit.live()
    assert unit.names() == {"99": "Stranger"}
    assert [text for text in unit.told() if "UPDATE" in text or "DELETE" in text] == []


def test_somebody_whose_code_does_not_fit_is_refused_in_words_and_others_are_brought(
    area: Area, gate: Terminal, url: str
) -> None:
    hire(area, "A7")
    hire(area, "8", "Bea")
    unit = Unit(url)
    unit.live()
    assert unit.names() == {"8": "Bea"}
    assert TerminalPerson.objects.get(emp_code="A7").refusal.startswith("Their code isn't a number")
    assert is_up_to_date(gate)


def test_what_was_refused_is_tried_again_when_it_is_worth_it_and_then_is_over(
    area: Area, gate: Terminal, url: str
) -> None:
    hire(area, "7")
    unit = Unit(url, user_capacity=0)
    unit.live()
    assert unit.told().count("DATA QUERY USERINFO") == 1
    assert TerminalPerson.objects.get().refusal == "The unit is full."
    tried = len(unit.told())
    unit.live()
    assert len(unit.told()) == tried, "not before tomorrow"
    TerminalPerson.objects.update(retry_at=timezone.now() - timedelta(seconds=1))
    unit.live()
    assert len(unit.told()) == tried + 1
    assert push_feeding.feed_due() == 0


def test_who_can_not_be_taken_away_is_not_tried_at_every_round(area: Area, gate: Terminal, url: str) -> None:
    ana = hire(area, "7")
    unit = Unit(url)
    unit.live()
    leave(ana)
    push_feeding.feed_due()
    gate = Terminal.objects.select_related("push").get(pk=gate.pk)
    assert b"DELETE" in push_orders.hand_out(gate)
    push_orders.note_answers(gate, [Answer(PushCommand.objects.get(intent="remove").pk, -1003)])
    unit.live()
    assert unit.names() == {"7": "Ana"}
    PushCommand.objects.update(finished_at=timezone.now() - timedelta(minutes=6))
    comparing.compare_now([gate.pk])
    unit.live()
    assert unit.names() == {}


def test_a_plan_is_replaced_where_nothing_of_it_was_handed_out(area: Area, gate: Terminal, url: str) -> None:
    ana = hire(area, "7")
    unit = Unit(url)
    unit.live(2)
    push_feeding.feed_due()
    [first] = PushCommand.objects.filter(intent="add")
    leave(ana)
    hire(area, "8", "Bea")
    push_feeding.feed_due()
    first.refresh_from_db()
    assert first.state == State.CANCELLED
    unit.live()
    assert unit.names() == {"8": "Bea"}


def test_one_plan_is_made_at_a_time(area: Area, gate: Terminal, url: str) -> None:
    for number in range(1, 4):
        hire(area, str(number))
    unit = Unit(url)
    unit.live(2)
    push_feeding.feed_due()
    push_feeding.feed_due()
    gate = Terminal.objects.select_related("push").get(pk=gate.pk)
    push_feeding.feed_people(gate)
    assert PushCommand.objects.filter(intent="add").count() == 3


def test_a_plan_is_no_longer_than_it_may_be_and_goes_on(
    area: Area, gate: Terminal, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_feeding, "MOST_PLANNED", 2)
    for number in range(1, 6):
        hire(area, str(number))
    unit = Unit(url)
    unit.live()
    assert len(unit.names()) == 5
    assert is_up_to_date(gate)


def test_whom_nobody_hears_of_and_who_is_dialled_is_not_fed(area: Area, gate: Terminal, url: str) -> None:
    hire(area, "7")
    unit = Unit(url)
    unit.pusher.step()
    TerminalPresence.objects.update(pull_time=timezone.now())
    assert push_feeding.feed_due() == 0
    TerminalPresence.objects.update(pull_time=timezone.now() - timedelta(hours=2), online=False)
    assert push_feeding.feed_due() == 0
    TerminalPresence.objects.update(online=True)
    assert push_feeding.feed_due() == 1
    Terminal.objects.update(admission=Terminal.Admission.BLOCKED)
    assert push_feeding.feed_due() == 0


def test_one_unit_that_can_not_be_planned_holds_up_no_other(
    area: Area, gate: Terminal, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Unit(url).pusher.step()

    def fail(_terminal: Terminal) -> None:
        raise ValueError("This can't be planned.")

    with monkeypatch.context() as patched:
        patched.setattr(push_feeding, "feed", fail)
        assert push_feeding.feed_due() == 1
    assert SyncMark.objects.get().error == "This can't be planned."
    assert push_feeding.feed_due() == 0, "not at once again"


# Commands and enrolments


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("reboot", ["REBOOT"]),
        ("clear_capture", ["CLEAR PHOTO"]),
        ("upload_transaction", ["DATA QUERY ATTLOG"]),
        ("upload_all", ["DATA QUERY USERINFO", "DATA QUERY ATTLOG"]),
    ],
)
def test_a_command_is_carried_out_and_done(gate: Terminal, url: str, kind: str, texts: list[str]) -> None:
    unit = Unit(url)
    unit.live()
    before = len(unit.told())
    commands.queue_commands([gate], kind, user=User.objects.create_user("ana"))
    unit.live(3)
    told = unit.told()[before:]
    assert [text for text in texts if any(each.startswith(text) for each in told)] == texts
    assert TerminalCommand.objects.get().state == TerminalCommand.State.DONE


@pytest.mark.parametrize("kind", ["clear_log", "clear_all"])
def test_a_log_is_not_cleared_by_a_command_and_it_is_said_why(gate: Terminal, url: str, kind: str) -> None:
    unit = Unit(url)
    unit.live()
    commands.queue_commands([gate], kind, user=User.objects.create_user("ana"))
    unit.live(2)
    command = TerminalCommand.objects.get()
    assert command.state == TerminalCommand.State.FAILED
    assert "would be lost" in command.result
    assert not any("CLEAR" in text for text in unit.told())


def test_what_was_cancelled_is_not_carried_out(gate: Terminal, url: str) -> None:
    unit, ana = Unit(url), User.objects.create_user("ana")
    unit.live()
    commands.queue_commands([gate], "reboot", user=ana)
    push_feeding.feed_due()
    commands.clear_commands([gate], user=ana)
    unit.live(2)
    assert "REBOOT" not in unit.told()
    assert unit.pusher.reboots == 0


def test_a_restart_that_is_not_answered_is_carried_out_once(gate: Terminal, url: str) -> None:
    unit = Unit(url)
    unit.live()
    unit.pusher.faults = PushFaults(RebootBeforeAnswer(on="REBOOT", times=None))
    commands.queue_commands([gate], "reboot", user=User.objects.create_user("ana"))
    for _ in range(3):
        push_feeding.feed_due()
        unit.pusher.step()
        _let_leases_end()
    assert PushCommand.objects.get(kind="reboot").times_sent == 1
    assert unit.pusher.reboots == 1
    assert TerminalCommand.objects.get().state == TerminalCommand.State.DONE, "it shook hands since"


@pytest.mark.parametrize(
    "fault",
    [
        LostAnswer(on="devicecmd", times=2),
        LostAnswer(on="getrequest", times=2),
        RebootBeforeAnswer(on="DATA UPDATE", times=2),
        SilentCommands(on="DATA UPDATE", times=3),
    ],
    ids=["its answer is lost", "the order is lost", "it reboots", "it is silent"],
)
def test_whatever_becomes_of_an_answer_everybody_is_on_the_unit_in_the_end(
    area: Area, gate: Terminal, url: str, fault: PushFault
) -> None:
    give_finger(hire(area, "7"))
    hire(area, "8", "Bea")
    unit = Unit(url)
    unit.live(2)
    unit.pusher.faults = PushFaults(fault)
    for _ in range(15):
        push_feeding.feed_due()
        unit.pusher.step()
        _let_leases_end()
    assert unit.names() == {"7": "Ana", "8": "Bea"}
    person = unit.state.person("7")
    assert person is not None
    assert unit.state.template(person.uid, 3) is not None
    assert is_up_to_date(gate)
    assert not PushCommand.objects.open().exists()


def test_a_finger_is_enrolled_at_the_unit_and_stored(area: Area, gate: Terminal, url: str) -> None:
    ana = hire(area, "7")
    unit = Unit(url)
    unit.live()
    enrolment = enrolments.ask(gate, ana, 3, user=None, actor="test")
    unit.live(4)
    enrolment.refresh_from_db()
    assert enrolment.state == Enrolment.State.DONE
    assert Biodata.objects.get().bio_no == 3


# Options


def test_a_unit_asks_again_when_the_clocks_changed_or_its_own_is_wrong(gate: Terminal, url: str) -> None:
    unit = Unit(url)
    unit.live()
    assert push_reloading.reload_due() == 0
    Terminal.objects.update(time_zone="UTC+05:30")
    assert push_reloading.reload_due() == 1
    assert push_reloading.reload_due() == 0, "it was told just now"
    unit.live(3)
    assert "RELOAD OPTIONS" in unit.told()

    PushCommand.objects.all().delete()
    assert push_reloading.reload_due() == 0
    TerminalPresence.objects.update(clock_drift=300, clock_read_at=timezone.now() + timedelta(seconds=1))
    assert push_reloading.reload_due() == 0, "nobody said that its clock is to be set"
    Terminal.objects.update(corrects_clock=True)
    assert push_reloading.reload_due() == 1
