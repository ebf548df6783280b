"""Who is let in of the terminals that dial."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from ipaddress import ip_network
from threading import Barrier

import pytest
from django.db import connection
from django.db.models import F
from django.test import override_settings

from iclock.domain import presence, push_admission
from iclock.domain.alarms import Kind
from iclock.domain.push_admission import Caller, admit, is_ambiguous, is_in_rate, note_address
from iclock.domain.terminals import approve_terminals, block_terminals
from iclock.models import Alarm, PushState, Terminal, TerminalPresence
from zkbio.accounts.models import AuditEntry
from zkbio.crypto import fingerprint

HERE = "10.0.0.5"
THERE = "10.9.9.9"
SERIAL = "CKJF201260077"


@pytest.fixture(autouse=True)
def _nobody_asked_yet() -> None:
    push_admission._Buckets._left.clear()


def knock(serial: str = SERIAL, address: str = HERE, **shown: object) -> Terminal | None:
    return admit(Caller(serial, address, **shown))  # type: ignore[arg-type]


def shake_hands(key: str | None, *, serial: str = SERIAL, address: str = HERE) -> Terminal | None:
    return knock(serial, address, comm_key=key, is_handshake=True)


def test_an_approved_terminal_is_let_in_and_has_its_state_from_then_on(terminal: Terminal) -> None:
    admitted = knock()
    assert admitted == terminal
    assert admitted.push == PushState.objects.get()


def test_an_approved_terminal_costs_one_query_once_it_is_known(
    terminal: Terminal, django_assert_num_queries: object
) -> None:
    knock()
    presence.mark_online(terminal)
    with django_assert_num_queries(1):  # type: ignore[operator]
        admitted = knock()
        assert admitted is not None
        assert (admitted.push.pk, admitted.presence.online, admitted.area.pk) == (terminal.pk, True, 1)


@pytest.mark.django_db
def test_an_unknown_unit_waits_as_a_pending_terminal_and_is_not_let_in() -> None:
    assert knock("NEW1") is None
    waiting = Terminal.objects.get(sn="NEW1")
    assert (waiting.admission, waiting.alias, waiting.ip_address) == ("pending", "NEW1", HERE)
    assert knock("NEW1") is None
    assert waiting.push.terminal_id == waiting.pk
    assert not TerminalPresence.objects.get(terminal=waiting).expected
    assert Terminal.objects.count() == 1


@pytest.mark.django_db
def test_a_pending_unit_is_let_in_and_waited_for_once_it_is_approved() -> None:
    knock("NEW1")
    knock("NEW1")
    approve_terminals([Terminal.objects.get()], actor="somebody")
    assert knock("NEW1") == Terminal.objects.get()
    assert TerminalPresence.objects.get().expected


def test_a_blocked_unit_is_not_let_in_and_nothing_of_it_is_noted(terminal: Terminal) -> None:
    block_terminals([terminal], actor="somebody")
    assert knock() is None
    assert not PushState.objects.exists()
    assert not TerminalPresence.objects.exists()


def test_a_pending_terminal_that_somebody_entered_is_not_taken_for_one_that_knocked(terminal: Terminal) -> None:
    Terminal.objects.update(admission="pending")
    assert knock() is None
    assert not PushState.objects.exists()


@pytest.mark.django_db
def test_no_more_unknown_units_are_remembered_than_may_be() -> None:
    with override_settings(PUSH_PENDING_MOST=3):
        for number in range(6):
            assert knock(f"NEW{number}") is None
    assert Terminal.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_no_more_unknown_units_are_remembered_though_twenty_come_at_once() -> None:
    start = Barrier(20)

    def come(number: int) -> Terminal | None:
        try:
            start.wait(20)
            for _ in range(5):
                found = knock(f"NEW{number}")
            return found
        finally:
            connection.close()

    with override_settings(PUSH_PENDING_MOST=7), ThreadPoolExecutor(20) as pool:
        assert [*pool.map(come, range(20))] == [None] * 20
        assert 1 <= Terminal.objects.count() <= 7
        for number in range(20):
            knock(f"NEW{number}")
    assert Terminal.objects.filter(push__isnull=False).count() == Terminal.objects.count() == 7


@pytest.mark.django_db(transaction=True)
def test_one_unknown_unit_that_comes_twenty_times_at_once_is_one_terminal() -> None:
    start = Barrier(20)

    def come(_number: int) -> Terminal | None:
        try:
            start.wait(20)
            return knock("NEW")
        finally:
            connection.close()

    with override_settings(PUSH_SERIALS=frozenset({"NEW"})), ThreadPoolExecutor(20) as pool:
        found = {*pool.map(come, range(20))}
    assert found == {Terminal.objects.get()}


@pytest.mark.django_db
def test_a_listed_unit_is_let_in_at_its_first_contact_and_the_trail_says_why() -> None:
    with override_settings(PUSH_SERIALS=frozenset({"NEW1"}), PUSH_PENDING_MOST=0, PUSH_ADMISSION="listed"):
        admitted = knock("NEW1")
        assert admitted is not None
        assert admitted.admission == "approved"
        assert knock("NEW2") is None
    assert Terminal.objects.count() == 1
    assert AuditEntry.objects.get(action="iclock.approve").actor == "PUSH_SERIALS"


@pytest.mark.django_db
def test_a_pending_unit_that_is_listed_later_is_let_in_and_a_blocked_one_is_not() -> None:
    knock("NEW1")
    knock("NEW2")
    Terminal.objects.filter(sn="NEW2").update(admission="blocked")
    with override_settings(PUSH_SERIALS=frozenset({"NEW1", "NEW2"})):
        assert knock("NEW1") is not None
        assert knock("NEW2") is None


@pytest.mark.parametrize("address", ["192.168.7.1", "", "unix:", "2001:db8::1"])
def test_from_other_networks_nobody_is_let_in_or_remembered(terminal: Terminal, address: str) -> None:
    with override_settings(PUSH_NETWORKS=[ip_network("10.0.0.0/8")], PUSH_SERIALS=frozenset({"NEW1"})):
        assert knock(address=address) is None
        assert knock("NEW1", address) is None
        assert knock() == terminal
        assert knock(address=f"::ffff:{HERE}") == terminal
    assert Terminal.objects.count() == 1


def test_a_unit_that_has_a_secret_path_is_let_in_by_it_alone(terminal: Terminal) -> None:
    knock()
    PushState.objects.update(path_digest=fingerprint("secret"))
    assert knock() is None
    assert knock(secret="other") is None
    assert knock(secret="secret") == terminal


def test_nobody_is_let_in_by_the_path_of_another(terminal: Terminal) -> None:
    other = Terminal.objects.create(sn="OTHER", alias="Other")
    PushState.objects.create(terminal=other, path_digest=fingerprint("secret"))
    assert knock(secret="secret") is None
    assert knock(secret="taken back") == terminal
    assert knock("OTHER", secret="secret") == other
    with override_settings(PUSH_SERIALS=frozenset({"NEW1"})):
        assert knock("NEW1", secret="secret") is None


def test_where_a_key_is_asked_for_a_unit_is_let_in_from_where_it_showed_it(terminal: Terminal) -> None:
    with override_settings(PUSH_COMM_KEY="12345"):
        assert knock() is None
        assert shake_hands(None) is None
        assert shake_hands("54321") is None
        assert knock() is None
        assert shake_hands("12345") == terminal
        assert knock() == terminal
        assert knock(comm_key="wrong") == terminal
        assert knock(address="10.0.0.6") is None
        assert shake_hands("54321") is None
        assert knock() == terminal


def test_once_the_key_is_another_what_was_shown_before_is_worth_nothing(terminal: Terminal) -> None:
    with override_settings(PUSH_COMM_KEY="12345"):
        shake_hands("12345")
    with override_settings(PUSH_COMM_KEY="67890"):
        assert knock() is None
        assert shake_hands("67890") == terminal
        PushState.objects.update(key_digest=fingerprint("its own"))
        assert knock() is None
        assert shake_hands("67890") is None
        assert shake_hands("its own") == terminal


def test_a_unit_that_dials_from_two_networks_in_turn_is_told_of_and_ambiguous(terminal: Terminal) -> None:
    for address in (HERE, THERE, HERE):
        come_from(address)
    later(minutes=11)
    assert is_ambiguous(terminal)
    alarm = Alarm.objects.get(kind=Kind.TWO_PLACES)
    assert THERE not in alarm.sentence


def test_a_unit_that_has_another_address_in_its_network_is_not_ambiguous(terminal: Terminal) -> None:
    for address in (HERE, "10.0.0.77", HERE):
        come_from(address)
    assert not is_ambiguous(terminal)


def test_a_unit_in_another_network_is_ambiguous_for_ten_minutes_unless_it_came_by_its_own_path(
    terminal: Terminal,
) -> None:
    for address in (HERE, THERE):
        come_from(address)
    assert is_ambiguous(terminal)
    later(minutes=11)
    assert not is_ambiguous(terminal)
    for address in ("2001:db8::1", "2001:db8::2"):
        come_from(address)
    assert is_ambiguous(terminal)
    PushState.objects.update(path_digest="ab")
    assert not is_ambiguous(terminal)
    assert not Alarm.objects.exists()
    assert Terminal.objects.get().ip_address == "2001:db8::2"


def test_a_unit_that_comes_back_to_a_network_after_a_while_is_not_ambiguous(terminal: Terminal) -> None:
    come_from(HERE)
    come_from(THERE)
    later(minutes=11)
    come_from(HERE)
    assert not Alarm.objects.exists()


def test_where_a_unit_is_polled_too_its_address_stays_the_one_that_is_dialled(terminal: Terminal) -> None:
    Terminal.objects.update(ip_address="10.1.1.1")
    presence.mark_online(terminal)
    come_from(HERE)
    assert Terminal.objects.get().ip_address == "10.1.1.1"


def later(*, minutes: int) -> None:
    PushState.objects.update(moved_at=F("moved_at") - timedelta(minutes=minutes))


def test_keys_are_tried_ten_times_a_minute_from_one_network_and_the_right_one_too(terminal: Terminal) -> None:
    with override_settings(PUSH_COMM_KEY="12345"):
        assert not any(shake_hands(f"guess {number}") for number in range(12))
        assert shake_hands("12345") is None
        assert knock(address=THERE, comm_key="12345", is_handshake=True) == terminal


def test_why_an_approved_unit_is_not_let_in_stands_in_the_log_once_a_minute(
    terminal: Terminal, caplog: pytest.LogCaptureFixture
) -> None:
    knock()
    PushState.objects.update(path_digest=fingerprint("its-own"))
    for _ in range(3):
        assert knock(secret="wrong") is None

    (line,) = [record.getMessage() for record in caplog.records if "isn't let in" in record.getMessage()]
    assert line == f"Terminal {SERIAL} (Gate) isn't let in from {HERE}: it came by another path than its own."
    assert "wrong" not in caplog.text


def come_from(address: str) -> None:
    admitted = knock(address=address)
    assert admitted is not None
    note_address(admitted, address)


def test_a_unit_may_ask_so_often_a_minute_and_others_as_often() -> None:
    with override_settings(PUSH_RATE=10):
        assert [is_in_rate("RATE-A", HERE) for _ in range(12)] == [True] * 10 + [False] * 2
        assert is_in_rate("RATE-B", HERE)


def test_what_is_remembered_of_rates_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_admission, "_MOST_BUCKETS", 50)
    with override_settings(PUSH_RATE=10):
        for number in range(200):
            assert is_in_rate(f"MANY-{number}", HERE)
        assert len(push_admission._Buckets._left) <= 50
