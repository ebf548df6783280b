"""What each generation of units that dial sends, byte by byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pytest

from devices.simulator import (
    PUSH_2_2,
    PUSH_2_4,
    PUSH_3,
    Habits,
    Pusher,
    SimBio,
    SimPunch,
    SimTemplate,
    SimUser,
    TerminalSpec,
)
from devices.simulator.state import TerminalState
from tests.devices.simulator.push_server import PushServer

NOON = datetime(2026, 3, 2, 12, 0, 0)
SPEC = TerminalSpec(
    serial="PU0001",
    firmware="Ver 8.0.1",
    options={"IPAddress": "10.0.0.7"},
    users=(SimUser(1, "1001", "Zoë", privilege=14, card=77, password="9"),),
    templates=(SimTemplate(1, 6, b"finger"),),
    punches=(
        SimPunch("1001", datetime(2026, 3, 2, 8, 0, 1), verify=15, state=0),
        SimPunch("1001", datetime(2026, 3, 2, 17, 30, 2), verify=1, state=1),
    ),
)


@pytest.fixture
def server() -> Iterator[PushServer]:
    with PushServer() as server:
        yield server


def unit(spec: TerminalSpec = SPEC) -> TerminalState:
    return TerminalState(spec, clock=lambda: NOON)


def test_a_unit_of_2_4_shakes_hands_tells_everything_and_asks(server: PushServer) -> None:
    assert Pusher(unit(), server.url, habits=Habits(comm_key="s3/t")).step().ok
    assert server.targets() == [
        "GET /iclock/cdata?SN=PU0001&options=all&pushver=2.4.1&language=69&pushcommkey=s3%2Ft",
        "POST /iclock/cdata?SN=PU0001&table=options",
        "POST /iclock/cdata?SN=PU0001&table=ATTLOG&Stamp=9999",
        "POST /iclock/cdata?SN=PU0001&table=OPERLOG&Stamp=9999",
        "GET /iclock/getrequest?SN=PU0001&INFO=Ver%208.0.1,1,1,2,10.0.0.7,10,7,15,0,111",
    ]
    assert server.bodies("ATTLOG") == [
        b"1001\t2026-03-02 08:00:01\t0\t15\t0\t0\t0\t255\t0.0\n1001\t2026-03-02 17:30:02\t1\t1\t0\t0\t0\t255\t0.0\n"
    ]
    assert b"".join(server.bodies("OPERLOG")) == (
        b"USER PIN=1001\tName=Zo\xc3\xab\tPri=14\tPasswd=9\tCard=77\tGrp=1\tTZ=0000000000000000\tVerify=0\n"
        b"FP PIN=1001\tFID=6\tSize=8\tValid=1\tTMP=ZmluZ2Vy\n"
    )
    assert server.bodies("options")[0].startswith(b"~SerialNumber=PU0001,~DeviceName=K40/ID,~Platform=")
    assert server.bodies("options")[0].endswith(b",MaxUserCount=3000,MaxFingerCount=3000,MaxAttLogCount=100000")


def test_its_requests_have_the_heads_of_a_real_unit(server: PushServer) -> None:
    Pusher(unit(), server.url).step()
    host = server.url.removeprefix("http://")
    usual = {"Host": host, "User-Agent": "iClock Proxy/1.09", "Accept": "*/*", "Connection": "close"}
    assert server.headers[0] == usual
    assert server.headers[2] == {**usual, "Content-Type": "text/plain", "Content-Length": "87"}


def test_a_unit_of_2_2_knows_old_stamps_seven_fields_and_no_options(server: PushServer) -> None:
    server.usual["cdata"] = "GET OPTION FROM: PU0001\nStamp=1\nOpStamp=1\nPhotoStamp=1\nErrorDelay=30\nDelay=7\n"
    pusher = Pusher(unit(), server.url, generation=PUSH_2_2)
    pusher.step()
    assert server.targets() == [
        "GET /iclock/cdata?SN=PU0001&options=all&pushver=2.2.14&language=69",
        "POST /iclock/cdata?SN=PU0001&table=ATTLOG&Stamp=841167002",
        "POST /iclock/cdata?SN=PU0001&table=OPERLOG&Stamp=841147200",
        "GET /iclock/getrequest?SN=PU0001&INFO=Ver%208.0.1,1,1,2,10.0.0.7,10,7,15,0,111",
    ]
    assert server.bodies("ATTLOG") == [
        b"1001\t2026-03-02 08:00:01\t0\t15\t0\t0\t0\n1001\t2026-03-02 17:30:02\t1\t1\t0\t0\t0\n"
    ]
    assert (pusher.settings.delay, pusher.settings.error_delay) == (7.0, 30.0)


def test_a_unit_of_3_registers_asks_for_its_configuration_and_the_time_and_tells_events(server: PushServer) -> None:
    server.usual["rtdata"] = "DateTime=841147200,ServerTZ=-0930"
    state = unit()
    assert Pusher(state, server.url, generation=PUSH_3).step().ok
    assert server.targets() == [
        "GET /iclock/cdata?SN=PU0001&options=all&pushver=3.1.2&language=69&DeviceType=acc",
        "POST /iclock/registry?SN=PU0001",
        "POST /iclock/push?SN=PU0001",
        "GET /iclock/rtdata?SN=PU0001&type=rttime",
        "POST /iclock/cdata?SN=PU0001&table=rtlog",
        "POST /iclock/cdata?SN=PU0001&table=OPERLOG&Stamp=9999",
        "POST /iclock/cdata?SN=PU0001&table=rtstate",
        "GET /iclock/getrequest?SN=PU0001&INFO=Ver%208.0.1,1,1,2,10.0.0.7,10,7,15,0,111",
    ]
    assert server.bodies("registry")[0].startswith(b"DeviceType=acc,~SerialNumber=PU0001,~DeviceName=K40/ID,")
    assert server.bodies("push") == [b""]
    assert b"".join(server.bodies("rtlog")) == (
        b"time=2026-03-02 08:00:01\tpin=1001\tcardno=0\teventaddr=1\tevent=0\tinoutstatus=0\tverifytype=15\tindex=1\n"
        b"time=2026-03-02 17:30:02\tpin=1001\tcardno=0\teventaddr=1\tevent=0\tinoutstatus=1\tverifytype=1\tindex=2\n"
    )
    assert server.bodies("rtstate") == [
        b"time=2026-03-02 02:30:00\tsensor=00\trelay=00\talarm=0000000000000000\tdoor=00\n"
    ]
    assert state.now() == datetime(2026, 3, 2, 2, 30)


@pytest.mark.parametrize(
    ("habits", "path", "first"),
    [
        (Habits(suffix=".aspx"), "", "/iclock/cdata.aspx?SN=PU0001&options=all&pushver=2.4.1&language=69"),
        (Habits(suffix="/"), "/p/abc", "/p/abc/iclock/cdata/?SN=PU0001&options=all&pushver=2.4.1&language=69"),
        (Habits(names="lower", language=83), "/", "/iclock/cdata?sn=PU0001&options=all&pushver=2.4.1&language=83"),
        (Habits(names="upper"), "", "/iclock/cdata?SN=PU0001&OPTIONS=all&PUSHVER=2.4.1&LANGUAGE=69"),
    ],
)
def test_requests_are_spelt_as_the_unit_is_used_to(server: PushServer, habits: Habits, path: str, first: str) -> None:
    pusher = Pusher(unit(), server.url + path, habits=habits)
    assert pusher.step().ok
    assert pusher.requests[0].target == first
    assert len(server.bodies("ATTLOG")) == 1


@pytest.mark.parametrize(
    ("page", "name", "written"),
    [("utf-8", "Zoë", b"Zo\xc3\xab"), ("cp1252", "Zoë Şen", b"Zo\xeb ?en"), ("gb18030", "王", b"\xcd\xf5")],
)
def test_names_are_in_the_units_code_page_and_lines_may_end_with_cr(
    server: PushServer, page: str, name: str, written: bytes
) -> None:
    spec = replace(SPEC, users=(SimUser(1, "7", name),), templates=(), punches=(SimPunch("7", NOON),))
    Pusher(unit(spec), server.url, habits=Habits(code_page=page, line_end="\r\n")).step()
    assert server.bodies("OPERLOG") == [
        b"USER PIN=7\tName=" + written + b"\tPri=0\tPasswd=\tCard=\tGrp=1\tTZ=0000000000000000\tVerify=0\r\n"
    ]
    assert server.bodies("ATTLOG") == [b"7\t2026-03-02 12:00:00\t0\t1\t0\t0\t0\t255\t0.0\r\n"]


def test_a_name_sent_in_the_units_code_page_is_kept_and_told(server: PushServer) -> None:
    server.script["getrequest"] += ["C:1:DATA UPDATE USERINFO PIN=8\tName=Zoë"]
    state = unit(replace(SPEC, users=(), templates=(), punches=()))
    pusher = Pusher(state, server.url)
    pusher.step()
    assert [user.name for user in state.users()] == ["Zoë"]


def test_faces_and_photos_have_posts_of_their_own(server: PushServer) -> None:
    pusher = Pusher(unit(), server.url, generation=PUSH_2_4)
    pusher.present_bio(SimBio("1001", 9, b"face", major="58", minor="1"))
    pusher.take_photo("1001", b"\xff\xd8jpeg")
    pusher.step()
    assert server.bodies("BIODATA") == [
        b"BIODATA Pin=1001\tNo=0\tIndex=0\tValid=1\tDuress=0\tType=9\tMajorVer=58\tMinorVer=1\tFormat=0\tTmp=ZmFjZQ==\n"
    ]
    assert server.bodies("ATTPHOTO") == [
        b"PIN=20260302120000-1001.jpg\nSN=PU0001\nsize=6\nCMD=uploadphoto\0\xff\xd8jpeg"
    ]


def test_a_long_log_goes_in_batches_in_order(server: PushServer) -> None:
    state = unit(replace(SPEC, punches=tuple(SimPunch("1001", NOON.replace(second=second)) for second in range(7))))
    pusher = Pusher(state, server.url, habits=Habits(batch=3))
    pusher.step()
    times = [[line.split(b"\t")[1] for line in body.splitlines()] for body in server.bodies("ATTLOG")]
    whole = [b"2026-03-02 12:00:%02d" % second for second in range(7)]
    assert times == [whole[:3], whole[3:6], whole[6:]]
    assert (pusher.acknowledged, pusher.caught_up()) == (7, True)


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="not an address"):
        Pusher(unit(), "127.0.0.1:8097")
