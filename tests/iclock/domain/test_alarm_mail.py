"""Alarms by mail, to a server over TCP: each end once, whatever fails and however many look."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.db.models.functions import Now
from django.test import override_settings

from iclock.domain.alarm_mail import MOST_LINES, PAUSE, Mail, News, compose, mail_alarms, next_pause
from iclock.domain.alarms import Kind, check_away, end_alarm, note_event, raise_alarm
from iclock.models import Alarm, Terminal, TerminalPresence
from personnel.models import Area
from tests.post import Inbox, by_port, mail_server
from zkbio.launcher.valkey import free_port

pytestmark = pytest.mark.django_db
OPENED = datetime(2026, 3, 2, 10, 12, tzinfo=UTC)
AWAY = News(Kind.AWAY, "Gate", "SN1", "Madrid", True, "Not heard of.", OPENED)
BACK = AWAY._replace(began=False, ending="It is heard of again.", closed_at=OPENED + timedelta(minutes=65))


@pytest.fixture(autouse=True)
def _no_trouble_before() -> None:
    cache.clear()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    with mail_server(inbox):
        yield inbox


def offline(terminal: Terminal, *, online: bool = False) -> None:
    moment = Now() - timedelta(days=0 if online else 1)
    state = {"online": online, "since": moment, "last_activity": moment}
    TerminalPresence.objects.update_or_create(terminal=terminal, defaults=state)


def subjects(inbox: Inbox) -> list[str]:
    return [str(mail["Subject"]) for mail in inbox.mails]


def test_a_terminal_away_and_back_is_two_mails_however_often_it_is_looked_at(inbox: Inbox, terminal: Terminal) -> None:
    for online in (False, True):
        offline(terminal, online=online)
        for _ in range(3):
            check_away()
            mail_alarms()

    assert subjects(inbox) == ["Away: Gate", "Over: Away: Gate"]
    assert inbox.recipients == [["it@example.com", "night@example.com"]] * 2


def test_a_mail_says_what_where_and_what_to_do(inbox: Inbox, terminal: Terminal) -> None:
    area = Area.objects.create(area_code="2", area_name="Almacén")
    Terminal.objects.update(area=area, alias="Año 大门")
    raise_alarm(terminal, Kind.CLOCK, "Set it.")
    Alarm.objects.update(opened_at=Now())
    alarm = Alarm.objects.get()

    mail_alarms()

    (mail,) = inbox.mails
    when = f"{alarm.opened_at.astimezone(UTC):%Y-%m-%d %H:%M}"
    assert (mail["Subject"], mail.get_content_type()) == ("Clock is wrong: Año 大门", "text/plain")
    expected = f"{when} Clock is wrong: Año 大门 (CKJF201260077), Almacén. Set it.\n"
    assert mail.get_content().replace("\r\n", "\n") == expected
    assert (mail["From"], mail["To"]) == ("attendance@example.com", "it@example.com, night@example.com")


def test_many_alarms_are_one_mail(inbox: Inbox) -> None:
    for number in range(30):
        raise_alarm(Terminal.objects.create(sn=f"SN{number}", alias=f"Gate {number}"), Kind.AWAY, "Away.")

    assert [mail_alarms(), mail_alarms()] == [30, 0]
    assert subjects(inbox) == ["Away: Gate 0 and 29 more"]


def test_while_the_mail_server_is_away_nothing_is_lost_and_it_is_said_once(
    terminal: Terminal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "iclock.domain.alarm_mail")
    port, inbox = free_port(), Inbox()
    raise_alarm(terminal, Kind.AWAY, "Away.")
    with override_settings(**by_port(port)):
        assert [mail_alarms() for _ in range(3)] == [0, 0, 0]
    end_alarm(terminal, Kind.AWAY, "Back.")

    cache.delete(PAUSE)
    with mail_server(inbox, port=port):
        assert [mail_alarms() for _ in range(2)] == [1, 0]

    assert subjects(inbox) == ["Over: Away: Gate"]
    assert "Away, over after" in inbox.mails[0].get_content()
    said = [each.getMessage() for each in caplog.records if each.name == "iclock.domain.alarm_mail"]
    assert len(said) == 2
    assert said[0].startswith("Alarms can't be mailed, and are tried again for a day, less and less often: ")
    assert said[1] == "Alarms are mailed again."


def test_a_mail_that_nobody_takes_is_tried_again(terminal: Terminal) -> None:
    inbox = Inbox("it@example.com", "night@example.com")
    raise_alarm(terminal, Kind.AWAY, "Away.")

    with mail_server(inbox):
        assert mail_alarms() == 0
    cache.delete(PAUSE)
    with mail_server(Inbox("it@example.com")):
        assert [mail_alarms(), mail_alarms()] == [1, 0]


def test_a_server_that_refuses_is_left_alone_for_a_while(terminal: Terminal) -> None:
    inbox = Inbox("it@example.com", "night@example.com")
    raise_alarm(terminal, Kind.AWAY, "Away.")

    with mail_server(inbox):
        for _ in range(2):
            assert [mail_alarms(), mail_alarms()] == [0, 0]
            cache.delete(PAUSE)

    assert inbox.asked == ["it@example.com", "night@example.com"] * 2


def test_a_pause_is_an_hour_at_most() -> None:
    pauses = [next_pause(None)]
    while len(pauses) < 9:
        pauses.append(next_pause(pauses[-1]))

    assert pauses == [50, 100, 200, 400, 800, 1_600, 3_200, 3_600, 3_600]


def test_an_event_is_mailed_once(inbox: Inbox, terminal: Terminal) -> None:
    note_event(terminal, Kind.LOG_CLEARED, "It held 100 rows.")

    assert [mail_alarms(), mail_alarms()] == [1, 0]
    assert "Log was cleared elsewhere: Gate (CKJF201260077), Not Authorized. It held" in inbox.mails[0].get_content()


def test_what_is_older_than_a_day_is_no_news(inbox: Inbox, terminal: Terminal) -> None:
    raise_alarm(terminal, Kind.AWAY, "Away.")
    Alarm.objects.update(opened_at=Now() - timedelta(hours=25))

    assert mail_alarms() == 0


def test_the_end_of_what_began_long_ago_is_news(inbox: Inbox, terminal: Terminal) -> None:
    raise_alarm(terminal, Kind.AWAY, "Away.")
    Alarm.objects.update(opened_at=Now() - timedelta(hours=25), opening_mailed_at=Now())
    end_alarm(terminal, Kind.AWAY, "Back.")

    assert mail_alarms() == 1
    assert "Away, over after 1 d 1 h: Gate (CKJF201260077), Not Authorized. Back." in inbox.mails[0].get_content()


@pytest.mark.django_db(transaction=True)
def test_an_end_that_comes_while_the_beginning_is_mailed_is_mailed_next(terminal: Terminal) -> None:
    class Closing(Inbox):
        async def handle_DATA(self, *given: Any) -> str:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(self.end).result(20)
            return await super().handle_DATA(*given)

        def end(self) -> None:
            end_alarm(terminal, Kind.AWAY, "Back.")
            connection.close()

    raise_alarm(terminal, Kind.AWAY, "Away.")
    inbox = Closing()
    with mail_server(inbox):
        assert [mail_alarms(), mail_alarms(), mail_alarms()] == [1, 1, 0]

    assert subjects(inbox) == ["Away: Gate", "Over: Away: Gate"]


@pytest.mark.django_db(transaction=True)
def test_of_four_workers_that_mail_at_once_one_does(inbox: Inbox) -> None:
    for number in range(20):
        raise_alarm(Terminal.objects.create(sn=f"SN{number}", alias="Gate"), Kind.AWAY, "Away.")
    start = Barrier(4)

    def work(_: int) -> int:
        start.wait(timeout=20)
        try:
            return mail_alarms()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        mailed = [*pool.map(work, range(4))]

    assert sorted(mailed) == [0, 0, 0, 20]
    assert len(inbox.mails) == 1


def test_nothing_is_sent_while_nobody_is_named(inbox: Inbox, terminal: Terminal) -> None:
    raise_alarm(terminal, Kind.AWAY, "Away.")

    with override_settings(ALARM_MAIL_TO=[]):
        assert mail_alarms() == 0

    assert (inbox.mails, Alarm.objects.get().opening_mailed_at) == ([], None)


def test_a_terminals_name_begins_no_header_and_no_line(inbox: Inbox, terminal: Terminal) -> None:
    Terminal.objects.update(alias="Gate\r\nBcc: spy@example.com\r\n\r\nPay here \u202egnp.exe\u2028x")
    raise_alarm(terminal, Kind.AWAY, "Away.\r\n.\r\nMAIL FROM:<x@example.com>")

    mail_alarms()

    (mail,) = inbox.mails
    assert mail["Subject"] == "Away: Gate Bcc: spy@example.com Pay here gnp.exe x"
    assert (mail["Bcc"], len(mail.get_content().splitlines())) == (None, 1)
    assert inbox.recipients == [["it@example.com", "night@example.com"]]


@override_settings(ZKBIO_TIME_ZONE="Asia/Kolkata")
def test_times_are_the_platforms() -> None:
    assert compose([AWAY]) == Mail("Away: Gate", "2026-03-02 15:42 Away: Gate (SN1), Madrid. Not heard of.\n")


def test_an_end_says_how_long_it_lasted() -> None:
    sentence = "2026-03-02 11:17 Away, over after 1 h 5 min: Gate (SN1), Madrid. It is heard of again.\n"
    assert compose([BACK]) == Mail("Over: Away: Gate", sentence)


def test_the_worst_comes_first_and_what_is_over_last() -> None:
    overrun = AWAY._replace(kind=Kind.LOG_OVERRUN, alias="Door")
    full = AWAY._replace(kind=Kind.NEARLY_FULL, alias="Yard")
    mail = compose([BACK, full, AWAY, overrun])

    assert mail.subject == "Log overran: Door and 3 more"
    assert [line[17:].split(" (")[0] for line in mail.body.splitlines()] == [
        "Log overran: Door",
        "Away: Gate",
        "Nearly full: Yard",
        "Away, over after 1 h 5 min: Gate",
    ]


def test_every_kind_has_its_place() -> None:
    mail = compose([AWAY._replace(kind=kind) for kind in Kind])

    assert len(mail.body.splitlines()) == len(Kind)


def test_a_long_mail_counts_what_it_leaves_out() -> None:
    mail = compose([AWAY] * (MOST_LINES + 1_234))

    lines = mail.body.splitlines()
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == "And 1\u202f234 more, which are in the list of alarms of the administration."


@pytest.mark.parametrize("kind", Kind.values)
def test_alarms_of_every_kind_are_mailed(kind: str, inbox: Inbox, terminal: Terminal) -> None:
    raise_alarm(terminal, kind, "Look at it.")
    mail_alarms()
    assert subjects(inbox) == [f"{Kind(kind).label}: Gate"]
