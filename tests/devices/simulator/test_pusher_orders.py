"""What a unit that dials does when it is commanded, and what it returns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pytest

from devices.simulator import (
    PUSH_2_2,
    PUSH_2_4,
    PUSH_3,
    Generation,
    Habits,
    Pusher,
    SimBio,
    SimPunch,
    SimTemplate,
    SimUser,
    TerminalSpec,
)
from devices.simulator.enrolment import finger_data
from devices.simulator.state import TerminalState
from tests.devices.simulator.push_server import PushServer

NOON = datetime(2026, 3, 2, 12, 0, 0)
SPEC = TerminalSpec(
    serial="PU0001",
    users=(SimUser(1, "1", "Ann", card=5), SimUser(2, "2", "Bob")),
    templates=(SimTemplate(1, 0, b"f"),),
    user_capacity=3,
    finger_capacity=2,
)


@pytest.fixture
def server() -> Iterator[PushServer]:
    with PushServer() as server:
        yield server


def unit(spec: TerminalSpec = SPEC) -> TerminalState:
    return TerminalState(spec, clock=lambda: NOON)


def returned(server: PushServer, state: TerminalState, *texts: str, generation: Generation = PUSH_2_4) -> list[object]:
    """What the unit returns for these commands, sent in one batch."""
    server.script["getrequest"].append("".join(f"C:{number}:{text}\n" for number, text in enumerate(texts, 1)))
    return [done.returned for done in Pusher(state, server.url, generation=generation).step().commands]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("DATA UPDATE USERINFO PIN=3\tName=Cy", 0),
        ("DATA UPDATE USERINFO Name=Cy", -1),
        ("DATA UPDATE USERINFO PIN=1;2", -1),
        ("DATA UPDATE USERINFO PIN=1234567890", -1),
        ("DATA UPDATE USERINFO PIN=1\tPri=900", -1),
        ("DATA UPDATE USERINFO PIN=1\tCard=99999999999", -1),
        ("DATA UPDATE USERINFO PIN=1\tTZ=nonsense", -1),
        ("DATA DELETE USERINFO PIN=2", 0),
        ("DATA DELETE USERINFO PIN=99", 0),
        ("DATA DELETE USERINFO", -1),
        ("DATA UPDATE FINGERTMP PIN=2\tFID=9\tSize=4\tValid=1\tTMP=bmV3", 0),
        ("DATA UPDATE FINGERTMP PIN=2\tFID=9\tSize=3\tValid=1\tTMP=bmV3", 0),
        ("DATA UPDATE FINGERTMP PIN=2\tFID=9\tSize=5\tValid=1\tTMP=bmV3", -9),
        ("DATA UPDATE FINGERTMP PIN=2\tFID=9\tTMP=b", -11),
        ("DATA UPDATE FINGERTMP PIN=2\tFID=9\tTMP=", -11),
        ("DATA UPDATE FINGERTMP PIN=2\tFID=10\tTMP=bmV3", -1),
        ("DATA UPDATE FINGERTMP PIN=99\tFID=1\tTMP=bmV3", -10),
        ("DATA DELETE FINGERTMP PIN=1\tFID=0", 0),
        ("DATA DELETE FINGERTMP PIN=1", 0),
        ("DATA DELETE FINGERTMP FID=0", -1),
        ("DATA UPDATE BIODATA Pin=1\tNo=0\tIndex=0\tValid=1\tDuress=0\tType=9\tTmp=bmV3", 0),
        ("DATA UPDATE BIODATA Pin=99\tNo=0\tType=9\tTmp=bmV3", -10),
        ("DATA DELETE BIODATA Pin=1\tType=9", 0),
        ("DATA UPDATE USERPIC PIN=1\tSize=4\tContent=bmV3", 0),
        ("DATA UPDATE USERPIC PIN=1\tSize=9\tContent=bmV3", -2),
        ("DATA UPDATE USERPIC PIN=99\tSize=4\tContent=bmV3", -10),
        ("DATA QUERY ATTLOG StartTime=x\tEndTime=y", -1),
        ("SET OPTION Delay=30", 0),
        ("SET OPTION Delay", -1),
        ("CHECK", 0),
        ("LOG", 0),
        ("CLEAR PHOTO", 0),
        ("ENROLL_FP PIN=99\tFID=1", -10),
        ("ENROLL_FP PIN=1\tFID=11", -1),
        ("ENROLL_FP PIN=1\tFID=0\tRETRY=3\tOVERWRITE=0", 2),
        ("AC_UNLOCK", 0),
        ("DANCE", -1002),
        ("DATA UPDATE DANCE PIN=1", -1002),
    ],
)
def test_a_command_returns_its_code(server: PushServer, text: str, code: int) -> None:
    assert returned(server, unit(), text) == [code]
    (answer,) = server.bodies("devicecmd")
    assert answer.startswith(f"ID=1&Return={code}&CMD={text.split(' ', maxsplit=1)[0]}".encode())


def test_a_person_is_made_changed_and_deleted_and_that_is_not_told_back(server: PushServer) -> None:
    state = unit()
    codes = returned(
        server,
        state,
        "DATA UPDATE USERINFO PIN=3\tName=Cy\tPri=14\tPasswd=12\tCard=77\tGrp=2\tTZ=0001000000020000",
        "DATA UPDATE USERINFO PIN=1\tName=Anna",
        "DATA UPDATE FINGERTMP PIN=3\tFID=4\tSize=4\tValid=3\tTMP=bmV3",
        "DATA DELETE USERINFO PIN=2",
    )
    assert (codes, len(server.bodies("OPERLOG"))) == ([0, 0, 0, 0], 1)
    assert state.users() == (
        SimUser(1, "1", "Anna", card=5),
        SimUser(3, "3", "Cy", 14, "12", 77, 2, (1, 0, 2, 0)),
    )
    assert state.templates()[1] == SimTemplate(3, 4, b"new", 3)


def test_what_was_commanded_is_not_told_in_the_next_round_either(server: PushServer) -> None:
    state = unit()
    pusher = Pusher(state, server.url)
    server.script["getrequest"].append("C:1:DATA UPDATE USERINFO PIN=3\tName=Cy")
    pusher.step()
    state.add_user(SimUser(2, "2", "Bobby"))
    pusher.step()
    told = [line.split(b"\t")[0] for line in server.bodies("OPERLOG")[1].splitlines()]
    assert told == [b"OPLOG 70", b"USER PIN=2"]


def test_a_full_unit_says_so(server: PushServer) -> None:
    people = [f"DATA UPDATE USERINFO PIN={pin}" for pin in (3, 4)]
    fingers = [f"DATA UPDATE FINGERTMP PIN=1\tFID={finger}\tTMP=bmV3" for finger in (0, 1, 2)]
    assert returned(server, unit(), *people, *fingers) == [0, -1001, 0, 0, -1001]


def test_a_fingerprint_may_come_as_biodata_but_not_to_old_firmware(server: PushServer) -> None:
    text = "DATA UPDATE BIODATA Pin=2\tNo=5\tIndex=0\tValid=1\tDuress=1\tType=1\tMajorVer=10\tTmp=bmV3"
    new, old = unit(), unit()
    assert returned(server, new, text, "DATA DELETE BIODATA Pin=1\tType=1\tNo=0") == [0, 0]
    assert returned(server, old, text, generation=PUSH_2_2) == [-1002]
    assert (new.templates(), old.templates()) == ((SimTemplate(2, 5, b"new", 3),), (SimTemplate(1, 0, b"f"),))


def test_faces_and_pictures_are_kept_and_go_with_the_person(server: PushServer) -> None:
    face = "DATA UPDATE BIODATA Pin=1\tNo=0\tIndex=0\tValid=1\tDuress=0\tType=9\tMajorVer=58\tTmp=bmV3"
    server.script["getrequest"] += [f"C:1:{face}\nC:2:DATA UPDATE USERPIC PIN=1\tContent=bmV3"]
    pusher = Pusher(unit(), server.url)
    pusher.step()
    assert list(pusher.album.bios.values()) == [SimBio("1", 9, b"new", major="58")]
    assert pusher.album.pictures == {"1": b"new"}
    server.script["getrequest"] += ["C:3:DATA DELETE USERINFO PIN=1"]
    pusher.step()
    assert (pusher.album.bios, pusher.album.pictures) == ({}, {})


def test_queried_people_come_before_the_answer(server: PushServer) -> None:
    server.script["getrequest"] += ["C:41:DATA QUERY USERINFO\nC:42:DATA QUERY USERINFO PIN=2"]
    pusher = Pusher(unit(), server.url, habits=Habits(batch=1))
    pusher.step()
    assert server.kinds()[5:] == ["getrequest", "OPERLOG", "OPERLOG", "OPERLOG", "OPERLOG", "devicecmd"]
    assert [body.partition(b"\t")[0] for body in server.bodies("OPERLOG")[3:]] == [
        b"USER PIN=1",
        b"USER PIN=2",
        b"FP PIN=1",
        b"USER PIN=2",
    ]
    assert server.bodies("devicecmd") == [b"ID=41&Return=3&CMD=DATA\nID=42&Return=1&CMD=DATA\n"]


def test_a_query_whose_lines_are_not_taken_is_done_again(server: PushServer) -> None:
    server.script["getrequest"] += ["C:1:DATA QUERY USERINFO PIN=2"]
    server.script["OPERLOG"] += ["OK", 503]
    pusher = Pusher(unit(), server.url)
    assert (pusher.step().commands, server.bodies("devicecmd")) == ((), [])
    pusher.step()
    assert server.bodies("devicecmd") == [b"ID=1&Return=1&CMD=DATA\n"]


def test_a_unit_of_3_posts_the_rows_of_its_tables_to_querydata(server: PushServer) -> None:
    day = "StartTime=2026-03-02 00:00:00\tEndTime=2026-03-02 23:59:59"
    server.script["getrequest"] += [f"C:7:DATA QUERY USERINFO PIN=1\nC:8:DATA QUERY ATTLOG {day}"]
    state = unit(replace(SPEC, punches=(SimPunch("1", NOON, 15, 1),)))
    Pusher(state, server.url, generation=PUSH_3).step()
    assert [target for target in server.targets() if "querydata" in target] == [
        "POST /iclock/querydata?SN=PU0001&type=tabledata&tablename=user&count=1&packcnt=1&packidx=1&cmdid=7",
        "POST /iclock/querydata?SN=PU0001&type=tabledata&tablename=templatev10&count=1&packcnt=1&packidx=1&cmdid=7",
        "POST /iclock/querydata?SN=PU0001&type=tabledata&tablename=transaction&count=1&packcnt=1&packidx=1&cmdid=8",
    ]
    assert server.bodies("querydata") == [
        b"user uid=1\tcardno=5\tpin=1\tpassword=\tgroup=1\tstarttime=0\tendtime=0\tname=Ann\tprivilege=0\n",
        b"templatev10 size=4\tuid=1\tpin=1\tfingerid=0\tvalid=1\ttemplate=Zg==\tresverd=0\tendtag=0\n",
        b"transaction cardno=0\tpin=1\tverified=15\tdoorid=1\teventtype=0\tinoutstate=1\ttime_second=841147200\n",
    ]


def test_punches_of_a_range_are_summed_and_told_again(server: PushServer) -> None:
    span = "StartTime=2026-03-02 12:00:01\tEndTime=2026-03-02 12:00:02"
    punches = tuple(SimPunch("1", NOON.replace(second=second)) for second in range(4))
    state = unit(replace(SPEC, punches=punches))
    server.script["getrequest"] += [f"C:1:VERIFY SUM ATTLOG {span}\nC:2:DATA QUERY ATTLOG {span}"]
    pusher = Pusher(state, server.url)
    pusher.step()
    row = b"1\t2026-03-02 12:00:%02d\t0\t1\t0\t0\t0\t255\t0.0\n"
    assert server.bodies("ATTLOG")[1:] == [row % 1 + row % 2]
    assert server.bodies("devicecmd") == [b"ID=1&Return=0&CMD=VERIFY SUM\nAttlogSum=2\nID=2&Return=2&CMD=DATA\n"]
    assert pusher.acknowledged == 4


def test_info_is_answered_in_many_lines(server: PushServer) -> None:
    returned(server, unit(), "INFO", "CHECK")
    lines = server.bodies("devicecmd")[0].split(b"\n")
    assert lines[:3] == [b"ID=1&Return=0&CMD=INFO", b"~SerialNumber=PU0001", b"~DeviceName=K40/ID"]
    assert lines[-7:] == [
        b"FPCount=1",
        b"TransactionCount=0",
        b"MaxUserCount=3",
        b"MaxFingerCount=2",
        b"MaxAttLogCount=100000",
        b"ID=2&Return=0&CMD=CHECK",
        b"",
    ]


def test_clearing_empties_what_it_says_and_a_later_punch_is_told(server: PushServer) -> None:
    state = unit(replace(SPEC, punches=(SimPunch("1", NOON),)))
    pusher = Pusher(state, server.url)
    server.script["getrequest"] += ["C:1:CLEAR LOG", "C:2:CLEAR DATA", "OK"]
    pusher.step()
    assert (state.counts().punches, state.counts().users) == (0, 2)
    state.punch("1", at=NOON.replace(minute=1))
    pusher.step()
    assert (state.counts().punches, state.counts().users, state.counts().templates) == (0, 0, 0)
    pusher.step()
    assert (pusher.acknowledged, len(server.bodies("OPERLOG"))) == (2, 1)


def test_an_enrolment_by_command_is_told_as_a_finger(server: PushServer) -> None:
    state = unit()
    server.script["getrequest"] += ["C:1:ENROLL_FP PIN=2\tFID=3\tRETRY=3\tOVERWRITE=1"]
    pusher = Pusher(state, server.url)
    pusher.step()
    pusher.step()
    assert state.template(2, 3) == SimTemplate(2, 3, finger_data(2, 3, 1))
    told = server.bodies("OPERLOG")[1].splitlines()
    assert told[0] == b"OPLOG 6\t0\t2026-03-02 12:00:00\t2\t3\t0"
    assert told[1].startswith(b"FP PIN=2\tFID=3\tSize=1068\tValid=1\tTMP=")


@pytest.mark.parametrize(("ends", "code"), [(4, 4), (5, 5), (6, 6), (-1, 4)])
def test_an_enrolment_that_fails_says_how(server: PushServer, ends: int, code: int) -> None:
    state = unit()
    state.enrol_result = ends
    assert returned(server, state, "ENROLL_FP PIN=2\tFID=3\tRETRY=3\tOVERWRITE=1") == [code]


def test_a_reboot_is_answered_first_and_forgets_what_stands_behind_it(server: PushServer) -> None:
    server.script["getrequest"] += ["C:1:CHECK\nC:2:REBOOT\nC:3:DATA DELETE USERINFO PIN=1"]
    state = unit()
    pusher = Pusher(state, server.url)
    pusher.step()
    pusher.step()
    assert server.bodies("devicecmd") == [b"ID=1&Return=0&CMD=CHECK\nID=2&Return=0&CMD=REBOOT\n"]
    assert server.kinds()[-4:] == ["devicecmd", "cdata", "options", "getrequest"]
    assert (pusher.reboots, state.counts().users) == (1, 2)


def test_after_a_reload_the_rest_of_the_batch_is_done(server: PushServer) -> None:
    server.script["getrequest"] += ["C:1:RELOAD OPTIONS\nC:2:SET OPTION Bell=1"]
    state = unit()
    pusher = Pusher(state, server.url)
    pusher.step()
    pusher.step()
    assert (state.options["Bell"], server.kinds().count("cdata"), pusher.reboots) == ("1", 2, 0)


def test_answers_that_were_not_taken_are_posted_again(server: PushServer) -> None:
    server.script["getrequest"] += ["C:1:CHECK", "C:2:LOG"]
    server.script["devicecmd"] += [500]
    pusher = Pusher(unit(), server.url)
    assert [pusher.step().ok, pusher.step().ok] == [False, True]
    assert server.bodies("devicecmd")[1] == b"ID=1&Return=0&CMD=CHECK\nID=2&Return=0&CMD=LOG\n"


@pytest.mark.parametrize("text", ["SHELL reboot", "PutFile a\tb", "GetFile x", "UPGRADE http://x", "shell\tx"])
def test_what_no_honest_server_sends_is_remembered_and_refused(server: PushServer, text: str) -> None:
    server.script["getrequest"] += [f"C:1:{text}"]
    pusher = Pusher(unit(), server.url)
    assert [done.returned for done in pusher.step().commands] == [-1002]
    assert list(pusher.forbidden) == [text]


def test_lines_that_are_no_commands_are_none(server: PushServer) -> None:
    server.script["getrequest"] += ["OK\nC:x:CHECK\nC:5\n<html>\nC:6:CHECK\r\n"]
    pusher = Pusher(unit(), server.url)
    assert [(done.id, done.text) for done in pusher.step().commands] == [(6, "CHECK")]
    assert list(pusher.forbidden) == []


def test_the_door_opens(server: PushServer) -> None:
    state = unit()
    returned(server, state, "AC_UNLOCK")
    assert state.unlocks == [5.0]
